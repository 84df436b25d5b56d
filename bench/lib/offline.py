"""The group `batch`: `sluice batch` over a large Parquet file, beside what bounds it and what it replaces.

Rows of breast cancer, drawn again and again with a little noise, as 30 columns of floats; one row in a
thousand has none, and must be answered as the golden file says. The bounds: DuckDB copies the file
with one column more (reading and writing), the engine alone answers rows that lie in memory
(computing), both on all cores. The ideal does the two at the same time: its time is the longer one.
It is beyond reach where both keep all cores busy; but Sluice copies the old columns' bytes, and DuckDB
decodes and encodes them.
"""
import json
import os
import re
import shutil
import sys
from statistics import median

from . import footprint, load, report
from .servers import BENCH, BenchError, need

MODELS = {"onnx": ("v1", "model.onnx", "mlp"), "xgboost": ("v2", "model.json", "trees")}
NAMES = {"onnx": "sluice batch, ONNX MLP", "xgboost": "sluice batch, XGBoost",
         "onnx less": "the same, a tenth of the rows",
         "xgboost less": "the same, a tenth of the rows",
         "copy": "DuckDB copies, one column more",
         "onnx csv": "sluice batch, ONNX MLP, CSV to CSV",
         "xgboost csv": "sluice batch, XGBoost, CSV to CSV",
         "seed onnx csv": "BatchPredictor, sklearn MLP, CSV to CSV",
         "seed xgboost csv": "BatchPredictor, sklearn trees, CSV to CSV",
         "synced": "the same, until it is on the disk", "raw onnx": "raw ONNX Runtime, in memory",
         "raw xgboost": "raw XGBoost, in memory", "seed onnx": "BatchPredictor, sklearn MLP",
         "seed xgboost": "BatchPredictor, sklearn trees"}
ORDER = ("copy", "synced", "raw onnx", "onnx", "onnx less", "seed onnx", "onnx csv", "seed onnx csv",
         "raw xgboost", "xgboost", "xgboost less", "seed xgboost", "xgboost csv", "seed xgboost csv")
# A part of sluice batch is a row group.
ROW_GROUP = 122_880  # DuckDB's own
# Noise is slow to make. What repeats so far apart no codec sees, and no cache of a processor.
DISTINCT = 1_000_000
EXACT = 1000  # one row in so many is a golden one
AS_TEXT = 500_000  # rows of CSV at most, likewise
IN_MEMORY = 1_000_000  # rows at most, for the engines alone and the peer: their rate is the same
BATCHES = (1_000, 10_000)  # of raw ONNX Runtime; the faster one counts
LEAST, TIMES = 0.9, 10
CORES = os.cpu_count()


class Duck:
    """DuckDB in a process of its own for each task."""

    def __init__(self, site):
        self.library = need(site.root / ".deps/duckdb/lib/libduckdb.so", "./dev setup fetches it")

    def run(self, *statements):
        """What the last one answers, {seconds, row}, and the footprint of them all."""
        done = footprint.run([sys.executable, BENCH / "limits/duckdb_sql.py", self.library, CORES,
                              *statements])
        return json.loads(done.output), done


