#!/usr/bin/python3
# takes: 60 s
"""sluice compress: versions that are still right, by the data sets' own labels and scikit-learn's
split; ONNX's checker; what is refused, and that nothing is left then."""

import csv
import json
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_breast_cancer, load_digits

from lib.server import BINARY, ROOT, Report, Server, environment

EXAMPLES = ROOT / "examples/models"
FAST = ("--seconds", "0.4")


def run(*arguments, timeout=120):
    return subprocess.run([str(BINARY), "compress", *map(str, arguments)], text=True,
                          capture_output=True, timeout=timeout, env=environment())


def write_table(path, names, rows, labels):
    with open(path, "w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow([*names, "label"])
        writer.writerows([*map(repr, map(float, row)), label] for row, label in zip(rows, labels))
    return path


class Data:
    """The two data sets as tables: one half to calibrate on, the other to be tried on."""

    def __init__(self, root):
        digits = load_digits()
        cancer = load_breast_cancer()
        yaml = (EXAMPLES / "breast_cancer/model.yaml").read_text()
        names = re.findall(r"^  - \{name: (\w+)", yaml, re.MULTILINE)
        pixels = [f"p{i}" for i in range(64)]
        self.digits = [write_table(root / f"digits{half}.csv", pixels, digits.data[half::2],
                                   digits.target[half::2]) for half in (0, 1)]
        self.cancer = [write_table(root / f"cancer{half}.csv", names, cancer.data[half::2],
                                   cancer.target[half::2]) for half in (0, 1)]
        self.cancer_x = cancer.data[1::2].astype(numpy.float32)
        self.cancer_y = cancer.target[1::2]

    def of(self, key):
        return self.digits if key == "digits/1" else self.cancer


def compress(data, model, method, target, *more):
    calibration, evaluation = data.of(model)
    return run(EXAMPLES / model, "--method", method, "--calibration", calibration, "--evaluate",
               evaluation, "--output", target, "--json", *FAST, *more)


def kept(report, data, root, model, method, least_size, most_drop, like=None):
    """Compresses, and looks at what was written."""
    target = root / f"{model.replace('/', '-')}-{re.sub('[^a-z0-9]+', '-', method)}"
    done = compress(data, model, method, target, "--max-accuracy-drop", max(most_drop, 0.01))
    report.equal(f"{model} {method}: kept", done.returncode, 0)
    if done.returncode != 0:
        print(done.stderr)
        return None
    found = json.loads(done.stdout)
    written = json.loads((target / "report.json").read_text())
    report.equal("the report is beside it", written["sha256"], found["sha256"])
    report.check(f"{model} {method}: smaller", found["size_ratio"] <= least_size,
                 str(found["size_ratio"]))
    if method.startswith("distill"):
        report.check(f"{model} {method}: agrees", found["comparison"]["agreement"] >= 0.97,
                     str(found["comparison"]["agreement"]))
    drop = found["before"]["accuracy"] - found["after"]["accuracy"]
    report.check(f"{model} {method}: accuracy", drop <= most_drop, str(drop))
    if (target / "model.onnx").exists():
        onnx.checker.check_model(str(target / "model.onnx"), full_check=False)
    yaml = (target / "model.yaml").read_text()
    report.check("model.yaml says what it is made of", f'method: "{method}"' in yaml and
                 found["sha256"] in yaml, yaml)
    page = (target / "report.html").read_text()
    report.check("the page needs nothing from elsewhere",
                 "<svg" in page and "http" not in page and "<script" not in page)
    return target


METHODS = [("digits/1", "static-int8", 0.5, 0.005), ("digits/1", "dynamic-int8:store=true", 0.6, 0.005),
           ("digits/1", "fp16", 0.7, 0.002), ("digits/1", "prune:sparsity=0.3", 1.01, 0.01),
           ("breast_cancer/v1", "static-int8", 0.9, 0.005),
           ("breast_cancer/v1", "prune:sparsity=0.3+fp16", 0.7, 0.01),
           ("breast_cancer/v1", "optimize", 1.5, 0),
           ("breast_cancer/v2", "prune-trees", 0.95, 0.01),
           ("digits/1", "distill", 0.6, 0.01), ("breast_cancer/v1", "distill", 0.6, 0.01),
           ("breast_cancer/v2", "distill", 0.9, 0.015),
           ("breast_cancer/v2", "distill:student=mlp", 0.3, 0.03)]


def methods(report, data, root):
    for model, method, size, drop in METHODS:
        kept(report, data, root, model, method, size, drop)


def large_products(report, data, root):
    """Where weights dominate: int8 is at most 27 % of the bytes. The arithmetic is NumPy's here."""
    del data
    random = numpy.random.default_rng(3)
    width = 512
    weights = [random.normal(0, 0.05, (width, width)).astype(numpy.float32) for _ in range(3)]
    nodes, last = [], "x"
    for i in range(3):
        nodes.append(helper.make_node("MatMul", [last, f"w{i}"], [f"m{i}"]))
        last = f"m{i}"
        if i < 2:
            nodes.append(helper.make_node("Relu", [last], [f"r{i}"]))
            last = f"r{i}"
    graph = helper.make_graph(
        nodes, "mlp", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", width])],
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, ["n", width])],
        [numpy_helper.from_array(weight, f"w{i}") for i, weight in enumerate(weights)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    file = root / "mlp.onnx"
    onnx.save(model, str(file))
    rows = random.normal(0, 1, (400, width)).astype(numpy.float32)
    numpy.save(root / "rows.npy", rows)
    for method in ("dynamic-int8", "static-int8"):
        target = root / f"mlp-{method}"
        done = run(file, "--method", method, "--calibration", root / "rows.npy", "--evaluate",
                   root / "rows.npy", "--output", target, "--json", "--max-accuracy-drop", "0.05",
                   *FAST)
        report.equal(f"{method}: kept", done.returncode, 0)
        found = json.loads(done.stdout)
        report.check(f"{method}: at most 27 % of the bytes", found["size_ratio"] <= 0.27,
                     str(found["size_ratio"]))
        # The rows lie beside it, and are no part of the model.
        report.equal(f"{method}: only the model's own files count", found["before"]["file_bytes"],
                     file.stat().st_size)
        alone = json.loads(subprocess.run([str(BINARY), "inspect", str(target / "model.onnx"),
                                           "--json"], text=True, capture_output=True).stdout)
        share = found["after"]["memory_bytes"] / alone["peak_memory_bytes"]
        report.check(f"{method}: memory is the model's, not the compressing process's",
                     0.8 < share < 1.2, str(share))
        # An independent reading of the new weights: scales and int8 values times back.
        made = onnx.load(str(target / "model.onnx"))
        stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in made.graph.initializer}
        small = [value for value in stored.values() if value.dtype == numpy.int8 and value.ndim == 2]
        report.equal(f"{method}: three matrices of int8", len(small), 3)
        for weight in weights:
            scale = numpy.abs(weight).max(axis=0) / numpy.float32(127)
            want = numpy.clip(numpy.rint(weight / scale), -127, 127)
            near = min(numpy.abs(value.astype(int) - want).max() for value in small)
            report.check(f"{method}: the weights are NumPy's, to one step", near <= 1, str(near))


