#!/usr/bin/python3
# takes: 40 s
"""sluice batch: answers equal to the libraries' own, kinds of files, bad rows, kills, shards."""

import csv
import io
import json
import os
import random
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import numpy
import xgboost
from sklearn.datasets import load_breast_cancer, load_diabetes

from lib.server import BINARY, Report, environment

ROWS = int(os.environ.get("BATCH_ROWS", "40000"))
KILLS = int(os.environ.get("BATCH_KILLS", "5"))


class Table:
    """A model in a repository's folder, resampled rows as a CSV file, and the library's answers."""

    def __init__(self, root, name, data, objective, rows):
        random_rows = numpy.random.default_rng(7)
        self.names = [feature.replace(" ", "_") for feature in data.feature_names]
        trained = xgboost.DMatrix(data.data.astype(numpy.float32), data.target,
                                  feature_names=self.names)
        self.booster = xgboost.train({"max_depth": 4, "nthread": 1, "objective": objective},
                                     trained, 30)
        self.model = root / name
        (self.model / "1").mkdir(parents=True)
        self.booster.save_model(self.model / "1/model.ubj")
        (self.model / "model.yaml").write_text(
            "inputs:\n" + "".join(f"  - name: {feature}\n" for feature in self.names))
        picked = random_rows.integers(0, len(data.data), rows)
        self.rows = (data.data[picked] *
                     random_rows.normal(1, 0.02, (rows, len(self.names)))).astype(numpy.float32)
        self.file = root / f"{name}.csv"
        with open(self.file, "w", newline="") as out:
            writer = csv.writer(out, lineterminator="\n")
            writer.writerow(["code", *self.names, "note", "prediction"])
            for number, row in enumerate(self.rows.tolist()):
                writer.writerow([f"{number:07d}", *map(repr, row),
                                 'a "quote",\nand a line' if number % 100 == 0 else "", "old"])

    def want(self):
        return self.booster.predict(xgboost.DMatrix(self.rows, feature_names=self.names))


def run(*arguments, env=None):
    return subprocess.run([str(BINARY), "batch", *map(str, arguments)], text=True,
                          capture_output=True, timeout=300, env={**environment(), **(env or {})})


def batch(table, target, *more, source=None, env=None):
    return run("--model", table.model, "--input", source or table.file, "--output", target,
               "--workers", 2, *more, env=env)


def read(path):
    with open(path, newline="") as file:
        if path.suffix == ".csv":
            return list(csv.DictReader(file))
        return [json.loads(line) for line in file]


def same_answers(report, table, root, classes):
    """Every kind of file to every other: the library's own answers, all columns, the same order."""
    want = table.want()
    previous = table.file
    for number, ending in enumerate(["parquet", "parquet", "jsonl", "jsonl", "parquet", "csv"]):
        target = root / f"{table.model.name}-{number}.{ending}"
        done = batch(table, target, "--batch-size", 1000 + number, source=previous)
        if not report.equal(f"to {target.name}", done.returncode, 0):
            print(done.stderr)
            return
        previous = target
    rows = read(previous)
    report.equal("rows", len(rows), len(table.rows))
    report.equal("columns", list(rows[0]), ["code", *table.names, "note", "prediction", "confidence"])
    report.check("codes keep their zeros and their order",
                 [row["code"] for row in rows] == [f"{n:07d}" for n in range(len(rows))])
    features = numpy.array([[row[name] for name in table.names] for row in rows], numpy.float32)
    report.check("features are what they were", (features == table.rows).all())
    got = numpy.array([float(row["prediction"]) for row in rows], numpy.float32)
    if not classes:
        report.check("answers are the library's, bit for bit", (got == want).all())
        return
    report.check("classes are the library's", (got == (want > 0.5)).all())
    sure = numpy.array([float(row["confidence"]) for row in rows], numpy.float32)
    report.check("so are confidences", numpy.allclose(sure, numpy.maximum(want, 1 - want), 0, 1e-7))


