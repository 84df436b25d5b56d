#!/usr/bin/python3
# takes: 60 s
"""sluice compress where a disk is full or a file may not grow: no half version, nothing among temporary
files, a message that says which disk it is, and exit code 69.

A small disk is a tmpfs in a mount namespace of our own. Where that is not permitted, and everywhere
else as well, RLIMIT_FSIZE makes writing fail in the same places.
"""

import os
import resource
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper

from lib.server import BINARY, ROOT, Report, environment

EXAMPLES = ROOT / "examples/models"
METHODS = ("fp16", "dynamic-int8", "static-int8", "optimize", "prune:structure=channels",
           "distill:epochs=1,rows=500,hidden=256")
UNAVAILABLE = 69
FULL = ("No space left on device", "File too large")
LARGE, SMALL = 256, 16  # widths: 790 kB, and 4 kB, which is less than the report's page has
LAYERS = 3


def make_network(root, width):
    """(model, rows): three products of width × width."""
    folder = root / f"mlp{width}"
    folder.mkdir()
    random = numpy.random.default_rng(3)
    nodes, tensors, last = [], [], "x"
    for layer in range(LAYERS):
        weights = random.normal(0, (2 / width) ** 0.5, (width, width)).astype(numpy.float32)
        tensors.append(numpy_helper.from_array(weights, f"w{layer}"))
        nodes += [helper.make_node("MatMul", [last, f"w{layer}"], [f"m{layer}"]),
                  helper.make_node("Relu", [f"m{layer}"], [f"r{layer}"])]
        last = f"r{layer}"
    graph = helper.make_graph(
        nodes, "mlp", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", width])],
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, ["n", width])], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, str(folder / "model.onnx"))
    numpy.save(root / f"{width}.npy", random.normal(0, 1, (200, width)).astype(numpy.float32))
    return folder / "model.onnx", root / f"{width}.npy"


class Case:
    """A folder for outputs and one for temporary files, either of which can be a small disk."""

    def __init__(self, root):
        self.root = root
        self.small, self.outputs, self.temp = root / "small", root / "outputs", root / "temp"
        for folder in (self.small, self.outputs, self.temp):
            folder.mkdir()
        self.model, self.rows = make_network(root, LARGE)
        self.namespaces = subprocess.run(
            ["unshare", "-rm", "sh", "-c", 'mount -t tmpfs -o size=64k none "$1"', "sh", self.small],
            capture_output=True).returncode == 0

    def command(self, model, method, output, rows=None):
        rows = rows or self.rows
        return [str(each) for each in (
            BINARY, "compress", model, "--method", method, "--calibration", rows, "--evaluate", rows,
            "--output", output, "--max-accuracy-drop", "1", "--seconds", "0.2")]

    def limited(self, most, model, method, output, rows=None):
        """Files may have `most` bytes."""
        return subprocess.run(
            self.command(model, method, output, rows), text=True, capture_output=True, timeout=120,
            env={**environment(), "TMPDIR": str(self.temp)},
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most)))

    def on_small_disk(self, kib, method, where):
        """`where` ("output" or "temp") is a disk of so many KiB. What is left on it comes behind what
        the command says, as it is gone with the namespace."""
        output = (self.small if where == "output" else self.outputs) / "v2"
        temp = self.small if where == "temp" else self.temp
        done = subprocess.run(
            ["unshare", "-rm", "sh", "-c",
             f'mount -t tmpfs -o size={kib}k none "$0" && {{ "$@"; code=$?; echo "left:" >&2; '
             'ls -A "$0" >&2; exit $code; }', self.small, *self.command(self.model, method, output)],
            text=True, capture_output=True, timeout=120,
            env={**environment(), "TMPDIR": str(temp)})
        done.stderr, _, left = done.stderr.partition("left:\n")
        return done, left.split()

    def left(self):
        """In any folder that may have been written to."""
        return [path.name for folder in (self.outputs, self.temp) for path in folder.iterdir()]


def refused(report, what, done, left, *words):
    report.equal(f"{what}: the exit code", done.returncode, UNAVAILABLE) or print(done.stderr)
    report.check(f"{what}: says what is wrong", any(word in done.stderr for word in FULL) and
                 all(word in done.stderr for word in words), done.stderr)
    report.equal(f"{what}: one line", done.stderr.count("\n"), 1)
    report.equal(f"{what}: leaves nothing", left, [])


