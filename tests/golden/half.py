#!/usr/bin/env python3
"""Sums of NumPy's half precision, for src/tools/compress/fp16_test.cc (HalfTensor.RoundsAsNumPyDoes).

Prints three: of 2^22 floats of all exponents, of floats where halves lie (subnormal ones too), and
of the floats that all halves are. A number's place weighs it, so that none can be swapped.
"""
import numpy as np


def weighed(values, places):
    return int((values.astype(np.uint64) * (2 * places.astype(np.uint64) + 1)).sum(dtype=np.uint64))


def sum_of_halves(bits):
    values = bits.view(np.float32)
    places = np.arange(len(bits))[~np.isnan(values)]
    with np.errstate(over="ignore"):
        halves = values[places].astype(np.float16)
    return weighed(halves.view(np.uint16), places)


i = np.arange(1 << 22, dtype=np.uint32)
print(sum_of_halves(i * np.uint32(2654435761)))
print(sum_of_halves(np.uint32(0x32000000) + i * np.uint32(86)))
halves = np.arange(1 << 16, dtype=np.uint16)
floats = halves.view(np.float16).astype(np.float32)
places = np.arange(1 << 16)[~np.isnan(floats)]
print(weighed(floats[places].view(np.uint32), places))