def as_predict(report, table, root):
    """Bit for bit what sluice predict answers."""
    target = root / "few.jsonl"
    batch(table, target, "--where", "code < '0000005'", "--all-outputs")
    rows = read(target)
    report.equal("the filter", [row["code"] for row in rows], [f"{n:07d}" for n in range(5)])
    for row, features in zip(rows, table.rows.tolist()):
        done = subprocess.run([BINARY, "predict", table.model, "--json", "--data",
                               json.dumps(features)], capture_output=True, env=environment())
        answer = json.loads(done.stdout)
        for key in ("prediction", "confidence"):
            report.equal(f"{key} as sluice predict", numpy.float32(row[key]),
                         numpy.float32(answer[key]))


def columns(report, table, root):
    renamed = root / "renamed.csv"
    head, rest = table.file.read_text().split("\n", 1)
    first = "\n".join(rest.split("\n")[3:6]) + "\n"
    other = {name: f"x{place}" for place, name in enumerate(table.names)}
    header = ",".join(other.get(name, name) for name in head.split(","))
    renamed.write_text(header + "\n" + first)
    done = batch(table, root / "r.csv", source=renamed)
    report.equal("names that are not there", done.returncode, 65)
    report.check("are told with what to do", "--map" in done.stderr and "--columns" in done.stderr,
                 done.stderr)
    report.equal("in order", batch(table, root / "r1.csv", "--columns", ",".join(other.values()),
                                   source=renamed).returncode, 0)
    (root / "map.yaml").write_text("".join(f"{name}: {to}\n" for name, to in other.items()))
    report.equal("by a mapping", batch(table, root / "r2.csv", "--map", root / "map.yaml",
                                       source=renamed).returncode, 0)
    report.equal("alike", (root / "r1.csv").read_bytes(), (root / "r2.csv").read_bytes())
    for day, text in (("1", first), ("2", first)):
        folder = root / f"days/day={day}"
        folder.mkdir(parents=True)
        (folder / "part.csv").write_text(header + "\n" + text)
    for source in (root / "days", root / "days/**/*.csv", root / "days/day=*/part.csv"):
        done = batch(table, root / "d.jsonl", "--map", root / "map.yaml", source=source)
        report.equal("folders", (done.returncode, [row["day"] for row in read(root / "d.jsonl")]),
                     (0, [1, 1, 1, 2, 2, 2]))
    wrong = batch(table, root / "w.csv", "--where", "nothing = 1")
    report.check("a filter that is none", wrong.returncode == 65 and "--where" in wrong.stderr,
                 wrong.stderr)


def bad_rows(report, table, root):
    lines = table.file.read_text().split("\n")
    lines = [line for line in lines if "," in line and '"' not in line and line != "and a line"][:40]
    for place in (5, 17):
        fields = lines[place].split(",")
        lines[place] = ",".join([fields[0], "many", *fields[2:]])
    source = root / "bad.csv"
    source.write_text("\n".join(lines) + "\n")
    done = batch(table, root / "bad-out.csv", source=source)
    report.check("fails", done.returncode == 65 and "row 5 of" in done.stderr, done.stderr)
    report.check("without an output", not (root / "bad-out.csv").exists())
    for how, count in (("null", len(lines) - 1), ("skip", len(lines) - 3)):
        target = root / f"bad-{how}.csv"
        done = batch(table, target, "--on-error", how, "--batch-size", 4, source=source)
        report.equal(f"{how}: rows", len(read(target)), count)
        listed = [json.loads(line) for line in open(f"{target}.bad_rows.jsonl")]
        report.equal(f"{how}: listed", [row["row"] for row in listed], [5, 17])
        report.check(f"{how}: told", "row 17: column" in done.stdout, done.stdout)
    rows = read(root / "bad-null.csv")
    report.equal("no prediction", [n + 1 for n, row in enumerate(rows) if row["prediction"] == ""],
                 [5, 17])


