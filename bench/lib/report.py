"""The table of a run, and what it reached of the targets."""
from statistics import median

REST, GRPC = "sluice_rest", "sluice_grpc"
# A load is (connections, streams on each); for the raw loop (threads, 1).
ONE, TWO_THREADS, MANY, MUXED = (1, 1), (2, 1), (64, 1), (2, 32)


def label(load):
    return str(load[0]) if load[1] == 1 else f"{load[0]}×{load[1]}"


def summary(rounds):
    """Medians over the rounds of one cell; the spread of its throughput is min and max."""
    rates = [result["per_second"] for result in rounds]
    out = {"per_second": median(rates), "min": min(rates), "max": max(rates)}
    for field in ("p50_us", "p99_us", "cpu_us"):
        if all(field in result for result in rounds):
            out[field] = median(result[field] for result in rounds)
    return out


def table(rows):
    """rows: (name, load, rounds). Aligned columns, ready to print."""
    lines = [("", "load", "requests/s", "min – max", "p50 µs", "p99 µs", "server CPU µs/req")]
    for name, load, rounds in rows:
        cell = summary(rounds)
        lines.append((name, label(load), f"{cell['per_second']:,.0f}",
                      f"{cell['min']:,.0f} – {cell['max']:,.0f}",
                      *(f"{cell[field]:,.1f}" if field in cell else ""
                        for field in ("p50_us", "p99_us", "cpu_us"))))
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join("  ".join(
        text.ljust(width) if column == 0 else text.rjust(width)
        for column, (text, width) in enumerate(zip(line, widths))).rstrip() for line in lines)


def reach(cells):
    """One entry per target whose cells were measured. Ratios are formed within a round, where
    both sides saw the same machine, and the median of the rounds decides."""

    def rounds(formula, *wanted):
        columns = [[result[field] for result in cells.get((key, load), [])]
                   for key, load, field in wanted]
        return [formula(*values) for values in zip(*columns)]

    def of_ideal(own, limit, load):
        return rounds(lambda x, e, r: x * (1 / e + 1 / r), (own, load, "per_second"),
                      (limit, load, "per_second"), ("raw", TWO_THREADS, "per_second"))

    def times(own, other, load):
        return rounds(lambda x, y: x / y, (own, load, "per_second"), (other, load, "per_second"))

    def cpu(own):
        return rounds(lambda x: x, (own, MANY, "cpu_us"))

    overhead = rounds(lambda x, e, r: x - e - r, (REST, ONE, "p50_us"),
                      ("empty_rest", ONE, "p50_us"), ("raw", ONE, "p50_us"))
    at_least, at_most = "≥", "≤"
    targets = [
        ("REST at 64, of the ideal with the empty handler", of_ideal(REST, "empty_rest", MANY),
         at_least, 0.90, ""),
        ("REST at 64, of the ideal with nginx", of_ideal(REST, "nginx", MANY), at_least, 0.75, ""),
        ("REST at 1, p50 above empty handler + raw run", overhead, at_most, 20, "µs"),
    ]
    for load in (MUXED, MANY):
        at = f"gRPC at {label(load)}"
        targets += [
            (f"{at}, of the ideal with the empty method", of_ideal(GRPC, "empty_grpc", load),
             at_least, 0.90, ""),
            (f"{at}, times the bare grpc++ echo", times(GRPC, "grpcpp_echo", load), at_least, 1.4,
             "×"),
            (f"{at}, times grpcio with 10 threads", times(GRPC, "grpcio", load), at_least, 15, "×"),
        ]
    targets += [
        ("REST at 64, times FastAPI + uvicorn + joblib", times(REST, "fastapi", MANY), at_least,
         15, "×"),
        ("REST at 64, server CPU per request", cpu(REST), at_most, 17, "µs"),
        ("gRPC at 64, server CPU per request", cpu(GRPC), at_most, 19, "µs"),
    ]
    return [entry(*target) for target in targets if target[1]]


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
