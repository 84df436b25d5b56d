"""The table of a run, and what it reached of the targets."""
from statistics import median

from .load import Load

REST, GRPC = "sluice_rest", "sluice_grpc"
ONE, MANY, MORE, MUXED = Load(1), Load(64), Load(256), Load(2, 32)
# Two threads; as many predictions in a run as in the request that it is compared with.
RAW = Load(2)
TENSOR_ROWS = (1, 32, 1024)
TENSOR_REST, TENSOR_GRPC = ([base._replace(rows=rows) for rows in TENSOR_ROWS]
                            for base in (Load(16), Load(2, 8)))
AT_LEAST, AT_MOST = "≥", "≤"


def summary(rounds):
    """Medians over the rounds of one cell; the spread of its throughput is min and max."""
    rates = [result["per_second"] for result in rounds]
    out = {"per_second": median(rates), "min": min(rates), "max": max(rates)}
    for field in ("p50_us", "p99_us", "cpu_us"):
        if all(field in result for result in rounds):
            out[field] = median(result[field] for result in rounds)
    return out


def table(rows):
    """rows: (name, load, rounds), all of tensors or none. Aligned columns, ready to print."""
    what, per = ("rows/s", "row") if rows[0][1].rows else ("requests/s", "req")
    lines = [("", "N", "load", what, "min – max", "p50 µs", "p99 µs", f"server CPU µs/{per}")]
    for name, load, rounds in rows:
        cell = summary(rounds)
        times = [f"{cell[field]:,.1f}" if field in cell else "" for field in ("p50_us", "p99_us")]
        cpu = f"{cell['cpu_us']:,.{2 if load.rows else 1}f}" if "cpu_us" in cell else ""
        lines.append((name, str(load.rows), load.label, f"{cell['per_second']:,.0f}",
                      f"{cell['min']:,.0f} – {cell['max']:,.0f}", *times, cpu))
    if per == "req":
        lines = [line[:1] + line[2:] for line in lines]
    return aligned(lines)


def aligned(lines):
    """Rows of texts as columns: the first to the left, numbers to the right."""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join("  ".join(
        text.ljust(width) if column == 0 else text.rjust(width)
        for column, (text, width) in enumerate(zip(line, widths))).rstrip() for line in lines)


class Values:
    """Each function answers one value per round, in which both sides of a ratio saw the same
    machine; nothing where a cell was not measured."""

    def __init__(self, cells):
        self.cells = cells

    def each(self, formula, *wanted):
        columns = [[result[field] for result in self.cells.get((key, load), [])]
                   for key, load, field in wanted]
        return [formula(*values) for values in zip(*columns)]

    def rate(self, key, load):
        return self.each(lambda x: x, (key, load, "per_second"))

    def of_ideal(self, own, limit, load):
        return self.each(lambda x, e, r: x * (1 / e + 1 / r), (own, load, "per_second"),
                         (limit, load, "per_second"),
                         ("raw", RAW._replace(rows=load.rows), "per_second"))

    def times(self, own, other, load):
        return self.each(lambda x, y: x / y, (own, load, "per_second"),
                         (other, load, "per_second"))

    def cpu(self, own):
        return self.each(lambda x: x, (own, MANY, "cpu_us"))

    def above(self, own, other, load):
        return self.each(lambda x, y: x - y, (own, load, "p50_us"), (other, load, "p50_us"))

    def overhead(self, own, limit):
        return self.each(lambda x, e, r: x - e - r, (own, ONE, "p50_us"), (limit, ONE, "p50_us"),
                         ("raw", ONE, "p50_us"))


