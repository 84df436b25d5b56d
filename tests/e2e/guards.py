#!/usr/bin/python3
"""Guards of model.yaml over every protocol: bounds, anomalies, output ranges, fallbacks; refused
with the seed's list of violations, warned of, or answered by somebody else; counted."""

import http.client
import json

from lib import oip, rpc, tiny_onnx
from lib.folder import Folder, Suspects, wait_until
from lib.oip import Tensor
from lib.server import Report

INPUTS = """inputs:
  - {name: age, bounds: [0, 120]}
  - {name: income, bounds: [0, null]}
"""
TRAINED = """inputs:
  - {name: age, training: {mean: 40, std: 10}}
  - {name: income, training: {mean: 5, std: 1, missing: 0}}
"""


class Guarded(Folder):
    """Models of one row [age, income] that answer age + 1000 (v1) and age + 2000 (v2)."""

    def __init__(self, yaml, versions=2):
        super().__init__()
        for number in range(1, versions + 1):
            self.put("m", f"v{number}", tiny_onnx.model(1000 * number))
        self.yaml("m", yaml)
        self.serve("--poll", "200ms")
        self.rest = oip.Rest(self.server)

    def predict(self, features, path="/models/m/predict", **more):
        try:
            return 200, json.loads(self.rest.call("POST", path, {"features": features, **more},
                                                  {"Content-Type": "application/json"})[1])
        except oip.RestError as error:
            return error.status, json.loads(error.text)

    def metric(self, start):
        text = oip.Rest(self.server).call("GET", "/metrics")[1].decode()
        return [line for line in text.splitlines() if line.startswith(start)]


def rejected(report):
    with Guarded(INPUTS) as m:
        report.equal("in bounds", m.predict([41, 1000])[0], 200)
        report.equal("by name", m.predict({"age": 41, "income": 1})[0], 200)
        status, answer = m.predict([150, -3])
        report.equal("out of bounds is 422", status, 422)
        error = answer["error"]
        report.equal("the code", error["code"], "bounds")
        report.equal("the message", error["message"],
                     "'age' is 150, outside its bounds [0, 120]; and 1 more")
        report.equal("the seed's list", [{k: d[k] for k in ("feature", "value", "bounds")}
                                         for d in error["details"]],
                     [{"feature": "age", "value": 150.0, "bounds": [0.0, 120.0]},
                      {"feature": "income", "value": -3.0, "bounds": [0.0, None]}])
        report.equal("null is a missing value", m.predict([None, 1])[0], 200)
        report.equal("any row", m.predict([[1, 1], [2, 2], [121, 1]])[0], 422)
        report.equal("counted by feature", m.metric("sluice_guard_violations_total"),
                     ['sluice_guard_violations_total{model="m",version="v2",feature="age"} 2',
                      'sluice_guard_violations_total{model="m",version="v2",feature="income"} 1'])
        guarded = [line for line in m.metric("sluice_requests_total") if 'outcome="guard"' in line]
        report.equal("as an outcome of its own", guarded,
                     ['sluice_requests_total{model="m",version="v2",protocol="simple_rest",'
                      'outcome="guard"} 2'])