def output_disk_full(report, case):
    """Not even the model fits; and then the model does, and what is said of it does not."""
    if not case.namespaces:
        print("  mount namespaces are not permitted here; RLIMIT_FSIZE below does the same")
        return
    for method in METHODS:
        done, left = case.on_small_disk(64, method, "output")
        refused(report, f"{method}, the output's disk is full", done, left + case.left())
    whole = case.outputs / "whole"
    done = subprocess.run(case.command(case.model, "fp16", whole), capture_output=True, text=True)
    report.equal("with room it is written", done.returncode, 0) or print(done.stderr)
    model = (whole / "model.onnx").stat().st_size
    shutil.rmtree(whole)
    for more in (4, 8, 12):  # KiB: model.yaml, the report, the page
        done, left = case.on_small_disk(model // 4096 * 4 + more, "fp16", "output")
        refused(report, f"room for the model and {more} KiB", done, left + case.left())


def temporary_disk_full(report, case):
    if not case.namespaces:
        return
    for method in METHODS:
        # The model itself is copied there, as it is on another disk; no more.
        kib = case.model.stat().st_size // 1024 + 8
        done, left = case.on_small_disk(kib, method, "temp")
        refused(report, f"{method}, the temporary files' disk is full", done, left + case.left(),
                "TMPDIR")
    done, left = case.on_small_disk(64, "fp16", "temp")
    report.check("not even the model", done.returncode == UNAVAILABLE and "TMPDIR" in done.stderr and
                 not left + case.left(), done.stderr)


def files_may_not_grow(report, case):
    """RLIMIT_FSIZE, which is a signal where nobody ignores it: by that the process would end, and
    leave its temporary files."""
    small = EXAMPLES / "breast_cancer/v1"
    rows = case.root / "cancer.npy"
    numpy.save(rows, numpy.random.default_rng(5).normal(0, 1, (300, 30)).astype(numpy.float32))
    whole = case.outputs / "whole"
    method = "distill:epochs=1,rows=500,hidden=1024"
    done = subprocess.run(case.command(small, method, whole, rows), capture_output=True, text=True)
    report.equal("without a limit it is written", done.returncode, 0) or print(done.stderr)
    sizes = {path.name: path.stat().st_size for path in whole.iterdir()}
    shutil.rmtree(whole)
    original = (small / "model.onnx").stat().st_size
    report.check("the student is larger than the model", sizes["model.onnx"] > 2 * original, sizes)
    done = case.limited(sizes["model.onnx"] - 1, small, method, case.outputs / "v2", rows)
    refused(report, "the model may not be so large", done, case.left(), "TMPDIR")

    # The page is larger than this model, so that only the version's last file does not fit.
    small, rows = make_network(case.root, SMALL)
    original = small.stat().st_size
    done = subprocess.run(case.command(small, "fp16", whole, rows), capture_output=True, text=True)
    report.equal("fp16 is written", done.returncode, 0) or print(done.stderr)
    sizes = {path.name: path.stat().st_size for path in whole.iterdir()}
    shutil.rmtree(whole)
    most = max(sizes["model.onnx"], original)
    report.check("the page is the largest file", sizes["report.html"] > most, sizes)
    done = case.limited(most, small, "fp16", case.outputs / "v2", rows)
    refused(report, "the page may not be so large", done, case.left())


def no_folder(report, case):
    """What cannot be a folder."""
    file = case.outputs / "file"
    file.write_text("x")
    for what, output in (("a device", Path("/dev/full/v2")), ("a file", file / "v2")):
        done = subprocess.run(case.command(case.model, "fp16", output), text=True,
                              capture_output=True, env={**environment(), "TMPDIR": str(case.temp)})
        report.check(f"below {what}", done.returncode == UNAVAILABLE and
                     "Not a directory" in done.stderr, f"{done.returncode} {done.stderr}")
        report.equal(f"below {what}: leaves nothing", case.left(), ["file"])


def main():
    with tempfile.TemporaryDirectory(prefix="e2e-compress-faults-") as scratch:
        case = Case(Path(scratch))

        def with_case(test):
            def named(report):
                test(report, case)
            named.__name__ = test.__name__
            return named

        Report("compress_faults").run(*map(with_case, (
            output_disk_full, temporary_disk_full, files_may_not_grow, no_folder)))


if __name__ == "__main__":
    main()
