"""Runs of sluice batch between this disk and a bucket."""

import os
import subprocess
import tempfile
from pathlib import Path

import numpy
from sklearn.datasets import load_breast_cancer

from .s3 import BUCKET, S3
from .server import BINARY, MODELS, Report, environment

MODEL = MODELS / "breast_cancer"
URL = f"s3://{BUCKET}"


def table(path, rows, note=0, noise=0):
    """Rows of one data set as CSV, with a note that makes it long: so many characters, and bytes that
    no codec makes shorter."""
    data = load_breast_cancer()
    dice = numpy.random.default_rng(3)
    values = data.data[dice.integers(0, len(data.data), 200)]
    values = (values * dice.normal(1, 0.02, values.shape)).astype(numpy.float32)
    texts = [",".join(map(repr, row)) for row in values.tolist()]
    with open(path, "w") as out:
        out.write(",".join(["code", *(name.replace(" ", "_") for name in data.feature_names)]))
        out.write(",note\n")
        out.writelines(f"{n:07d},{texts[n % len(texts)]},{'x' * note}"
                       f"{dice.bytes(noise).hex()}{n}\n" for n in range(rows))
    return path


class Case:
    """A bucket, a folder for what lies on this disk, and the runs between them."""

    def __init__(self, root, s3):
        self.root = Path(tempfile.mkdtemp(dir=root))
        self.s3, self.port = s3, None
        self.staging = self.root / "cache/sluice/batch"

    def environment(self, **more):
        return {**environment(), **self.s3.env(self.port),
                "XDG_CACHE_HOME": str(self.root / "cache"), **more}

    def command(self, source, target, *more):
        return [str(BINARY), "batch", "--model", str(MODEL), "--input", str(source), "--output",
                str(target), "--workers", "2", *map(str, more)]

    def run(self, source, target, *more, **env):
        return subprocess.run(self.command(source, target, *more), text=True, timeout=120,
                              capture_output=True, env=self.environment(**env), check=False)

    def start(self, source, target, *more):
        return subprocess.Popen(self.command(source, target, *more), text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                env=self.environment())

    def merge(self, target):
        return subprocess.run([str(BINARY), "batch", "--merge", "--output", target], text=True,
                              timeout=120, capture_output=True, env=self.environment(),
                              check=False)

    def local(self, source, name, *more):
        """The bytes of a run on this disk."""
        target = self.root / name
        done = self.run(source, target, *more)
        if done.returncode:
            raise RuntimeError(done.stderr)
        return target.read_bytes()

    def put(self, key, file):
        self.s3.put(key, file.read_bytes())

    def left(self):
        """What lies in the staging folder."""
        return sorted(self.staging.iterdir()) if self.staging.exists() else []


def succeeds(report, what, done):
    return report.check(what, done.returncode == 0, (done.returncode, done.stderr))


def run_cases(name, *tests):
    """Each test is a function of the report and a case with a bucket that is empty."""
    os.environ.pop("AWS_PROFILE", None)
    with tempfile.TemporaryDirectory(prefix="e2e-store-") as scratch, S3() as s3:

        def with_bucket(test):
            def named(report):
                s3.clear()
                test(report, Case(scratch, s3))
            named.__name__ = test.__name__
            return named

        Report(name).run(*map(with_bucket, tests))