def every_protocol(report):
    with Guarded(INPUTS) as m:
        bad = Tensor("x", "FP32", [1, 2], [150, 1])
        try:
            m.rest.infer("/v2/models/m", [bad])
            report.check("OIP REST", False, "it was answered")
        except oip.RestError as error:
            report.equal("OIP REST", (error.status, json.loads(error.text)),
                         (422, {"error": "'age' is 150, outside its bounds [0, 120]"}))
        try:
            m.rest.infer("/v2/models/m", [bad], binary=True)
            report.check("OIP binary", False, "it was answered")
        except oip.RestError as error:
            report.equal("OIP binary", error.status, 422)
        try:
            m.rest.call("POST", "/v1/models/m:predict", {"instances": [[150, 1]]})
            report.check("TensorFlow Serving", False, "it was answered")
        except oip.RestError as error:
            report.equal("TensorFlow Serving", error.status, 422)
        with rpc.channel(m.server.grpc) as channel:
            report.equal("simple gRPC", rpc.failure(
                rpc.predict(channel), rpc.prediction_pb2.PredictRequest(features=[150, 1])),
                ("INVALID_ARGUMENT", "'age' is 150, outside its bounds [0, 120]"))
            report.equal("OIP gRPC", rpc.failure(
                rpc.Oip(channel).ModelInfer, oip.grpc_request("m", "", [bad]))[0],
                "INVALID_ARGUMENT")
        infinite = Tensor("x", "FP32", [1, 2], [float("inf"), 1])
        try:
            m.rest.infer("/v2/models/m", [infinite], binary=True)
            report.check("infinity", False, "it was answered")
        except oip.RestError as error:
            report.equal("infinity is out of bounds", error.status, 422)
        nan = Tensor("x", "FP32", [1, 2], [float("nan"), float("nan")])
        report.check("NaN everywhere is answered",
                     len(m.rest.infer("/v2/models/m", [nan], binary=True)) == 1)


def warned(report):
    with Guarded(INPUTS + "guard: {bounds: warn}\n") as m:
        status, answer = m.predict([150, 1])
        report.equal("answered", (status, answer["prediction"]), (200, 2150.0))
        report.equal("and warned", answer["warnings"],
                     ["'age' is 150, outside its bounds [0, 120]"])
        report.equal("not always", "warnings" in m.predict([15, 1])[1], False)


def anomalies(report):
    with Guarded(TRAINED + "guard: {anomalies: reject}\n") as m:
        report.equal("usual", m.predict([41, 5])[0], 200)
        status, answer = m.predict([75, 5])
        report.equal("unusual", (status, answer["error"]["message"]),
                     (422, "'age' is 75, 3.5 standard deviations from its training mean 40"))
        detail = answer["error"]["details"][0]
        report.equal("its detail", (detail["feature"], detail["value"], detail["bounds"]),
                     ("age", 75.0, [10.0, 70.0]))
    with Guarded("guard: {anomalies: warn}\n") as m:
        report.equal("without statistics a request is compared with itself",
                     m.predict([[1, 1]] * 20 + [[1, 50]])[1].get("warnings"),
                     ["Contains outliers (z-score > 3): 'x[1]'"])


def outputs(report):
    guard = "guard: {outputs: {range: [0, 2100], action: %s}}\n"
    with Guarded(guard % "reject") as m:
        report.equal("in range", m.predict([41, 1])[0], 200)
        status, answer = m.predict([141, 1])
        report.equal("out of range", (status, answer["error"]["code"]), (422, "guard"))
        report.equal("the sentence", answer["error"]["message"],
                     "the prediction is 2141, outside the range [0, 2100] of guard.outputs")
        report.equal("not finite", m.predict([None, 1])[1]["error"]["message"],
                     "the prediction is not a finite number")
        bad = Tensor("x", "FP32", [1, 2], [141, 1])
        try:
            m.rest.infer("/v2/models/m", [bad])
            report.check("tensor protocols too", False, "it was answered")
        except oip.RestError as error:
            report.equal("tensor protocols too", error.status, 422)
    with Guarded(guard % "warn") as m:
        report.equal("warn", m.predict([141, 1])[1]["prediction"], 2141.0)