def weights_elsewhere(report, data, root):
    """Weights in a folder below the model's, beside files that are none of it."""
    del data
    random = numpy.random.default_rng(4)
    width = 256
    weights = random.normal(0, 0.06, (width, width)).astype(numpy.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])], "outside",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", width])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", width])],
        [numpy_helper.from_array(weights, "w")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    file = root / "outside.onnx"
    (root / "weights").mkdir()
    onnx.save_model(model, str(file), save_as_external_data=True, location="weights/w.bin")
    (root / "notes.txt").write_text("none of it" * 1000)
    rows = random.normal(0, 1, (200, width)).astype(numpy.float32)
    numpy.save(root / "rows.npy", rows)
    for method in ("dynamic-int8", "static-int8", "fp16", "optimize"):
        target = root / f"made-{method}"
        done = run(file, "--method", method, "--calibration", root / "rows.npy", "--evaluate",
                   root / "rows.npy", "--output", target, "--json", "--max-accuracy-drop", "0.05",
                   *FAST)
        if not report.equal(f"{method}, weights in a folder below", done.returncode, 0):
            print(done.stderr)
            continue
        found = json.loads(done.stdout)
        report.equal(f"{method}: their bytes count", found["before"]["file_bytes"],
                     file.stat().st_size + (root / "weights/w.bin").stat().st_size)
        onnx.checker.check_model(str(target / "model.onnx"))


def refused(report, data, root):
    """What is not good enough, or cannot be done: nothing is written, and it is said why."""
    target = root / "refused"
    done = compress(data, "breast_cancer/v1", "prune:sparsity=0.95", target)
    report.equal("too much is lost", done.returncode, 1)
    report.check("and it is said", json.loads(done.stdout)["kept"] is False)
    cases = [
        ("no rows to calibrate", 65, "--calibration",
         (EXAMPLES / "digits/1", "--method", "static-int8", "--evaluate", data.digits[1])),
        ("no such method", 65, "did you mean 'fp16'",
         (EXAMPLES / "digits/1", "--method", "fp15", "--evaluate", data.digits[1])),
        ("no such setting", 65, "sparsity",
         (EXAMPLES / "digits/1", "--method", "prune:sparsty=0.3", "--evaluate", data.digits[1])),
        ("another kind of file", 65, "prune-trees takes",
         (EXAMPLES / "digits/1", "--method", "prune-trees", "--evaluate", data.digits[1])),
        ("no such label", 65, "--label",
         (EXAMPLES / "digits/1", "--method", "fp16", "--evaluate", data.digits[1], "--label", "truth")),
        ("no such model", 66, "no model", (root / "none", "--method", "fp16")),
        ("nothing to do", 64, "--method", (EXAMPLES / "digits/1",))]
    for name, code, word, arguments in cases:
        done = run(*arguments, "--output", target, *FAST)
        report.check(name, done.returncode == code and word in done.stderr,
                     f"{done.returncode} {done.stderr}")
    done = compress(data, "digits/1", "static-int8", root / "once")
    again = run(root / "once", "--method", "static-int8", "--calibration", data.digits[0],
                "--evaluate", data.digits[1], "--output", target, *FAST)
    report.check("what is quantised already", again.returncode == 65 and
                 "quantised" in again.stderr, again.stderr)
    full = run(EXAMPLES / "digits/1", "--method", "fp16", "--evaluate", data.digits[1], "--output",
               root / "once", *FAST)
    report.check("a folder that has something", full.returncode == 64, full.stderr)
    report.check("nothing was written", not target.exists() and
                 not [path for path in root.iterdir() if path.name.startswith(".")])


def stopped(report, data, root):
    """Ctrl-C: nothing is left, neither beside the output nor among temporary files."""
    calibration, evaluation = data.digits
    target = root / "stopped"
    temp = root / "temp"
    temp.mkdir()
    process = subprocess.Popen(
        [str(BINARY), "compress", str(EXAMPLES / "digits/1"), "--method", "fp16", "--evaluate",
         str(evaluation), "--calibration", str(calibration), "--output", str(target), "--seconds",
         "60"], env={**environment(), "TMPDIR": str(temp)}, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True)
    time.sleep(3)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=30)[1]
    report.check("ends with 130", process.returncode == 130, f"{process.returncode} {said}")
    report.check("and leaves nothing", not target.exists() and not list(temp.iterdir()))


