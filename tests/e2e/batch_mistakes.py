#!/usr/bin/python3
"""sluice batch: what people get wrong, what it says to them, and that nothing is lost by it."""

import os
import subprocess
import tempfile
from pathlib import Path

from lib.batch_case import MODEL, table
from lib.server import BINARY, ROOT, Report, environment

IDENTITY = ROOT / "tests/models/identity_float.onnx"
ONES = ",".join(["1"] * 30)


class Desk:
    """A folder to work in, with a table of 150 rows in it."""

    def __init__(self, root):
        self.root = Path(tempfile.mkdtemp(dir=root))
        self.source = table(self.root / "in.csv", 150)
        self.header = self.source.read_text().splitlines()[0]

    def run(self, *arguments, **env):
        return subprocess.run([str(BINARY), "batch", *map(str, arguments)], text=True, timeout=120,
                              capture_output=True, cwd=self.root, check=False,
                              env={**environment(), **env})

    def batch(self, *more, source="in.csv", target="out.csv", model=MODEL):
        return self.run("--model", model, "--input", source, "--output", target, *more)

    def write(self, name, *lines, header=None):
        file = self.root / name
        file.parent.mkdir(exist_ok=True)
        file.write_text("\n".join([header or self.header, *lines]) + "\n")
        return name

    def refuses(self, report, what, done, code, *words):
        shown = str(self.root) in done.stderr
        told = all(word in done.stderr for word in words)
        report.check(what, done.returncode == code and told and not shown and
                     done.stderr.count("\n") == 1, (done.returncode, done.stderr))


def what_is_read_stays(report, desk):
    before = desk.source.read_bytes()
    for target in ("in.csv", "./in.csv", desk.root / "in.csv"):
        desk.refuses(report, f"over {Path(target).name}", desk.batch(target=target), 64,
                     "--output is one of the files that --input names")
    os.link(desk.source, desk.root / "same.csv")
    desk.refuses(report, "over another name of it", desk.batch(target="same.csv"), 64, "--input")
    desk.refuses(report, "over one of a pattern", desk.batch(source="*.csv", target="same.csv"), 64,
                 "--input")
    report.check("it is what it was", desk.source.read_bytes() == before)
    report.equal("nothing else is there", sorted(os.listdir(desk.root)), ["in.csv", "same.csv"])


def options(report, desk):
    cases = [
        ("two ways to say columns", ["--columns", "a", "--map", "in.csv"], "--map"),
        ("a filter that is empty", ["--where", ""], "--where"),
        ("columns that are none", ["--columns", ""], "--columns"),
        ("shards that differ", ["--shard", "1/2", "--shards", "5"], "contradict"),
        ("a shard that is not there", ["--shard", "5/3"], "--shard"),
        ("an option that is none", ["--wher", "x"], "sluice batch --help")]
    for what, more, word in cases:
        desk.refuses(report, what, desk.batch(*more), 64, word)
    wrong = subprocess.run([str(BINARY), "batc"], text=True, capture_output=True, check=False)
    desk.refuses(report, "a command that is none", wrong, 64, "did you mean 'batch'")


def files(report, desk):
    (desk.root / "days").mkdir()
    cases = [
        ("a folder that is not there", "nope/*.csv", 66, "'*.csv'"),
        ("the same with a slash", "nope/", 66, "'nope'"),
        ("an empty folder", "days/", 66, "'days'"),
        ("another store", "abfs://bucket/in.csv", 64, "s3://bucket/")]
    for what, source, code, word in cases:
        desk.refuses(report, what, desk.batch(source=source), code, word)
    semicolons = desk.write("semi.csv", "1;2", header="a;b")
    desk.refuses(report, "semicolons", desk.batch(source=semicolons), 65, "commas")
    nameless = desk.write("nameless.csv", ONES, header=ONES)
    desk.refuses(report, "no line of names", desk.batch(source=nameless), 65, "instead of names")
    array = desk.root / "array.jsonl"
    array.write_text('[{"a": 1}]\n')
    desk.refuses(report, "an array in JSON", desk.batch(source="array.jsonl"), 65,
                 "not an object in JSON")


def bad_rows(report, desk):
    good = f"0,{ONES},x"
    desk.write("parts/a.csv", good, good)
    desk.write("parts/b.csv", good, "0,1,2")
    done = desk.batch(source="parts")
    desk.refuses(report, "a short line, and of which file", done, 65,
                 "row 2 of 'b.csv' (row 4 of the input): the line has 3 fields")
    report.check("what is finished is kept", "--resume" in done.stderr and
                 (desk.root / "out.csv.parts").exists(), done.stderr)
    desk.write("word.csv", good, good.replace("0,1", "0,one"))
    desk.refuses(report, "a word", desk.batch(source="word.csv"), 65, "row 2 of the input: ")
    report.check("nothing is left where nothing is finished", not list(desk.root.glob("out*")))


def filters(report, desk):
    cases = [
        ("an unknown column", "amount > 5", "no column 'amount'", "'code'"),
        ("nearly a column", "mean_radiu > 5", "did you mean 'mean_radius'"),
        ("a text as a name", 'code = "AT"', "no column 'AT'", "single quotes"),
        ("a text for a number", "mean_radius > 'x'", "not of the type"),
        ("no SQL", "mean_radius >> AND", "--where"),
        ("a statement", "1) FROM (SELECT 1", "--where")]
    target = "out.parquet"
    for what, where, *words in cases:
        done = desk.batch("--where", where, target=target)
        desk.refuses(report, what, done, 65, "--where", *words)
        report.check(f"{what}: not in the words of an engine", "Error:" not in done.stderr,
                     done.stderr)


def models(report, desk):
    repository = desk.root / "models"
    repository.mkdir()
    desk.refuses(report, "no such model", desk.batch(model="iris"), 66, "'iris'")
    for name in ("churn", "fraud"):
        (repository / name / "1").mkdir(parents=True)
        (repository / name / "1/model.onnx").write_bytes(
            IDENTITY.read_bytes())
    desk.refuses(report, "nearly a model", desk.batch(model="fraudd"), 66, "did you mean 'fraud'")
    desk.refuses(report, "a folder of several", desk.batch(model="models"), 64, "'churn'",
                 "'fraud'")


def not_finite(report, desk):
    """A model that answers NaN is told of."""
    (desk.root / "nan.csv").write_text("a,b,c\n1,2,3\n,2,3\n")
    done = desk.batch(source="nan.csv", model=IDENTITY)
    report.check("in the summary", done.returncode == 0 and "1 rows have an answer that is not a" in
                 done.stdout, (done.returncode, done.stdout, done.stderr))


def main():
    with tempfile.TemporaryDirectory(prefix="e2e-mistakes-") as scratch:

        def at_a_desk(test):
            def named(report):
                test(report, Desk(scratch))
            named.__name__ = test.__name__
            return named

        Report("batch_mistakes").run(*map(at_a_desk, (
            what_is_read_stays, options, files, bad_rows, filters, models, not_finite)))


if __name__ == "__main__":
    main()