class Work:
    """The files and the programs of one run."""

    def __init__(self, site, rows):
        self.site, self.rows, self.duck = site, rows, Duck(site)
        if (free := shutil.disk_usage(site.temp).free) < (least := 5 * 120 * rows):
            raise BenchError(f"{rows:,} rows need {least / 1e9:.1f} GB in the folder of temporary "
                             f"files, {free / 1e9:.1f} GB are free: choose fewer with --rows, or "
                             "another folder with TMPDIR")
        yaml = site.example("models/breast_cancer/model.yaml").read_text()
        self.columns = re.findall(r"^  - \{name: (\w+)", yaml, re.MULTILINE)
        self.golden = {key: self.golden_of(version) for key, (version, *_) in MODELS.items()}
        self.all = self.make("all", rows)
        self.less = self.make("less", rows // 10)
        self.memory = self.in_memory(min(rows, IN_MEMORY))
        self.text = self.as_text(min(rows, AS_TEXT))

    def golden_of(self, version):
        with open(self.site.example(f"golden/breast_cancer.{version}.jsonl")) as lines:
            return [json.loads(line) for line in lines]

    def golden_table(self, key):
        """SQL that makes the table `golden`, with its answers in `wanted` and `sure`."""
        rows = ", ".join(
            f"({number}, {one['prediction']}, {one['confidence']!r}, "
            f"{', '.join(f'{value!r}::FLOAT' for value in one['features'])})"
            for number, one in enumerate(self.golden[key]))
        return (f"CREATE TABLE golden AS SELECT * FROM (VALUES {rows}) "
                f"t(id, wanted, sure, {', '.join(self.columns)})")

    def make(self, name, rows):
        file = self.site.temp / f"{name}.parquet"
        noisy = ", ".join(  # hash() is spread over 64 bits: 2 % to both sides
            f"({column} * CASE WHEN r % {EXACT} = 0 THEN 1 ELSE 0.98 + 0.04 * hash(r, {place}) / "
            f"18446744073709551616.0::DOUBLE END)::FLOAT AS {column}"
            for place, column in enumerate(self.columns))
        distinct = min(rows, DISTINCT)
        again = " UNION ALL ".join(["SELECT * FROM noisy"] * -(-rows // distinct))
        self.duck.run(
            self.golden_table("onnx"),
            f"CREATE TABLE noisy AS SELECT {noisy} FROM range({distinct}) t(r) JOIN golden ON "
            f"id = hash(r) % {len(self.golden['onnx'])}",
            f"COPY (SELECT * FROM ({again}) LIMIT {rows}) TO '{file}' {self.form()}")
        return file

    @staticmethod
    def form():
        return f"(FORMAT parquet, CODEC snappy, ROW_GROUP_SIZE {ROW_GROUP})"

    def in_memory(self, rows):
        file = self.site.temp / "rows.npy"
        near = self.site.temp / "near.json"
        near.write_text(json.dumps([one["features"] for one in self.golden["onnx"]]))
        footprint.run([sys.executable, BENCH / "peers/make_rows.py", file, rows, near])
        return file, rows

    def as_text(self, rows):
        file = self.site.temp / "rows.csv"
        self.duck.run(f"COPY (SELECT * FROM '{self.all}' LIMIT {rows}) TO '{file}' (FORMAT csv)")
        return file, rows

    # One method for each thing that is measured: {per_second, …} of one round.

    def sluice(self, key, file, rows):
        version = MODELS[key][0]
        model = self.site.example(f"models/breast_cancer/{version}")
        out = self.site.temp / f"out{file.suffix}"
        os.sync()  # what others wrote is theirs
        done = footprint.run([self.site.binary("sluice"), "batch", "--model", model, "--input", file,
                              "--output", out, "--json"])
        self.verify(key, out, rows)
        out.unlink()
        return result(rows, done.seconds, done)

    def verify(self, key, out, rows):
        """All rows have an answer, and those of the golden file the one that it says."""
        same = " AND ".join(f"o.{column}::FLOAT = g.{column}" for column in self.columns)
        answer, _ = self.duck.run(
            self.golden_table(key),
            f"SELECT count(*), count(*) FILTER (prediction = wanted AND abs(confidence - sure) < "
            f"1e-5), (SELECT count(prediction) FROM '{out}') FROM '{out}' o JOIN golden g "
            f"ON {same}")
        found, right, answered = answer["row"]
        if answered != rows or found < rows // EXACT or right != found:
            raise BenchError(f"{NAMES[key]}: {answered:,} of {rows:,} rows have an answer, and "
                             f"{right:,} of {found:,} golden ones the right one")

    def copy(self):
        """(until the file is written, until it is on the disk as well)"""
        out = self.site.temp / "copy.parquet"
        os.sync()
        answer, done = self.duck.run(f"COPY (SELECT *, 1::FLOAT AS prediction FROM '{self.all}') TO "
                                     f"'{out}' {self.form()}")
        flushed = footprint.run(["sync", out])
        out.unlink()
        return (result(self.rows, answer["seconds"], done),
                result(self.rows, answer["seconds"] + flushed.seconds, done))

    def raw(self, key, seconds):
        model = self.site.example("models/breast_cancer") / MODELS[key][0] / MODELS[key][1]
        if key == "onnx":
            rates = [self.raw_onnx(model, seconds, batch) for batch in BATCHES]
            return max(rates, key=lambda one: one["per_second"])
        done = footprint.run([sys.executable, BENCH / "limits/xgboost_rows.py", model,
                              self.memory[0], CORES, seconds])
        return json.loads(done.output)

    def raw_onnx(self, model, seconds, batch):
        before = os.times()
        found = load.raw_loop(self.site.binary("bench_raw_ort"), model, CORES, seconds, batch)
        after = os.times()
        used = (after.children_user + after.children_system - before.children_user -
                before.children_system)
        rows = batch * found["per_second"]
        return {"per_second": rows, "cpu_us": 1e6 * used / (rows * seconds)}

    def seed(self, key, file, rows):
        # A thread for each worker: more would only be in each other's way.
        done = footprint.run([sys.executable, BENCH / "peers/batch_predictor.py",
                              self.site.pickle(MODELS[key][2]), file,
                              self.site.temp / f"seed{file.suffix}", CORES], env={"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"})
        return result(rows, float(done.output), done)


def result(rows, seconds, done):
    return {"rows": rows, "seconds": seconds, "per_second": rows / seconds,
            "cpu_us": 1e6 * done.cpu / rows, "peak_mib": done.peak}


def measure(site, rounds, seconds, rows, say):
    """Interleaved: the copy, and for each model the engine, ours and the peer; then again."""
    own, out = Work(site, rows), Offline(rows)
    say(f"{rows:,} rows are {own.all.stat().st_size / 1e6:,.0f} MB of Parquet")
    for number in range(1, rounds + 1):
        def note(key, found):
            out.rounds.setdefault(key, []).append(found)
            say(f"round {number}/{rounds}  {NAMES[key]}: {found['per_second']:,.0f} rows/s")

        for key, found in zip(("copy", "synced"), own.copy()):
            note(key, found)
        for key in MODELS:
            note(f"raw {key}", own.raw(key, seconds))
            note(key, own.sluice(key, own.all, rows))
            note(f"{key} less", own.sluice(key, own.less, rows // 10))
            note(f"seed {key}", own.seed(key, *own.memory))
            note(f"{key} csv", own.sluice(key, *own.text))
            note(f"seed {key} csv", own.seed(key, *own.text))
    return out


class Offline:
    """Of each round: {key of NAMES: [result]}."""

    def __init__(self, rows):
        self.rows, self.rounds = rows, {}

    def ratios(self, key, formula, *others):
        return [formula(*(one["per_second"] for one in ones))
                for ones in zip(self.rounds[key], *(self.rounds[other] for other in others))]

    def table(self):
        lines = [("", "rows", "rows/s", "min – max", "CPU µs/row", "peak MiB")]
        for key in ORDER:
            rounds = self.rounds[key]
            cell = report.summary(rounds)
            count = f"{rounds[0]['rows']:,}" if "rows" in rounds[0] else ""
            peak = f"{median(one['peak_mib'] for one in rounds):,.0f}" if count else ""
            lines.append((NAMES[key], count, f"{cell['per_second']:,.0f}",
                          f"{cell['min']:,.0f} – {cell['max']:,.0f}", f"{cell['cpu_us']:.2f}", peak))
        said = ", ".join(f"{NAMES[key]} {self.of_work(key):.2f}" for key in MODELS)
        return (f"Predictions for a table of {self.rows:,} rows\n{report.aligned(lines)}\n"
                f"By the processor's time, the ideal's over ours: {said}")

    def of_work(self, key):
        """As the target, but with the processor's time for a row instead of the clock's: what waits
        for a disk or for a neighbour does not count."""
        used = {name: report.summary(self.rounds[name])["cpu_us"]
                for name in (key, "copy", f"raw {key}")}
        return max(used["copy"], used[f"raw {key}"]) / used[key]

    def reach(self):
        for key in MODELS:
            yield report.entry(f"batch, {NAMES[key]}, of the ideal", self.ratios(
                key, lambda own, copy, raw: own / min(copy, raw), "copy", f"raw {key}"),
                report.AT_LEAST, LEAST, "")
        for key in MODELS:
            yield report.entry(f"batch, {NAMES[f'{key} csv']}, times BatchPredictor", self.ratios(
                f"{key} csv", lambda own, seed: own / seed, f"seed {key} csv"), report.AT_LEAST,
                TIMES, "×")

    def cells(self):
        return [{"key": key, **report.summary(self.rounds[key]), "rounds": self.rounds[key]}
                for key in ORDER]