def search(report, data, root):
    calibration, evaluation = data.cancer
    target = root / "picked"
    done = run(EXAMPLES / "breast_cancer/v2", "--search", "--calibration", calibration,
               "--evaluate", evaluation, "--output", target, "--pick", "smallest", "--json", *FAST)
    report.equal("a search ends well", done.returncode, 0)
    found = json.loads(done.stdout)
    front = found["pareto_front"]
    report.check("the front goes from small to large",
                 [one["file_bytes"] for one in front] ==
                 sorted(one["file_bytes"] for one in front) and len(front) >= 2, str(front))
    allowed = [one for one in front if one["drop"] <= 0.01 and one["method"] != "original"]
    report.equal("the smallest that is right enough is picked", found["picked"],
                 allowed[0]["method"])
    # A student that is a network is another kind of file.
    report.check("and written",
                 (target / "model.json").exists() or (target / "model.onnx").exists())


def beside_the_original(report, data, root):
    """In a repository the new version is the server's next one, and a shadow is a command away."""
    models = root / "models"
    shutil.copytree(EXAMPLES / "breast_cancer", models / "breast_cancer")
    calibration, evaluation = data.cancer
    done = run("breast_cancer/v1", "--models", models, "--method", "fp16", "--calibration",
               calibration, "--evaluate", evaluation, "--output", models / "breast_cancer/v3-fp16",
               *FAST)
    report.check("says what comes next", "sluice release breast_cancer shadow v3-fp16" in
                 done.stdout, done.stdout + done.stderr)
    with Server(models) as server:
        connection = server.connection()
        body = json.dumps({"features": data.cancer_x.tolist()})
        connection.request("POST", "/models/breast_cancer/versions/v3-fp16/predict", body)
        answer = json.loads(connection.getresponse().read())
        right = numpy.mean(numpy.array(answer["prediction"]) == data.cancer_y)
        report.check("the server has it, and it is right", right > 0.97, str(right))


def main():
    with tempfile.TemporaryDirectory(prefix="e2e-compress-") as scratch:
        root = Path(scratch)
        data = Data(root)

        def with_data(test):
            def named(report):
                folder = root / test.__name__
                folder.mkdir()
                test(report, data, folder)
            named.__name__ = test.__name__
            return named

        Report("compress").run(*map(with_data, (methods, large_products, weights_elsewhere, refused,
                                                stopped, search, beside_the_original)))


if __name__ == "__main__":
    main()
