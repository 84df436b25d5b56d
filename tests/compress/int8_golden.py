#!/usr/bin/python3
"""Writes int8_golden.json: what 8-bit quantisation and calibration give, computed by numpy.

src/tools/compress/quantize_test.cc and calibration_test.cc compare with it to the last bit; floats
are written as the integers of their bits. Written from the ONNX operators' specification and the
papers that the C++ headers name, not from the C++. A rerun gives the same bytes.
"""

import json
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
F = np.float32
TINY = np.finfo(F).tiny


def bits(values):
    # Adding 0 makes 0 of -0.
    return (np.asarray(values, F).reshape(-1) + F(0)).view(np.uint32).tolist()


# --- quantize.h -----------------------------------------------------------------------------------

RANGES = [(-1, 1), (0, 6), (-3.7, 0), (2, 5), (-5, -2), (0, 0), (0, 1e-45), (-3.4e38, 3.4e38),
          (-0.1, 25.3), (-1e-20, 1e-20), (-127.5, 127.5), (0.1, 0.1), (-1000, 0.001)]  # fmt: skip


def affine(low, high):
    low, high = F(min(low, 0)), F(max(high, 0))
    if low == high:
        return F(1), 0
    scale = max(F((np.float64(high) - np.float64(low)) / 255), TINY)
    with np.errstate(over="ignore"):
        return scale, int(np.clip(np.rint(-low / scale), 0, 255))


def quantize(values, scale, zero):
    with np.errstate(over="ignore"):
        return np.clip(np.rint(values / scale) + F(zero), 0, 255).astype(np.uint8)


def affine_case(low, high):
    scale, zero = affine(low, high)
    # Halves among them, which go to the even neighbour, and what lies outside.
    steps = np.array([0, 0.5, 1.5, 2.5, -0.5, -1.5, 100.5, 101.5, 300, -300, 254.5, 255.5], F)
    with np.errstate(over="ignore"):
        values = np.concatenate([steps * scale, np.array([low, high, 0, 0.3, -0.7], F)]).astype(F)
    values = values[np.isfinite(values)]
    made = quantize(values, scale, zero)
    with np.errstate(over="ignore"):
        back = ((made.astype(np.int32) - zero).astype(F) * scale).astype(F)
    return {"low": bits([low])[0], "high": bits([high])[0], "scale": bits([scale])[0],
            "zero": zero, "values": bits(values), "made": made.tolist(),
            "back": bits(back)}  # fmt: skip


def weights_case(dims, axis, most, random):
    values = random.standard_normal(dims).astype(F)
    if axis is not None:
        index = [slice(None)] * len(dims)
        index[axis] = 1
        values[tuple(index)] = 0  # a channel of zeros alone
    others = None if axis is None else tuple(i for i in range(len(dims)) if i != axis)
    largest = np.abs(values).max(axis=others, keepdims=True)
    largest = np.where(largest == 0, np.abs(values).max(), largest)
    scale = np.maximum((largest / F(most)).astype(F), TINY)
    made = np.clip(np.rint(values / scale), -most, most).astype(np.int8)
    return {"dims": list(dims), "axis": axis, "most": most, "values": bits(values),
            "scales": bits(scale), "made": made.reshape(-1).tolist()}  # fmt: skip


def bias_case(in_scale, random):
    bias = (random.standard_normal(9) * 3).astype(F)
    scale = (F(in_scale) * np.abs(random.standard_normal(9)).astype(F)).astype(F)
    weight_scale = (scale / F(in_scale)).astype(F)
    product = np.maximum((F(in_scale) * weight_scale).astype(F), TINY)
    made = np.rint(bias.astype(np.float64) / product.astype(np.float64))
    made = np.clip(made, -(2**31), 2**31 - 1).astype(np.int64)
    return {"in_scale": bits([in_scale])[0], "weight_scales": bits(weight_scale),
            "bias": bits(bias), "scales": bits(product), "made": made.tolist()}  # fmt: skip


# --- calibration.h --------------------------------------------------------------------------------

BINS = 2048
COUNT = 20_000