def fallbacks(report):
    to_version = "guard: {outputs: {range: [0, 2100], action: fallback}, fallback: {version: v1}}\n"
    with Guarded(INPUTS + to_version) as m:
        answer = m.predict([41, 1])[1]
        report.equal("usually v2", (answer["prediction"], answer["model_version"]), (2041.0, "v2"))
        answer = m.predict([110, 1])[1]
        report.equal("v1 where v2's answer may not be given",
                     (answer["prediction"], answer["model_version"]), (1110.0, "v1"))
        report.equal("said", answer["warnings"],
                     ["version 'v1' answered instead: the prediction is 2110, outside the range "
                      "[0, 2100] of guard.outputs"])
        out = m.rest.infer("/v2/models/m", [Tensor("x", "FP32", [1, 2], [110, 1])])
        report.equal("over tensors too", list(out.values())[0].values, [1110.0])
    with Guarded(INPUTS + "guard: {bounds: fallback, fallback: {version: v1}}\n") as m:
        answer = m.predict([150, 1])[1]
        report.equal("another version for what is out of bounds",
                     (answer.get("prediction"), answer.get("model_version")), (1150.0, "v1"))
        report.equal("counted once", m.metric("sluice_guard_violations_total"),
                     ['sluice_guard_violations_total{model="m",version="v2",feature="age"} 1'])
    to_value = "guard: {bounds: fallback, fallback: {prediction: -1, confidence: 0}}\n"
    with Guarded(INPUTS + to_value) as m:
        answer = m.predict([150, 1])[1]
        report.equal("a value", (answer["prediction"], answer["confidence"]), (-1.0, 0.0))
        report.check("said too", "guard.fallback answered" in answer["warnings"][0],
                     answer["warnings"])
        report.equal("of each row", m.predict([[150, 1], [1, 1]])[1]["prediction"], [-1.0, -1.0])
        report.equal("a tensor is not made up", m.rest.status(
            "POST", "/v2/models/m/infer", {"inputs": [
                {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [150, 1]}]}), 422)


def canary(report):
    """A version whose answers break the output guard is taken back, and the reason says so."""
    for action in ("reject", "warn"):
        with Guarded("guard: {outputs: {range: [0, 2050], action: %s}}\n" % action) as m:
            connection = http.client.HTTPConnection(m.server.management, timeout=20)
            connection.request("PUT", "/api/models/m/release", json.dumps({
                "policy": "canary", "stable": "v1", "canary": "v2", "start": 50,
                "interval": "600s"}), {"Content-Type": "application/json"})
            report.equal(f"{action}: a canary", connection.getresponse().status, 200)
            connection.close()
            def told():
                own = http.client.HTTPConnection(m.server.management, timeout=20)
                own.request("GET", "/api/models/m/release")
                out = json.loads(own.getresponse().read())
                own.close()
                return out
            for i in range(3000):
                m.predict([100, 1])  # v1 answers 1100, v2 2100
                if i % 20 == 0 and told()["state"] != "running":
                    break
            status = told()
            report.equal(f"{action}: it is taken back", status["state"], "rolled_back")
            reason = status["history"][-1]["reason"]
            report.check(f"{action}: why", "of the canary's in a row failed" in reason or
                         "break a guard" in reason or "fails" in reason, status["history"])


def mistakes(report):
    """What cannot be meant is refused when the version is loaded, and says why."""
    cases = [
        ("guard: {bounds: fallback}\n", "but not to what"),
        ("guard: {fallback: {version: v1, prediction: 1}}\n", "a version or a prediction, not both"),
        ("guard: {bounds: panic}\n", "'panic' is not one of the choices"),
        ("inputs: [{name: a, bounds: [5, 1]}, {name: b}]\n", "the lower bound is above the upper"),
        ("inputs: [{name: a, training: {std: -1}}, {name: b}]\n", "-1 is out of range"),
        ("inputs: [{name: a, training: {quantiles: [3, 1]}}, {name: b}]\n",
         "quantiles must not fall"),
        ("output: {training: {classes: [0.5, 0.2]}}\n", "they add up to 0.7"),
    ]
    for yaml, why in cases:
        with Suspects() as folder:
            folder.put("m", "v1", tiny_onnx.model(1))
            folder.yaml("m", yaml)
            told = wait_until(lambda: any(why in reason for _, reason in
                                          folder.models().get("m", {}).values()), 20)
            report.check(f"{yaml.strip()}: {why}", told is not None, folder.models())


if __name__ == "__main__":
    Report("e2e/guards").run(rejected, every_protocol, warned, anomalies, outputs, fallbacks,
                             canary, mistakes)
