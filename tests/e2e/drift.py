#!/usr/bin/python3
"""Learn bounds from training data, serve, and look for drift: what is learned is what the guard and
the drift API act on."""

import csv
import http.client
import json
import math
import re
import shutil
import subprocess
import time

import numpy as np
from sklearn.datasets import load_breast_cancer

from lib.folder import Folder, wait_until
from lib.server import BINARY, MODELS, Report, environment

NAMES = re.findall(r"name: (\w+)", (MODELS / "breast_cancer/model.yaml").read_text())
DATA = load_breast_cancer()
X = DATA.data.astype(np.float32)
# Between 0 and 1 without a chance: the same traffic in each run.
PLACES = np.random.RandomState(7)


class Learning(Folder):
    """breast_cancer with both of its versions, and its training data beside the repository."""

    def __init__(self):
        super().__init__()
        shutil.copytree(MODELS / "breast_cancer", self.path / "breast_cancer")
        self.model = self.path / "breast_cancer"
        self.file = self.model / "model.yaml"
        self.outside = self.path.parent

    def csv(self, name, header, rows):
        with open(self.outside / name, "w", newline="") as out:
            writer = csv.writer(out)
            writer.writerow(header)
            writer.writerows(rows)
        return self.outside / name

    def training(self):
        """With the label as a last column, the others as they are in float32."""
        rows = [[*(str(value) for value in row), label] for row, label in zip(X, DATA.target)]
        return self.csv("train.csv", [*NAMES, "benign"], rows)

    def run(self, *arguments):
        done = subprocess.run([str(BINARY), *map(str, arguments)], capture_output=True, text=True,
                              env=environment(), timeout=120)
        return done.returncode, done.stdout, done.stderr

    def learn(self, *arguments, model="v1/model.onnx"):
        return self.run("inspect", self.model / model, "--learn-bounds", *arguments)

    def post(self, rows, version="v1"):
        """Rows of one request; (status, the answer)."""
        connection = self.server.connection()
        try:
            connection.request("POST", f"/models/breast_cancer/versions/{version}/predict",
                               json.dumps({"features": [[float(v) for v in row] for row in rows]}))
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def manage(self, path):
        connection = http.client.HTTPConnection(self.server.management, timeout=20)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            text = answer.read().decode()
            return answer.status, text
        finally:
            connection.close()

    def drift(self, model="breast_cancer"):
        return json.loads(self.manage(f"/api/models/{model}/drift")[1])

    def seen(self, version):
        """Rows that were looked at; those of a finished baseline are not in the window."""
        one = self.drift()["versions"].get(version)
        if one is None:
            return 0
        return one["rows"] + one["baseline_rows"] + 1000 * (one["reference"] == "baseline")

    def send(self, rows, version="v1"):
        """In requests of fifty rows, each of which is looked at; the last status that was no 200."""
        status = 200
        for at in range(0, len(rows), 50):
            part = rows[at:at + 50]
            time.sleep(0.005)  # one request in two milliseconds is looked at
            before = self.seen(version)
            got, _ = self.post(part, version)
            status = got if got != 200 else status
            wait_until(lambda: self.seen(version) == before + len(part), 10)
        return status

    def metrics(self):
        return self.manage("/metrics")[1]


def resampled(count):
    return X[PLACES.randint(0, len(X), count)]