def plain_lines(table, count):
    """The first lines of the table with no column that is replaced: (header, lines)."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    with open(table.file, newline="") as file:
        for row, _ in zip(csv.reader(file), range(count + 1)):
            writer.writerow(row[:-1])
    rows = list(csv.reader(io.StringIO(out.getvalue())))
    lines = []
    for row in rows:
        line = io.StringIO()
        csv.writer(line, lineterminator="").writerow(row)
        lines.append(line.getvalue())
    return lines[0], lines[1:]


def lines_beside(report, table, root):
    """Where CSV only gains columns, each line is what it was, quotes, ends and all."""
    header, lines = plain_lines(table, 500)
    lines[3] = lines[3].replace(",", ", ", 1)  # a blank that nobody has to keep
    lines[7] = '"' + lines[7].replace(",", '",', 1)  # quotes that are not needed
    source, target = root / "plain.csv", root / "beside.csv"
    source.write_bytes(("\r\n".join([header, *lines])).encode())  # the last has no end
    done = batch(table, target, source=source)
    report.equal("answered", done.returncode, 0)
    text = target.read_bytes().decode()
    want = table.want()
    at = 0
    for number, line in enumerate([header, *lines]):
        same = text.startswith(line + ",", at)
        end = text.index("\n", at + len(line)) + 1
        added = text[at + len(line) + 1:end]
        if number == 0:
            report.equal("names are added", added, "prediction,confidence\r\n")
        elif not same or numpy.float32(added.split(",")[0]) != want[number - 1]:
            report.check(f"line {number} and its answer", False, text[at:end])
        at = end
    report.equal("and nothing more", at, len(text))
    batch(table, root / "some.csv", "--where", "code >= '0000490'", source=source)
    report.equal("a filter leaves lines out",
                 [row["code"] for row in read(root / "some.csv")],
                 [f"{number:07d}" for number in range(490, 500)])


def lines_of_numbers(report, table, root):
    """What is plain is read in another way than what is not: the answers must not tell which."""
    rows = [",".join(map(repr, row)) for row in table.rows.tolist()]
    rows *= -(-120_000 // len(rows))  # several parts
    want = numpy.tile(table.want(), len(rows) // len(table.rows)) > 0.5
    source, target = root / "numbers.csv", root / "numbers-out.csv"

    def answers(quoted, *bad):
        lines = [",".join(table.names), *rows]
        for number in quoted:
            lines[number + 1] = '"' + lines[number + 1].replace(",", '",', 1)
        for number in bad:
            lines[number + 1] = "oops" + lines[number + 1]
        source.write_text("\n".join(lines) + "\n")
        return run("--model", table.model, "--input", source, "--output", target, "--workers", 4)

    for quoted in ((), range(0, len(rows), 1000), (len(rows) - 1,)):
        done = answers(quoted)
        if report.equal(f"{len(quoted)} quotes", done.returncode, 0):
            got = [line.rsplit(",", 2)[1] == "1" for line in open(target)][1:]
            report.check("the library's classes", got == want.tolist(), f"{len(got)} lines")
    third = len(rows) // 3
    for _ in range(3):
        done = answers((), third, third + 1, len(rows) - 1)
        report.check("of several bad rows the first is told", f"row {third + 1} of" in done.stderr,
                     done.stderr)


def broken_lines(report, table, root):
    """Lines that are no rows at all are bad rows, told with why; without --on-error they end it."""
    header, lines = plain_lines(table, 300)
    lines = [line.replace("\n", " ") for line in lines]
    rest = [line for number, line in enumerate(lines) if number not in (17, 100, 299)]
    good = root / "rest.csv"
    good.write_text("\n".join([header, *rest]) + "\n")
    batch(table, root / "rest-out.csv", source=good)
    lines[17] = "only,three,fields"
    lines[100] += ",one more"
    raw = [line.encode() for line in lines]
    raw[299] = raw[299].replace(b",", b"\xff,", 1)
    source = root / "broken.csv"
    source.write_bytes(b"\n".join([header.encode(), *raw]) + b"\n")
    done = batch(table, root / "broken-out.csv", source=source)
    report.check("ends the run", done.returncode == 65 and
                 "row 18 of the input: the line has 3 fields, expected 12" in done.stderr, done.stderr)
    for how in ("null", "skip"):
        target = root / f"broken-{how}.csv"
        done = batch(table, target, "--on-error", how, source=source)
        listed = [json.loads(line) for line in open(f"{target}.bad_rows.jsonl")]
        report.equal(f"{how}: listed", listed, [
            {"row": 18, "reason": "the line has 3 fields, expected 12"},
            {"row": 101, "reason": "the line has 13 fields, expected 12"},
            {"row": 300, "reason": "the line is not text in UTF-8"}])
        report.check(f"{how}: the others as if they were alone",
                     target.read_bytes() == (root / "rest-out.csv").read_bytes())
    done = batch(table, root / "broken.parquet", "--on-error", "skip", source=source)
    report.check("to another format, types and all",
                 done.returncode == 0 and "bad          3 rows" in done.stdout, done.stdout + done.stderr)
    names = header.split(",")
    objects = [json.dumps(dict(zip(names, row))) for row in csv.reader(rest[:50])]
    objects.insert(20, '{"age": 1, ')
    objects.insert(31, "[1, 2]")
    source = root / "broken.jsonl"
    source.write_text("\n".join(objects) + "\n")
    target = root / "broken-out.jsonl"
    done = batch(table, target, source=source)
    report.check("JSON: ends the run", done.returncode == 65, done.stderr)
    done = batch(table, target, "--on-error", "skip", source=source)
    report.equal("JSON: the others are answered", done.returncode, 0)
    listed = [json.loads(line)["row"] for line in open(f"{target}.bad_rows.jsonl")]
    report.equal("JSON: listed", listed, [21, 32])
    report.equal("JSON: rows", len(read(target)), 50)
    source = root / "noise.csv"
    source.write_text("\n".join([header] + ["not, a table"] * 3000) + "\n")
    done = batch(table, root / "noise-out.csv", "--on-error", "skip", source=source)
    report.check("what is no table is refused", done.returncode == 65 and
                 "more lines are broken" in done.stderr, done.stderr)


def killed(report, table, root):
    """kill -9 at random moments and --resume: the bytes of an undisturbed run; a reader never sees
    less than the whole."""
    whole = root / "whole.csv"
    began = time.monotonic()
    report.equal("undisturbed", batch(table, whole, "--batch-size", 500).returncode, 0)
    lasted = time.monotonic() - began
    want = whole.read_bytes()
    target = root / "killed.csv"
    seen, looking = set(), threading.Event()

    def look():
        while not looking.is_set():
            if target.exists():
                seen.add(target.stat().st_size)
            time.sleep(0.001)

    reader = threading.Thread(target=look)
    reader.start()
    dice = random.Random(11)
    kept = 0
    command = [str(BINARY), "batch", "--model", table.model, "--input", table.file, "--output",
               target, "--workers", "2", "--batch-size", "500", "--resume"]
    for _ in range(KILLS):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                   env=environment())
        try:
            process.wait(dice.uniform(0.05, lasted))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        done = Path(f"{target}.parts/done.jsonl")
        kept = max(kept, len(done.read_text().split("\n")) - 1 if done.exists() else 0)
    for _ in range(5):  # chance, or a busy machine: again, when something has been finished
        kept = kept or killed_later(command, Path(f"{target}.parts/done.jsonl"))
    done = batch(table, target, "--batch-size", "500", "--resume", "--json")
    looking.set()
    reader.join()
    report.equal("goes on", done.returncode, 0)
    report.check("and keeps what was finished", kept > 0, f"{kept} parts")
    report.check("the same bytes", target.read_bytes() == want)
    report.check("nobody saw half a file", seen <= {len(want)}, str(seen))
    report.check("no folder is left", not Path(f"{target}.parts").exists())


def killed_later(command, listed):
    """Kills it as soon as a part is listed as done; how many are."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               env=environment())
    while process.poll() is None and not (listed.exists() and b"\n" in listed.read_bytes()):
        time.sleep(0.002)
    process.kill()
    process.wait()
    return listed.read_text().count("\n") if listed.exists() else 0