def reach(cells):
    """One entry per target whose cells were measured; the median of the rounds decides."""
    values = Values(cells)
    targets = [
        ("REST at 64, of the ideal with the empty handler",
         values.of_ideal(REST, "empty_rest", MANY), AT_LEAST, 0.90, ""),
        ("REST at 64, of the ideal with nginx", values.of_ideal(REST, "nginx", MANY), AT_LEAST,
         0.75, ""),
        ("REST at 1, p50 above empty handler + raw run", values.overhead(REST, "empty_rest"),
         AT_MOST, 20, "µs"),
    ]
    for load in (MUXED, MANY):
        at = f"gRPC at {load.label}"
        targets += [
            (f"{at}, of the ideal with the empty method",
             values.of_ideal(GRPC, "empty_grpc", load), AT_LEAST, 0.90, ""),
            (f"{at}, times the bare grpc++ echo", values.times(GRPC, "grpcpp_echo", load),
             AT_LEAST, 1.4, "×"),
            (f"{at}, times grpcio with 10 threads", values.times(GRPC, "grpcio", load), AT_LEAST,
             15, "×"),
        ]
    targets += [
        ("REST at 64, times FastAPI + uvicorn + joblib", values.times(REST, "fastapi", MANY),
         AT_LEAST, 15, "×"),
        ("sklearn, REST at 64, times FastAPI + uvicorn + joblib",
         values.times("pickle_rest", "fastapi", MANY), AT_LEAST, 5, "×"),
        ("REST at 64, server CPU per request", values.cpu(REST), AT_MOST, 17, "µs"),
        ("gRPC at 64, server CPU per request", values.cpu(GRPC), AT_MOST, 19, "µs"),
        *runtime_targets(values),
        *tensor_targets(values),
        ("cache, a hit at 1, p50 above the empty handler",
         values.above("cache_rest", "empty_rest", ONE), AT_MOST, 5, "µs"),
    ]
    return [entry(*target) for target in targets if target[1]]


def runtime_targets(values):
    """What the runtime shall reach, beyond the first targets."""
    yield ("runtime, REST at 64, of the ideal with the empty handler",
           values.of_ideal(REST, "empty_rest", MANY), AT_LEAST, 1.05, "")
    yield ("runtime, gRPC at 64, of the ideal with the empty method",
           values.of_ideal(GRPC, "empty_grpc", MANY), AT_LEAST, 1.05, "")
    for load, bound in ((MANY, 0.72), (MORE, 0.82)):
        yield (f"runtime, REST at {load.label}, times nginx return 200",
               values.times(REST, "nginx", load), AT_LEAST, bound, "×")
    for name, own in (("REST", REST), ("gRPC", GRPC)):
        yield (f"runtime, {name} at 64, server CPU per request", values.cpu(own), AT_MOST, 13,
               "µs")


def tensor_targets(values):
    for name, kind, loads in (("REST", "rest", TENSOR_REST), ("gRPC", "grpc", TENSOR_GRPC)):
        own = f"tensor_{kind}"
        for load in loads:
            yield (f"tensors, {name} at {load.label}, N={load.rows}, of the ideal",
                   values.of_ideal(own, f"empty_tensor_{kind}", load), AT_LEAST, 0.90, "")
        rates = {load: rate for load in loads if (rate := values.rate(own, load))}
        if rates:
            best = max(rates, key=lambda load: median(rates[load]))
            yield (f"tensors, {name} at {best.label}, best N={best.rows}, predictions/s",
                   [rate / 1e6 for rate in rates[best]], AT_LEAST, 1, "M")


def entry(name, values, sense, bound, unit):
    value = median(values)
    met = value >= bound if sense == "≥" else value <= bound
    return {"target": name, "sense": sense, "bound": bound, "unit": unit, "value": value,
            "min": min(values), "max": max(values), "met": met}


def reach_lines(entries):
    width = max((len(each["target"]) for each in entries), default=0)
    for each in entries:
        spread = f"({each['min']:.2f} – {each['max']:.2f})"
        yield (f"{each['target']:<{width}}  {each['value']:8.2f} {each['unit']:<3} {spread:<18}"
               f"{each['sense']} {each['bound']:<5}{'met' if each['met'] else 'NOT MET'}")
