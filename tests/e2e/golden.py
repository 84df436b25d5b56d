#!/usr/bin/python3
"""The server's answers against the training libraries' own, over every way of asking.

A way is one protocol and one shape of request. One test is one (model, version, way); within it
every row that differs is reported and counts as a failure.
"""

import json

import yaml

from lib import rpc
from lib.server import GOLDEN, MODELS, Report, Server, golden

TOLERANCE = 1e-5
SHOWN = 3  # rows shown of a test that fails as a whole


def near(got, want, relative):
    if not isinstance(got, (int, float)) or isinstance(got, bool):
        return False
    return abs(got - want) <= TOLERANCE * (max(1.0, abs(want)) if relative else 1.0)


def differs(row, prediction, confidence, label):
    """What is wrong with an answer, or nothing."""
    regression = "label" not in row
    if not near(prediction, row["prediction"], regression):
        return f"prediction {prediction!r}, not {row['prediction']!r}"
    if not near(confidence, row["confidence"], False):
        return f"confidence {confidence!r}, not {row['confidence']!r}"
    if label != row.get("label"):
        return f"label {label!r}, not {row.get('label')!r}"
    return None


def column_names(model):
    text = MODELS / model / "model.yaml"
    inputs = (yaml.safe_load(text.read_text()) or {}).get("inputs", []) if text.exists() else []
    return [column["name"] for column in inputs]


class Rest:
    """Rows of one version over one keep-alive connection."""

    def __init__(self, server, model, version):
        self.connection = server.connection()
        self.path = f"/models/{model}/versions/{version}/predict"
        self.model, self.version = model, version

    def ask(self, features):
        body = json.dumps({"features": features})
        self.connection.request("POST", self.path, body, {"Content-Type": "application/json"})
        answer = self.connection.getresponse()
        text = answer.read().decode()
        if answer.status != 200:
            raise RuntimeError(f"{answer.status} {text}")
        out = json.loads(text)
        if (out["model"], out["model_version"]) != (self.model, self.version):
            raise RuntimeError(f"answered by {out['model']} {out['model_version']}")
        return out

    def single(self, rows):
        for row in rows:
            out = self.ask(row["features"])
            yield out["prediction"], out["confidence"], out.get("label")

    def all_in_one(self, rows):
        out = self.ask([row["features"] for row in rows])
        labels = out.get("label", [None] * len(rows))
        return list(zip(out["prediction"], out["confidence"], labels, strict=True))

    def by_name(self, rows):
        names = column_names(self.model)
        for row in rows:
            # Backwards: the order of the keys must not matter.
            pairs = list(zip(names, row["features"], strict=True))
            out = self.ask(dict(reversed(pairs)))
            yield out["prediction"], out["confidence"], out.get("label")


class Grpc:
    def __init__(self, channel, model, version):
        self.call = rpc.predict(channel)
        self.model, self.version = model, version

    def ask(self, **fields):
        request = rpc.prediction_pb2.PredictRequest(model=self.model, version=self.version,
                                                    **fields)
        out = self.call(request, timeout=20)
        if (out.model, out.model_version) != (self.model, self.version):
            raise RuntimeError(f"answered by {out.model} {out.model_version}")
        return out

    def single(self, rows):
        for row in rows:
            out = self.ask(features=row["features"])
            yield out.prediction, out.confidence, out.label or None

    def all_in_one(self, rows):
        flat = [value for row in rows for value in row["features"]]
        out = self.ask(features=flat, rows=len(rows))
        labels = list(out.labels) or [None] * len(rows)
        return list(zip(out.predictions, out.confidences, labels, strict=True))

    def by_name(self, rows):
        names = column_names(self.model)
        for row in rows:
            out = self.ask(named_features=dict(zip(names, row["features"], strict=True)))
            yield out.prediction, out.confidence, out.label or None


def compare(report, what, rows, answers):
    try:
        problems = [(index, differs(row, *answer))
                    for index, (row, answer) in enumerate(zip(rows, answers, strict=True))]
    except Exception as error:
        report.check(what, False, f"{type(error).__name__}: {error}")
        return
    problems = [(index, problem) for index, problem in problems if problem]
    if not problems:
        report.check(what, True)
    for count, (index, problem) in enumerate(problems):
        report.failed += count >= SHOWN
        if count < SHOWN:
            report.check(f"{what} row {index}", False, problem)


def main():
    report = Report("golden")
    files = sorted(path.stem for path in GOLDEN.glob("*.jsonl"))
    with Server() as server, rpc.channel(server.grpc) as channel:
        for name in files:
            model, version = name.split(".", 1)
            rows = golden(name)
            report.check(f"{name} has at least 100 rows", len(rows) >= 100, len(rows))
            clients = {"REST": Rest(server, model, version), "gRPC": Grpc(channel, model, version)}
            for protocol, client in clients.items():
                compare(report, f"{name} {protocol} single rows", rows, client.single(rows))
                compare(report, f"{name} {protocol} all rows", rows, client.all_in_one(rows))
                if column_names(model):
                    compare(report, f"{name} {protocol} by name", rows, client.by_name(rows))
    report.finish()


if __name__ == "__main__":
    main()
