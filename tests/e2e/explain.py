#!/usr/bin/python3
"""Explanations: sums, exactness, bad requests, files and plots, and that others do not wait for them."""

import json
import math
import pickle
import re
import subprocess
import tempfile
import threading
from html.parser import HTMLParser
from itertools import permutations
from pathlib import Path
from xml.etree import ElementTree

import numpy
import xgboost
from sklearn.datasets import load_diabetes, load_wine
from sklearn.linear_model import LinearRegression, LogisticRegression

from lib.folder import LOOKING, Folder
from lib.server import BINARY, MODELS, Report, Server, environment, golden

TOLERANCE = 1e-4


def post(server, model, timeout_ms=None, **body):
    # Explanations get what nobody else wants of the machine, which may be little for a while.
    connection = server.connection(timeout=120)
    headers = {"Content-Type": "application/json"}
    if timeout_ms:
        headers["X-Request-Timeout-Ms"] = str(timeout_ms)
    try:
        connection.request("POST", f"/models/{model}/predict", json.dumps(body), headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def total(explanation):
    return explanation["base_value"] + sum(each["attribution"]
                                           for each in explanation["attributions"])


def near(report, what, got, want, tolerance=TOLERANCE):
    report.check(what, abs(got - want) <= tolerance, f"{got}, not {want}")


def logit(p):
    return math.log(p / (1 - p))


def sums(report):
    """Of every example, what is explained is what was answered."""
    with Server() as server:
        for model, version in [("iris", "1"), ("diabetes", "1"), ("wine", "1"),
                               ("breast_cancer/versions/v1", "v1"),
                               ("breast_cancer/versions/v2", "v2")]:
            name = f"{model.split('/')[0]}.{version}"
            rows = golden(name)[:4]
            status, answer = post(server, model, features=[row["features"] for row in rows],
                                  explain=True)
            if not report.equal(f"{name} is explained", status, 200):
                continue
            report.equal(f"{name}: one explanation a row", len(answer["explanation"]), len(rows))
            for row, explanation in zip(rows, answer["explanation"]):
                check_sum(report, name, row, explanation)
            names = [each["feature"] for each in answer["explanation"][0]["attributions"]]
            report.equal(f"{name}: features in order", [each["value"] for each in
                         answer["explanation"][0]["attributions"]], rows[0]["features"])
            report.equal(f"{name}: names are told apart", len(set(names)), len(names))


def check_sum(report, name, row, explanation):
    if name in ("wine.1", "breast_cancer.v2"):
        report.equal(f"{name}: method", explanation["method"], "tree_shap")
        report.equal(f"{name}: output", explanation["output"], "margin")
        report.check(f"{name}: exact, so no error is told", "error" not in explanation, explanation)
        if name == "breast_cancer.v2":
            report.equal(f"{name}: class", explanation["class"], 1)
            p = row["confidence"] if row["prediction"] == 1 else 1 - row["confidence"]
            near(report, f"{name}: sum", total(explanation), logit(p), 1e-3)
        else:
            report.equal(f"{name}: class", explanation["class"], row["prediction"])
        return
    report.equal(f"{name}: method", explanation["method"], "permutation_shap")
    report.check(f"{name}: within its budget", 0 < explanation["evaluations"] <= 2000, explanation)
    classes = "label" in row or "confidence" in row and row["confidence"] != 1.0
    if classes:
        report.equal(f"{name}: class", explanation["class"], row["prediction"])
        near(report, f"{name}: sum", total(explanation), row["confidence"])
    else:
        near(report, f"{name}: sum", total(explanation), row["prediction"], 1e-4 * 300)


def against_xgboost(report):
    """What xgboost's own pred_contribs says of the same rows, by its Python package."""
    with Server() as server:
        for model, version in (("breast_cancer", "v2"), ("wine", "1")):
            booster = xgboost.Booster(model_file=str(MODELS / model / version / "model.json"))
            rows = golden(f"{model}.{version}")[:32]
            matrix = xgboost.DMatrix(numpy.array([row["features"] for row in rows], numpy.float32))
            # [rows, features + 1] of two classes, [rows, classes, features + 1] of several
            told = booster.predict(matrix, pred_contribs=True, validate_features=False)
            status, answer = post(server, f"{model}/versions/{version}", explain=True,
                                  features=[row["features"] for row in rows])
            report.equal(f"{model}: status", status, 200)
            worst = 0
            for of, row, explanation in zip(told, rows, answer["explanation"], strict=True):
                want = of if of.ndim == 1 else of[int(row["prediction"])]
                got = [each["attribution"] for each in explanation["attributions"]]
                worst = max(worst, *(abs(a - b) for a, b in
                                     zip(got + [explanation["base_value"]], want, strict=True)))
            near(report, f"{model}: as xgboost says", worst, 0, 1e-5)


def linear(report):
    """Of a linear model an attribution is its weight times the distance from the background's mean:
    exactly, without an error."""
    table, target = load_diabetes(return_X_y=True)
    model = LinearRegression().fit(table, target)
    background = table[::45]
    with Folder() as folder:
        folder.put("linear", "1", pickle.dumps(model), name="model.pkl")
        folder.yaml("linear", "explain: {background: %s}\n" % json.dumps(background.tolist()))
        server = folder.serve(*LOOKING, "--allow-pickle")
        for row in table[:20]:
            explanation = post(server, "linear", features=row.tolist(), explain=True)[1][
                "explanation"]
            want = model.coef_ * (row - background.mean(axis=0))
            got = [each["attribution"] for each in explanation["attributions"]]
            near(report, "linear: attributions", max(abs(numpy.array(got) - want)), 0)
            near(report, "linear: error", explanation.get("error", 0), 0, 1e-6)
            near(report, "linear: sum", total(explanation), model.predict([row])[0])


def softmax_of_margins(report):
    """Of several classes each margin is known only up to all others: asked about class by class."""
    with Server() as server:
        rows = golden("wine.1")
        for wanted in range(3):
            row = next(each for each in rows if each["prediction"] == wanted)
            _, answer = post(server, "wine", features=row["features"], explain=True)
            explanation = answer["explanation"]
            report.equal("wine: class that was predicted", explanation["class"], wanted)
            # Margins of a confident row lie far above what an even vote would give.
            report.check("wine: its margin is above the base value",
                         total(explanation) > explanation["base_value"], explanation)


def enumerated(server, row, background, features):
    """Shapley's definition over all orders, each asked of the server."""
    def worth(members):
        mixed = [row[i] if i in members else background[i] for i in range(features)]
        _, answer = post(server, "iris", features=[mixed])
        return answer["confidence"][0] if answer["prediction"][0] == 0 else None

    known = {}
    out = [0.0] * features
    orders = list(permutations(range(features)))
    for order in orders:
        members = frozenset()
        for i in order:
            after = members | {i}
            for each in (members, after):
                if each not in known:
                    known[each] = worth(each)
            if known[after] is None or known[members] is None:
                return None
            out[i] += (known[after] - known[members]) / len(orders)
            members = after
    return out


def against_the_definition(report):
    with Folder() as folder:
        model = (MODELS / "iris/1/model.onnx").read_bytes()
        background = [5.0, 3.4, 1.5, 0.2]
        folder.put("iris", "1", model)
        folder.yaml("iris", f"explain: {{background: [{background}]}}\n")
        server = folder.serve(*LOOKING)
        row = [4.6, 3.1, 1.9, 0.4]
        _, answer = post(server, "iris", features=row, explain=True)
        explanation = answer["explanation"]
        wanted = enumerated(server, row, background, 4)
        if report.check("every mixture is of the same class", wanted is not None):
            for each, want in zip(explanation["attributions"], wanted):
                near(report, f"iris {each['feature']}", each["attribution"], want, 1e-5)
        report.equal("exact", explanation["error"], 0)
        report.equal("every subset was asked", explanation["evaluations"], 16)
        report.check("nothing was assumed", "warnings" not in answer, answer)


def pickles(report):
    data = load_wine()
    features = data.data[:, :5]
    model = LogisticRegression(max_iter=5000).fit(features, data.target)
    with Folder() as folder:
        folder.put("lr", "1", pickle.dumps(model), name="model.pkl")
        background = [[float(x) for x in row] for row in features[::20]]
        folder.yaml("lr", f"instances: 1\nexplain: {{background: {background}, budget: 4000}}\n")
        server = folder.serve(*LOOKING, "--allow-pickle")
        row = [float(x) for x in features[70]]
        status, answer = post(server, "lr", features=row, explain=True)
        report.equal("a pickle is explained", status, 200)
        explanation = answer["explanation"]
        probabilities = model.predict_proba([row])[0]
        near(report, "its sum", total(explanation), max(probabilities))
        predicted = int(probabilities.argmax())
        report.equal("its class", explanation["class"], predicted)
        base = model.predict_proba(features[::20])[:, predicted].mean()
        near(report, "its base value", explanation["base_value"], base)


def bad_requests(report):
    with Folder() as folder:
        folder.put("m", "1", 7)
        folder.put("text", "1", (MODELS.parent.parent / "tests/models/identity_string.onnx")
                   .read_bytes())
        folder.put("digits", "1", (MODELS / "digits/1/model.onnx").read_bytes())
        folder.put("wide", "1", 7)
        folder.yaml("wide", "explain: {background: [[1, 2, 3]]}\n")
        server = folder.serve(*LOOKING)
        status, answer = post(server, "m", features=[[0.5, 0]] * 33, explain=True)
        report.equal("33 rows", (status, answer["error"]["code"]), (400, "not_explainable"))
        status, _ = post(server, "m", features=[[0.5, 0]] * 32, explain=True)
        report.equal("32 rows", status, 200)
        status, answer = post(server, "text", features=["a", "b", "c"], explain=True)
        report.equal("texts", (status, answer["error"]["code"]), (400, "not_explainable"))
        status, answer = post(server, "digits", features=golden("digits.1")[0]["features"],
                              explain=True)
        report.equal("images", (status, answer["error"]["code"]), (400, "not_explainable"))
        status, answer = post(server, "m", features=[0.5, 0], explain="yes")
        report.equal("explain is no text", status, 400)
        _, answer = post(server, "m", features=[0.5, 0], explain=False)
        report.check("only when asked for", "explanation" not in answer, answer)
        reason = folder.reason("wide", "1")
        report.check("a background of another width is refused",
                     "rows of 3 numbers, but the model takes 2" in reason, reason)


def cached(report):
    with Folder() as folder:
        folder.put("m", "1", 7)
        folder.yaml("m", "cache: {content: true}\n")
        server = folder.serve(*LOOKING)
        for what in ("first", "from the cache"):
            status, answer = post(server, "m", features=[0.5, 0], explain=True)
            report.check(f"{what}: explained", status == 200 and "explanation" in answer, answer)
            near(report, f"{what}: sum", total(answer["explanation"]), answer["prediction"])


def others_do_not_wait(report):
    """While explanations run that would take minutes, other requests are answered."""
    with Folder() as folder:
        folder.put("slow", "1", 7, work=3000)
        background = [[0.1 * i, 0.01 * i] for i in range(1, 101)]
        folder.yaml("slow", f"explain: {{background: {background}, budget: 1000000}}\n")
        folder.put("m", "1", 7)
        server = folder.serve(*LOOKING)
        explained = []

        def explain():
            try:
                explained.append(post(server, "slow", features=[[0.5, 0.2]] * 32, explain=True))
            except OSError:
                pass  # the server was ended first, as it should be

        threads = [threading.Thread(target=explain, daemon=True) for _ in range(3)]
        for thread in threads:
            thread.start()
        answers = [post(server, "m", features=[0.5, 0])[0] for _ in range(300)]
        answers += [post(server, "slow", features=[0.5, 0])[0] for _ in range(20)]
        report.equal("others are answered", answers, [200] * 320)
        report.equal("and no explanation was waited for", len(explained), 0)
        _, answer = post(server, "slow", timeout_ms=2000, features=[0.5, 0.2], explain=True)
        report.check("one that cannot be in time leaves with its prediction alone",
                     "explanation" not in answer, answer)


def full_queue(report):
    """More explanations at once than there is room for: each is answered, some without."""
    with Folder() as folder:
        folder.put("slow", "1", 7)
        folder.yaml("slow", "explain: {background: [[0.1, 0.2], [0.3, 0.4]]}\n")
        server = folder.serve(*LOOKING)
        answers = []

        def explain():
            answers.append(post(server, "slow", features=[[0.5, 0.2]] * 8, explain=True))

        threads = [threading.Thread(target=explain) for _ in range(120)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        report.equal("all are answered", [status for status, _ in answers], [200] * 120)
        without = [answer for _, answer in answers if "explanation" not in answer]
        report.check("some say that explanations are busy", all(
            any("busy" in warning for warning in answer["warnings"]) for answer in without))
        report.check("most are explained", len(without) <= 120 - 64, len(without))


def deadline(report):
    """An explanation that takes too long: the answer comes in time without it, or is a 504."""
    with Folder() as folder:
        folder.put("slow", "1", 7, work=300)
        background = [[0.1 * i, 0.01 * i] for i in range(1, 101)]
        folder.yaml("slow", f"explain: {{background: {background}, budget: 1000000}}\n")
        server = folder.serve(*LOOKING)
        status, answer = post(server, "slow", timeout_ms=400, features=[[0.5, 0.2]] * 32,
                              explain=True)
        short = status == 504 or ("explanation" not in answer
                                  and any("no time" in each for each in answer["warnings"]))
        report.check("no explanation, and it is said", short, (status, str(answer)[:300]))


def sluice(*arguments):
    return subprocess.run([str(BINARY), "explain", *map(str, arguments)], capture_output=True,
                          text=True, env=environment(), timeout=120)


class Outside(HTMLParser):
    """What a page would fetch."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attributes):
        if tag in ("script", "link", "img", "iframe"):
            self.found.append(tag)
        self.found += [value for name, value in attributes if name in ("src", "href")]


def files(report):
    rows = golden("wine.1")[:40]
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        model = MODELS / "wine"
        server_names = json.loads(sluice(model, "--input", jsonl(scratch, rows[:1]), "--json")
                                  .stdout)["explanation"]["attributions"]
        names = [each["feature"] for each in server_names]
        run = sluice(model, "--input", jsonl(scratch, rows), "--json")
        lines = [json.loads(line) for line in run.stdout.splitlines()]
        report.equal("jsonl: a line a row, beyond one request", len(lines), 40)
        report.equal("jsonl: predictions", [line["prediction"] for line in lines],
                     [row["prediction"] for row in rows])
        # Columns in another order, and one that the model does not take.
        shuffled = names[::-1]
        table = [",".join(['"a, b"', *shuffled])]
        for row in rows:
            values = dict(zip(names, row["features"]))
            table.append(",".join(["x", *(str(values[name]) for name in shuffled)]))
        csv = scratch / "rows.csv"
        csv.write_text("\n".join(table) + "\n")
        html, svg = scratch / "why.html", scratch / "why.svg"
        again = sluice(model, "--input", csv, "--json", "--rows", 3, "--plot", html)
        report.equal("csv: the same explanations",
                     [json.loads(line)["explanation"] for line in again.stdout.splitlines()],
                     [line["explanation"] for line in lines[:3]])
        page = html.read_text()
        outside = Outside()
        outside.feed(page)
        report.equal("html: refers to nothing outside", outside.found, [])
        report.equal("html: bars and a waterfall a row", page.count("<svg "), 4)
        report.check("html: no address but the namespace",
                     set(re.findall(r"https?://[^\"\s<]+", page)) == {"http://www.w3.org/2000/svg"})
        report.check("html: light and dark", "prefers-color-scheme:dark" in page)
        table_run = sluice(model, "--input", csv, "--rows", 2, "--plot", svg)
        report.equal("svg: is one", ElementTree.parse(svg).getroot().tag,
                     "{http://www.w3.org/2000/svg}svg")
        report.check("table: rows and means", "row 1: prediction" in table_run.stdout
                     and "mean size of the attributions of 2 rows" in table_run.stdout,
                     table_run.stdout)
        background(report, scratch)
        refusals(report, scratch, csv)


def jsonl(scratch, rows):
    file = scratch / "rows.jsonl"
    file.write_text("".join(json.dumps({"features": row["features"]}) + "\n" for row in rows))
    return file


def background(report, scratch):
    rows = golden("diabetes.1")
    ordinary = scratch / "ordinary.json"
    ordinary.write_text(json.dumps([row["features"] for row in rows[10:14]]))
    run = sluice(MODELS / "diabetes", "--input", jsonl(scratch, rows[:1]), "--background", ordinary,
                 "--json")
    explanation = json.loads(run.stdout)["explanation"]
    report.equal("background: nothing is assumed", run.stderr, "")
    mean = sum(row["prediction"] for row in rows[10:14]) / 4
    report.equal("background: its rows are used", explanation["background_rows"] <= 4, True)
    if explanation["background_rows"] == 4:
        near(report, "background: its mean is the base value", explanation["base_value"], mean,
             1e-2)
    near(report, "background: sum", total(explanation), rows[0]["prediction"], 1e-2)


def refusals(report, scratch, csv):
    ragged = scratch / "ragged.csv"
    ragged.write_text("a,b\n1,2\n1\n")
    for what, arguments, code, part in [
            ("ragged", [MODELS / "iris", "--input", ragged], 65, "line 3 of the input file"),
            ("missing column", [MODELS / "iris", "--input", csv], 65, "has no column"),
            ("no file", [MODELS / "iris", "--input", scratch / "none.csv"], 66, ""),
            ("other ending", [MODELS / "iris", "--input", __file__], 65, ".json, .jsonl, .csv or .parquet"),
            ("other plot", [MODELS / "iris", "--input", csv, "--plot", "x.png"], 64, ".svg")]:
        run = sluice(*arguments)
        report.equal(f"{what}: exit code", run.returncode, code)
        report.check(f"{what}: says so in a line", part in run.stderr
                     and len(run.stderr.splitlines()) == 1, run.stderr)


if __name__ == "__main__":
    Report("explain").run(sums, against_xgboost, linear, softmax_of_margins, against_the_definition, pickles, bad_requests,
                          cached, others_do_not_wait, full_queue, deadline, files)