def numbers(kind):
    """The same doubles as in calibration_test.cc: each operation is exact or rounded once."""
    i = np.arange(COUNT, dtype=np.uint64)
    u = ((i * np.uint64(2654435761)) % np.uint64(2**32)).astype(np.float64) / 2.0**32
    v = 2 * u - 1
    v = v * v * v * 5
    if kind == "relu":
        v = np.maximum(v, 0)
    if kind == "tail":
        v = np.where(i % np.uint64(1000) == 7, v * 40, v)
    if kind == "below":
        v = -np.abs(v) - 0.25
    if kind == "zero":
        v = v * 0
    return v.astype(F)


def histogram(values):
    largest = np.abs(values).max()
    if largest == 0:
        return 0.0, np.zeros(BINS, int), np.bincount([0], [len(values)], BINS).astype(int)
    width = 2.0 ** (np.floor(np.log2(np.float64(largest))) + 1) / BINS
    place = np.floor(np.abs(values.astype(np.float64)) / width).astype(int)
    return (width, np.bincount(place[values < 0], minlength=BINS),
            np.bincount(place[values >= 0], minlength=BINS))  # fmt: skip


def within(values, low, high):
    return [max(F(low), values.min()), min(F(high), values.max())]


def percentile(values, percent):
    width, below, above = histogram(values)
    spare = (100 - percent) / 200 * len(values)
    bins = np.concatenate([below[::-1], above])
    edges = np.arange(-BINS, BINS + 1) * width
    high = edges[2 * BINS - np.count_nonzero(np.cumsum(bins[::-1]) <= spare)]
    low = edges[np.count_nonzero(np.cumsum(bins) <= spare)]
    return within(values, low, high)


def divergence(bins, count, steps):
    p = bins[:count].astype(np.float64)
    reference = p.copy()
    reference[-1] += bins[count:].sum()
    bounds = np.arange(steps + 1) * count // steps
    sums = np.add.reduceat(p, bounds[:-1])
    filled = np.add.reduceat((p > 0).astype(np.float64), bounds[:-1])
    spread = np.repeat(np.divide(sums, filled, where=filled > 0, out=np.zeros(steps)),
                       np.diff(bounds))  # fmt: skip
    if not p.any() or (reference[-1] > 0 and p[-1] == 0):
        return np.inf
    seen = p > 0
    reference, spread = reference / reference.sum(), np.where(seen, spread, 0) / p.sum()
    return float(np.sum(reference[seen] * np.log(reference[seen] / spread[seen])))


def entropy(values):
    width, below, above = histogram(values)
    bins = below + above
    bins[0] = min(bins[0], bins[1])
    steps = 128 if values.min() < 0 < values.max() else 255
    costs = [divergence(bins, count, steps) for count in range(steps, BINS + 1)]
    count = BINS if not np.isfinite(costs).any() else steps + int(np.argmin(costs))
    return within(values, -count * width, count * width) + [count]


def calibration_case(kind):
    values = numbers(kind)
    width, below, above = histogram(values)
    places = np.arange(BINS)
    *chosen, count = entropy(values)
    return {"kind": kind, "count": len(values), "width": width,
            "below": int((below * places).sum()), "above": int((above * places).sum()),
            "negative": int(below.sum()), "min_max": bits([values.min(), values.max()]),
            "percentile": {str(p): bits(percentile(values, p)) for p in (100, 99.99, 99, 90, 50)},
            "entropy": bits(chosen), "entropy_bins": count}  # fmt: skip


def main():
    random = np.random.default_rng(17)
    golden = {
        "affine": [affine_case(*each) for each in RANGES],
        "weights": [weights_case(dims, axis, most, random)
                    for dims, axis in [((4, 6), 0), ((4, 6), 1), ((4, 6), None),
                                       ((3, 2, 3, 3), 0), ((2, 3, 4), 1)]
                    for most in (127, 64)],
        "bias": [bias_case(scale, random) for scale in (0.02, 1e-9, 7)],
        "calibration": [calibration_case(kind)
                        for kind in ("both", "relu", "tail", "below", "zero")],
    }  # fmt: skip
    (HERE / "int8_golden.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