def learn_serve_drift(report):
    with Learning() as folder:
        old = folder.file.read_text()
        folder.file.write_text("# of the clinic\n" + old + "threads: 1   # enough\n")
        code, out, err = folder.learn(folder.training())
        report.equal("it learns", (code, err), (0, ""))
        report.check("and says of how much", "569 rows, 30 columns" in out and
                     "30 of 30 columns" in out and "of 569 rows" in out, out)
        text = folder.file.read_text()
        report.check("what was there stays, comments too", text.startswith("# of the clinic\n") and
                     "labels: [malignant, benign]\nthreads: 1   # enough\n" in text, text[-300:])
        report.check("no other file is left", not [each.name for each in folder.model.iterdir()
                                                   if each.name not in ("v1", "v2", "model.yaml")])
        report.equal("sluice config check takes it",
                     folder.run("config", "check", folder.file)[::2], (0, ""))
        bounds = {name: (float(low), float(high)) for name, low, high in
                  re.findall(r"- name: (\w+)\n +bounds: \[(\S+), (\S+)\]", text)}
        want = {name: (float(str(X[:, i].min())), float(str(X[:, i].max())))
                for i, name in enumerate(NAMES)}
        report.equal("bounds are the least and the greatest value", bounds, want)
        means = [float(mean) for mean in re.findall(r"mean: (\S+)", text)]
        report.check("means are numpy's", len(means) == 30 and all(
            math.isclose(mean, X[:, i].astype(float).mean(), rel_tol=1e-5)
            for i, mean in enumerate(means)), means[:3])
        report.equal("learning the same again changes nothing",
                     (folder.learn(folder.training())[0], folder.file.read_text()), (0, text))

        folder.serve()
        report.equal("no warning of what was written", folder.log_lines("not acted on"), [])
        told = folder.drift()
        report.equal("before any traffic nothing is known",
                     (told["status"], told["versions"]), ("unknown", {}))
        report.equal("all of the training data is within bounds", folder.send(X), 200)
        report.equal("and is looked at", folder.seen("v1"), len(X))
        told = folder.drift()
        report.equal("against itself: no drift", told["status"], "none")
        one = told["versions"]["v1"]
        report.check("PSI and KS of the training data itself are small", all(
            each["psi"] < 0.02 and each["ks"] < 0.03 and each["reference"] == "training"
            for each in one["features"]), max(each["psi"] for each in one["features"]))
        report.check("its predictions too", one["prediction"]["psi"] < 1e-9 and
                     set(one["prediction"]["classes"]) == {"malignant", "benign"},
                     one["prediction"])

        outside = X[0].copy()
        outside[3] = 1e6
        status, answer = folder.post([outside])
        detail = answer.get("error", {}).get("details", [{}])[0]
        report.equal("out of bounds: 422 with the feature and its bounds",
                     (status, detail.get("feature"), detail.get("value")),
                     (422, "mean_area", 1e6))

        report.equal("resampled traffic is answered", folder.send(resampled(600)), 200)
        told = folder.drift()
        report.equal("resampled: no drift", told["status"], "none")
        report.check("in one sentence with numbers",
                     re.fullmatch(r"No drift over the last 60m: .*\d\.\d\d\.", told["summary"]),
                     told["summary"])
        report.check("metrics say so", 'sluice_drift_detected{model="breast_cancer",version="v1"} 0'
                     in folder.metrics())

        large = X[np.argsort(X[:, NAMES.index("mean_radius")])[-150:]]
        report.equal("shifted traffic is answered: it is within bounds",
                     folder.send(np.concatenate([large] * 8)), 200)
        told = folder.drift()
        report.equal("shifted: drifted", told["status"], "drifted")
        radius = next(each for each in told["versions"]["v1"]["features"]
                      if each["feature"] == "mean_radius")
        report.check("by the feature that was shifted", radius["drifted"] and radius["psi"] > 0.2 and
                     radius["ks_p_value"] < 1e-6 and radius["median"] > radius["reference_median"],
                     radius)
        report.check("with its medians in a sentence", re.search(
            r"'mean_radius' has drifted: its median is \S+, in training it was 13\.\d+ \(PSI ",
            radius["sentence"]), radius["sentence"])
        report.check("the version as well", told["versions"]["v1"]["drifted"] is True)
        report.check("predictions have drifted too", told["versions"]["v1"]["prediction"]["drifted"],
                     told["versions"]["v1"]["prediction"])
        report.check("and the summary says which and how much",
                     "features of version v1 have drifted" in told["summary"] and
                     "predictions have drifted too" in told["summary"], told["summary"])
        print("  " + told["summary"], flush=True)
        text = folder.metrics()
        report.check("metrics say so too",
                     'sluice_drift_detected{model="breast_cancer",version="v1"} 1' in text and
                     'sluice_drift_psi{model="breast_cancer",version="v1",feature="mean_radius"} '
                     in text)
        report.equal("a series for each feature and the prediction",
                     len(re.findall(r"^sluice_drift_psi\{", text, re.M)), 31)


def without_training(report):
    """The first thousand rows of each version become its reference."""
    with Learning() as folder:
        folder.serve()
        folder.send(resampled(500))
        told = folder.drift()
        report.check("it says what it waits for", told["status"] == "unknown" and
                     "version v1 has 500 of them" in told["summary"], told["summary"])
        folder.send(resampled(1000))
        told = folder.drift()
        report.equal("against the baseline: no drift",
                     (told["status"], told["versions"]["v1"]["reference"]), ("none", "baseline"))
        report.equal("the other version has none yet", list(told["versions"]), ["v1"])
        folder.send(X[:, ::-1][:500])
        told = folder.drift()
        report.check("what is all else has drifted", told["status"] == "drifted" and
                     "in its baseline it was" in told["summary"], told["summary"])
        status, text = folder.manage("/api/models/nobody/drift")
        report.equal("no such model", (status, json.loads(text)["error"]["code"]),
                     (404, "unknown_model"))