def interrupted(report, table, root):
    target = root / "stopped.parquet"
    process = subprocess.Popen(
        [str(BINARY), "batch", "--model", table.model, "--input", table.file, "--output", target,
         "--workers", "1", "--batch-size", "20"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        text=True, env=environment())
    listed = Path(f"{target}.parts/done.jsonl")
    while process.poll() is None and not (listed.exists() and listed.stat().st_size):
        time.sleep(0.002)
    process.send_signal(signal.SIGINT)
    said = process.communicate()[0]
    report.equal("Ctrl-C", process.returncode, 130)
    report.check("says how to go on", "--resume" in said, said)
    other = batch(table, target, "--resume", "--batch-size", "21")
    report.check("another option is refused", other.returncode == 65 and
                 "--batch-size" in other.stderr, other.stderr)
    rows = Path(f"{target}.parts/rows")
    rows.write_bytes(rows.read_bytes()[:-1])
    done = batch(table, target, "--resume", "--batch-size", "20")
    report.check("a damaged part is made again", "one was damaged" in done.stdout, done.stdout)
    whole = root / "not-stopped.parquet"
    batch(table, whole, "--batch-size", "20")
    report.check("the same bytes", target.read_bytes() == whole.read_bytes())


def shards(report, table, root):
    whole, target = root / "one.parquet", root / "many.parquet"
    batch(table, whole)
    ways = [(["--shard", "1/3"], {}), (["--shards", "3"], {"JOB_COMPLETION_INDEX": "1"}),
            ([], {"SLURM_ARRAY_TASK_ID": "6", "SLURM_ARRAY_TASK_MIN": "4",
                  "SLURM_ARRAY_TASK_COUNT": "3"})]
    for place, (flags, env) in enumerate(ways):
        missing = run("--merge", "--output", target)
        report.check("not before all are there", missing.returncode in (65, 66), missing.stderr)
        done = batch(table, target, *flags, env=env)
        report.equal(f"shard {place + 1}", done.returncode, 0)
    report.equal("merge", run("--merge", "--output", target).returncode, 0)
    report.check("the bytes of one run", whole.read_bytes() == target.read_bytes())
    report.equal("no such shard", batch(table, target, "--shard", "0/3").returncode, 64)


def main():
    with tempfile.TemporaryDirectory(prefix="e2e-batch-") as scratch:
        root = Path(scratch)
        diabetes = Table(root, "diabetes", load_diabetes(), "reg:squarederror", ROWS)
        cancer = Table(root, "cancer", load_breast_cancer(), "binary:logistic", ROWS)

        def numbers(report):
            same_answers(report, diabetes, root, classes=False)

        def classes(report):
            same_answers(report, cancer, root, classes=True)

        def with_table(test, table):
            def named(report):
                test(report, table, root)
            named.__name__ = test.__name__
            return named

        Report("batch").run(numbers, classes, with_table(as_predict, diabetes),
                            with_table(columns, diabetes), with_table(bad_rows, diabetes),
                            with_table(lines_beside, diabetes), with_table(broken_lines, diabetes),
                            with_table(lines_of_numbers, cancer),
                            with_table(killed, cancer), with_table(interrupted, cancer),
                            with_table(shards, cancer))


if __name__ == "__main__":
    main()
