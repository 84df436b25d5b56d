"""The group `batching`: what it is worth to put requests together, and what is left of it under
overload.

Two models, each served with batching off, eager, and with the seed's fixed wait. First a closed
loop at 64 connections; the best that eager reached there is the model's capacity in this run. Then
open loops at shares of that capacity, where each request has a deadline and counts only if it was
answered well within it.
"""
import contextlib
import json
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import NamedTuple

from . import load, report
from .servers import BENCH, BenchError

SETTINGS = {"off": "{max_batch_size: 1}", "eager": "{policy: eager}",
            "wait": "{policy: wait, max_wait: 10ms}"}
CLOSED = 64  # connections
SHARES = (0.5, 0.8, 1.2, 3.0)  # of the capacity
OPEN = 256  # connections
DEADLINE = 100  # ms


class Model(NamedTuple):
    key: str
    name: str
    directory: Path
    body: str  # of a request for one row, whose answer is
    prediction: float
    confidence: float

    @property
    def path(self):
        return f"/models/{self.key}/predict"


def label(share):
    return f"{share:.0%}".replace("%", " %") if share else f"{CLOSED} closed"


def make_models(site):
    mlp, row = site.temp / "mlp", site.temp / "mlp.jsonl"
    (mlp / "1").mkdir(parents=True)
    subprocess.run([sys.executable, BENCH / "peers/make_mlp.py", mlp / "1/model.onnx", row],
                   check=True)
    models = []
    for name, directory, golden in (
            ("digits (CNN)", site.example("models/digits"), site.example("golden/digits.1.jsonl")),
            ("MLP 1024×1024", mlp, row)):
        with open(golden) as lines:
            line = json.loads(next(lines))
        body = json.dumps({"features": line["features"]}, separators=(",", ":"))
        models.append(Model(directory.name, name, directory, body, line["prediction"],
                            line["confidence"]))
    return models


def measure(site, rounds, seconds, say):
    """Everything, interleaved: one setting after the other under one load of one model."""
    models, out = make_models(site), Batching()
    with contextlib.ExitStack() as stack:
        servers = {}
        for name, yaml in SETTINGS.items():
            say(f"starting sluice, batching {name}")
            servers[name] = site.serve(f"batching {name}", site.repository(
                f"batching_{name}", f"batching: {yaml}", *(model.directory for model in models)))
            stack.callback(servers[name].stop)
        cells = [(model, name) for model in models for name in SETTINGS]

        def measure_all(share):
            for number in range(1, rounds + 1):
                for model, name in cells:
                    rate = share * out.capacity(model) if share else 0
                    result = drive(site, servers[name], model, seconds, rate)
                    say(f"round {number}/{rounds}  {model.name}, {name}, {label(share)}: "
                        f"{result['goodput']:,.0f}/s good")
                    out.results.setdefault((model, name, share), []).append(result)

        for model, name in cells:
            verify(servers[name], model, name)
            drive(site, servers[name], model, 1, 0)  # warm-up
        for share in (0, *SHARES):
            measure_all(share)
        for model, name in cells:
            verify(servers[name], model, name)
    return out


def verify(server, model, name):
    status, body, _ = load.request(server.ports["http"], "POST", model.path, model.body,
                                   {"Content-Type": "application/json"})
    answer = json.loads(body)
    right = status == 200 and answer["prediction"] == model.prediction and abs(
        answer["confidence"] - model.confidence) < 1e-5
    if not right:
        raise BenchError(f"{model.name} with batching {name} answers wrongly: {status} {answer}")


def drive(site, server, model, seconds, rate):
    """One cell of one round: closed loop, or open at `rate` with the deadline."""
    port = server.ports["http"]
    before, cpu = load.statistics(port, model.key), server.cpu_seconds()
    result = load.sluice_bench(site.binary("sluice"), port, model.path, model.body,
                               OPEN if rate else CLOSED, seconds, rate, DEADLINE if rate else 0)
    result["cpu_us"] = 1e6 * (server.cpu_seconds() - cpu) / result["requests"]
    after = load.statistics(port, model.key)
    runs = after.runs - before.runs
    result.update(offered=rate, batch=(after.rows - before.rows) / runs if runs else 0)
    return result


class Batching:
    """What was measured: {(model, setting, share): [result of each round]}; share 0 is closed."""

    def __init__(self):
        self.results = {}

    def models(self):
        return list(dict.fromkeys(model for model, _, _ in self.results))

    def capacity(self, model):
        return max(result["goodput"] for result in self.results[model, "eager", 0])

    def table(self):
        lines = [("", "batching", "load", "offered/s", "answers/s", "goodput/s", "min – max",
                  "p50 µs", "p99 µs", "batch", "server CPU µs/req")]
        for (model, name, share), rounds in sorted(
                self.results.items(), key=lambda cell: (
                    self.models().index(cell[0][0]), cell[0][2], [*SETTINGS].index(cell[0][1]))):
            good = [result["goodput"] for result in rounds]
            cell = summary(rounds)
            times = [f"{cell[key]:,.0f}" if key in cell else "" for key in ("p50_us", "p99_us")]
            lines.append((
                model.name, name, label(share), f"{cell['offered']:,.0f}" if share else "",
                f"{cell['per_second']:,.0f}", f"{cell['goodput']:,.0f}",
                f"{min(good):,.0f} – {max(good):,.0f}", *times, f"{cell['batch']:.1f}",
                f"{cell['cpu_us']:,.1f}"))
        return (f"Batching; open loops with {OPEN} connections and {DEADLINE} ms for each request, "
                "p50 and p99 of good answers\n" + report.aligned(lines))

    def cells(self):
        return [{"model": model.key, "batching": name, "share": share, **summary(rounds),
                 "rounds": rounds} for (model, name, share), rounds in self.results.items()]

    def reach(self):
        return [report.entry(*target) for model in self.models() for target in self.targets(model)]

    def targets(self, model):
        for share in (0, *(share for share in SHARES if share < 1)):
            yield (f"batching, {model.name} at {label(share)}, eager p50 over off's",
                   self.ratios(model, share, p50), report.AT_MOST, 1, "×")
        if model.key == "mlp":
            yield (f"batching, {model.name} at {label(0)}, eager times off",
                   self.ratios(model, 0, lambda result: result["per_second"]), report.AT_LEAST, 2,
                   "×")
        eager = {share: [result["goodput"] for result in self.results[model, "eager", share]]
                 for share in (0, *SHARES)}
        peaks = [max(values) for values in zip(*eager.values())]  # of each round
        for share in (share for share in SHARES if share > 1):
            # More connections make larger batches, so that 120 % of the closed loop's throughput may
            # be less than the peak: nobody can answer what is not asked.
            asked = [result["offered"] for result in self.results[model, "eager", share]]
            yield (f"batching, {model.name} at {label(share)}, eager goodput of its peak",
                   [good / min(peak, offered)
                    for good, peak, offered in zip(eager[share], peaks, asked)],
                   report.AT_LEAST, 0.9, "")

    def ratios(self, model, share, value):
        """Eager over off, formed within each round."""
        return [value(eager) / value(off) for eager, off in zip(
            self.results[model, "eager", share], self.results[model, "off", share])]


def p50(result):
    """Of good answers; where there are none, they would have taken the deadline at least."""
    return result.get("p50_us", DEADLINE * 1000)


def summary(rounds):
    """Medians over the rounds."""
    return {key: median(result[key] for result in rounds) for key in rounds[0]
            if all(key in result for result in rounds)}