def where_it_goes(report):
    with Learning() as folder:
        table = folder.training()
        before = folder.file.read_text()
        code, out, err = folder.learn(table, "--output", "-", "--margin", "0.5", "--label", "benign")
        report.check("--output - writes to stdout, and says the rest on stderr",
                     code == 0 and "inputs:\n" in out and "labels: [malignant, benign]" in out and
                     "written to" in err and folder.file.read_text() == before, err)
        low, high = float(X[:, 0].min()), float(X[:, 0].max())
        found = re.search(r"mean_radius\n +bounds: \[(\S+), (\S+)\]", out)
        report.check("--margin widens by its share of the range", found and
                     math.isclose(float(found[1]), low - (high - low) / 2, rel_tol=1e-5) and
                     math.isclose(float(found[2]), high + (high - low) / 2, rel_tol=1e-5),
                     found and found[0])
        new = folder.outside / "new.yaml"
        code, out, _ = folder.learn(table, "--output", new, "--json", model="v2")
        report.check("a version's directory, another file, and JSON", code == 0 and
                     json.loads(out)["rows"] == 569 and "labels:" in new.read_text() and
                     folder.file.read_text() == before, out)
        lines = "".join(json.dumps({name: float(value) for name, value in zip(NAMES, row)}) + "\n"
                        for row in X[:120])
        (folder.outside / "train.jsonl").write_text(lines)
        report.equal("JSON lines, and the model's directory",
                     folder.learn(folder.outside / "train.jsonl", model="")[0], 0)
        folder.serve()
        report.equal("and that is served", folder.post(X[:120])[0], 200)


def odd_tables(report):
    with Learning() as folder:
        before = folder.file.read_text()

        def refused(what, table, *words, more=(), exit=65):
            code, out, err = folder.learn(table, *more)
            report.check(what, code == exit and not out and all(word in err for word in words) and
                         len(err.splitlines()) == 1 and folder.scratch.name not in err, (code, err))
            report.equal(f"{what}: nothing has changed", folder.file.read_text(), before)

        rows = X[:200].astype(float)
        refused("columns that are not there", folder.csv("few.csv", NAMES[:29], rows[:, :29]),
                "'worst_fractal_dimension'")
        refused("too many without names", folder.csv("many.csv", [f"c{i}" for i in range(31)],
                                                     np.hstack([rows, rows[:, :1]])),
                "31 columns", "takes 30", "--label")
        text = [["Rome", *row[1:]] for row in rows]
        refused("a column of text", folder.csv("text.csv", NAMES, text), "'mean_radius'", "VARCHAR")
        refused("no rows", folder.csv("empty.csv", NAMES, []), "no rows")
        refused("no such label", folder.csv("good.csv", NAMES, rows), "'lable'",
                more=("--label", "lable"))
        refused("no such file", folder.outside / "nowhere.csv", exit=66)
        refused("a margin below 0", folder.outside / "good.csv", "--margin",
                more=("--margin", "-1"), exit=64)
        cut = folder.outside / "cut.parquet"
        cut.write_bytes(b"PAR1 and no more")
        refused("no Parquet at all", cut)

        # Constant, missing, infinite, all missing.
        rows[:, 0], rows[::2, 1], rows[0, 2], rows[1, 2], rows[:, 3] = 5, np.nan, np.inf, -np.inf, np.nan
        code, out, err = folder.learn(folder.csv("odd.csv", NAMES, rows))
        text = folder.file.read_text()
        report.equal("odd columns are learned", (code, err), (0, ""))
        report.check("constant: no bounds, and said", "name: mean_radius\n    training:" in text and
                     "'mean_radius' is 5 in every row" in out, out)
        report.check("missing: its share", re.search(
            r"name: mean_texture\n.*\n.*\n.*\n.*\n +missing: 0.5\n", text), text[:900])
        report.check("infinite: left out, and said", "2 infinite values" in out and
                     "inf" not in text.lower(), out)
        report.check("all missing: nothing, and said", "name: mean_area\n  - name" in text and
                     "'mean_area' has no finite value" in out, out)
        folder.serve()
        report.equal("and that is served", folder.post(X[2:50])[0], 200)
        folder.stop()

        folder.file.write_text(before)
        code, out, err = folder.learn(folder.csv("one.csv", NAMES, X[:1].astype(float)))
        text = folder.file.read_text()
        report.check("one row: statistics, no bounds, no quantiles, and said", code == 0 and
                     "bounds: [" not in text and "quantiles" not in text and "mean: " in text and
                     "of one row there are no bounds" in out, (out, err))
        folder.file.write_text("threads: many\n")
        code, _, err = folder.learn(folder.outside / "good.csv")
        report.check("a model.yaml with mistakes stays, and they are told", code == 65 and
                     "model.yaml:1:10" in err and folder.file.read_text() == "threads: many\n", err)
        report.equal("--label needs --learn-bounds", folder.run(
            "inspect", folder.model / "v1/model.onnx", "--label", "x")[0], 64)


if __name__ == "__main__":
    Report("drift").run(learn_serve_drift, without_training, where_it_goes, odd_tables)
