#!/usr/bin/python3
"""What a server tells of itself: debug over every protocol that has a place for it, the last
requests, counts and distributions by the management API."""

import http.client
import json
import math
import subprocess

from lib import oip, rpc, tiny_onnx
from lib.folder import Folder, wait_until
from lib.oip import Tensor
from lib.server import BINARY, MODELS, Report, Server, environment, golden

JSON = {"Content-Type": "application/json"}


def call(server, method, path, body=None, management=True):
    connection = http.client.HTTPConnection(server.management if management else server.http,
                                            timeout=20)
    try:
        connection.request(method, path, json.dumps(body) if body is not None else None, JSON)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read() or b"null")
    finally:
        connection.close()


def predict(server, model, features, **more):
    return call(server, "POST", f"/models/{model}/predict", {"features": features, **more}, False)


def statistics(values):
    mean = sum(values) / len(values)
    return mean, math.sqrt(sum((v - mean) ** 2 for v in values) / len(values))


def debug_rest(report):
    with Server() as server:
        row = golden("iris.1")[0]
        status, answer = predict(server, "iris", row["features"], debug=True)
        report.equal("answered", (status, answer["prediction"]), (200, float(row["prediction"])))
        debug = answer["debug"]
        stats = debug["input_stats"]
        mean, std = statistics(row["features"])
        for name, want in (("mean", mean), ("std", std), ("min", min(row["features"])),
                           ("max", max(row["features"]))):
            report.check(name, abs(stats[name] - want) < 1e-5, (stats[name], want))
        report.equal("nothing is missing", stats["nan_count"], 0)
        report.check("class probabilities", all(
            abs(a - b) < 1e-5 for a, b in zip(debug["class_probabilities"], row["probabilities"],
                                              strict=True)), debug)
        report.check("confidence", abs(debug["confidence"] - row["confidence"]) < 1e-5, debug)
        report.equal("stage times", set(debug["stages_ms"]), {"read", "queue", "compute", "total"})
        report.equal("no anomaly", debug["anomalies"], [])
        binary = golden("breast_cancer.v2")[0]
        debug = predict(server, "breast_cancer", binary["features"], debug=True)[1]["debug"]
        report.check("two classes have two probabilities",
                     len(debug["class_probabilities"]) == 2 and
                     abs(sum(debug["class_probabilities"]) - 1) < 1e-6, debug)
        report.check("an outlier is named", "Contains outliers (z-score > 3)" in
                     debug["anomalies"][0] and "worst_area" in debug["anomalies"][0], debug)
        answer = predict(server, "iris", [None, 1, 2, 3], debug=True)[1]
        report.equal("NaN is counted", answer["debug"]["input_stats"]["nan_count"], 1)
        report.check("and an anomaly", "Contains NaN values" in answer["debug"]["anomalies"][0],
                     answer)
        rows = predict(server, "iris", [row["features"]] * 3, debug=True)[1]["debug"]
        report.equal("rows have a list of probabilities each",
                     [len(each) for each in rows["class_probabilities"]], [3, 3, 3])
        report.equal("nobody asked", "debug" in predict(server, "iris", row["features"])[1], False)
        report.equal("debug must be a truth value",
                     predict(server, "iris", row["features"], debug=1)[0], 400)


def debug_elsewhere(report):
    with Server() as server:
        row = golden("iris.1")[0]
        want = predict(server, "iris", row["features"], debug=True)[1]["debug"]["input_stats"]
        name = json.loads(oip.Rest(server).call("GET", "/v2/models/iris")[1])["inputs"][0]["name"]
        tensor = {"name": name, "datatype": "FP32", "shape": [1, 4], "data": row["features"]}
        body = {"inputs": [tensor], "parameters": {"debug": True}}
        answer = call(server, "POST", "/v2/models/iris/infer", body, False)[1]
        debug = json.loads(answer["parameters"]["debug"])
        report.equal("OIP REST: a parameter", debug["input_stats"], want)
        report.equal("with probabilities", len(debug["class_probabilities"]), 3)
        answer = call(server, "POST", "/v1/models/iris:predict",
                      {"instances": [row["features"]], "debug": True}, False)[1]
        report.equal("TensorFlow Serving: a key", answer["debug"]["input_stats"], want)
        with rpc.channel(server.grpc) as channel:
            answer = rpc.predict(channel)(rpc.prediction_pb2.PredictRequest(
                model="iris", features=row["features"], debug=True))
            report.equal("simple gRPC: a field", json.loads(answer.debug)["input_stats"], want)
            request = oip.grpc_request("iris", "", [Tensor(name, "FP32", [1, 4], row["features"])])
            request.parameters["debug"].bool_param = True
            answer = rpc.Oip(channel).ModelInfer(request)
            debug = json.loads(answer.parameters["debug"].string_param)
            report.equal("OIP gRPC: a parameter", debug["input_stats"], want)


def command(report):
    """sluice predict --debug, from a file and from a server; sluice models has the last minute."""
    def sluice(*arguments):
        run = subprocess.run([str(BINARY), *arguments], capture_output=True, text=True, timeout=60,
                             env=environment(), check=False)
        return run.returncode, run.stdout
    row = golden("iris.1")[0]
    data = json.dumps(row["features"])
    code, text = sluice("predict", str(MODELS / "iris"), "--data", data, "--debug", "--json")
    report.equal("from a file", code, 0)
    report.check("its statistics", abs(json.loads(text)["debug"]["input_stats"]["max"] -
                                       max(row["features"])) < 1e-5, text)
    with Server() as server:
        code, text = sluice("predict", "iris", "--url", f"http://{server.http}", "--data", data,
                            "--debug")
        report.check("from a server, for people", code == 0 and "nan_count" in text, text)
        code, text = sluice("models", "--url", f"http://{server.management}")
        line = next(line for line in text.splitlines() if line.startswith("iris"))
        report.check("sluice models: rate and p95", code == 0 and "/s" in line and " ms" in line,
                     text)


def counts(report):
    with Server() as server:
        rows = golden("iris.1")[:30]
        for row in rows:
            predict(server, "iris", row["features"])
        predict(server, "iris", [1, 2])
        predict(server, "diabetes", golden("diabetes.1")[0]["features"])
        status, told = call(server, "GET", "/api/models/iris/metrics")
        report.equal("status", status, 200)
        report.equal("predictions", told["prediction_count"], 30)
        report.equal("errors", (told["error_count"], told["error_rate"]), (0, 0.0))
        report.equal("clients' mistakes are no errors", told["client_error_count"], 1)
        report.check("latencies in order", 0 < told["latency_p50"] <= told["latency_p95"]
                     <= told["latency_p99"], told)
        version = told["versions"]["1"]
        report.equal("by version", version["prediction_count"], 30)
        classes = {}
        for row in rows:
            name = row.get("label", str(row["prediction"]))
            classes[name] = classes.get(name, 0) + 1
        report.equal("classes", version["predictions"]["classes"], classes)
        mean = sum(row["confidence"] for row in rows) / len(rows)
        report.check("confidences", abs(version["confidences"]["mean"] - mean) < 1e-4, version)
        report.equal("their histogram", sum(b["count"] for b in
                                            version["confidences"]["histogram"]), 30)
        values = call(server, "GET", "/api/models/diabetes/metrics")[1]["versions"]["1"]
        value = golden("diabetes.1")[0]["prediction"]
        report.check("values", abs(values["predictions"]["values"]["p50"] / value - 1) < 0.07,
                     values)
        report.equal("unknown", call(server, "GET", "/api/models/nix/metrics")[0], 404)
        report.equal("not in public", call(server, "GET", "/api/models/iris/metrics",
                                           management=False)[0], 404)
        listed = {m["name"]: m for m in call(server, "GET", "/api/models")[1]["models"]}
        report.check("sluice models has rate and p95",
                     listed["iris"]["versions"][0]["rate"] > 0 and
                     listed["iris"]["versions"][0]["p95_ms"] > 0, listed["iris"])


def recent(report):
    with Server() as server:
        row = golden("iris.1")[0]
        predict(server, "iris", row["features"], request_id="r1", user_id="u\n\"1", true_label=0)
        def listed(query=""):
            return call(server, "GET", f"/api/models/iris/recent{query}")[1]["requests"]
        report.check("it is there a moment later", wait_until(listed, 5) is not None)
        one = listed()[0]
        report.equal("what was asked", (one["request_id"], one["user_id"]), ("r1", "u\n\"1"))
        report.check("features", all(abs(a - b) < 1e-6 for a, b in
                                     zip(one["features"], row["features"], strict=True)), one)
        report.equal("answered", (one["prediction"], one["outcome"]),
                     (float(row["prediction"]), "success"))
        report.equal("and why", len(one["class_probabilities"]), 3)
        predict(server, "iris", [1, 2], request_id="r2")
        wait_until(lambda: listed("?outcome=client_error"), 5)
        found = listed("?outcome=client_error")
        report.equal("failures are kept apart", found[0]["error"]["code"], "wrong_width")
        report.equal("what could not be read is not shown", found[0]["features"], None)
        report.equal("by id", [each["request_id"] for each in listed("?request_id=r1")], ["r1"])
        report.equal("how many", len(listed("?limit=1")), 1)
        report.equal("a bad limit", call(server, "GET", "/api/models/iris/recent?limit=x")[0], 400)
        report.equal("none of others", call(server, "GET", "/api/models/wine/recent")[1],
                     {"model": "wine", "logged": True, "requests": []})


def privacy(report):
    with Folder() as folder:
        for name, log in (("off", "features: off, user_id: off"), ("none", "sample: 0"),
                          ("hashed", "features: hashed, user_id: hashed")):
            folder.put(name, "v1", tiny_onnx.model(1))
            folder.yaml(name, "log: {" + log + "}\n")
        server = folder.serve("--poll", "200ms")
        def ask(model):
            predict(server, model, [7654321, 0], user_id="alice")
            def listed():
                return call(server, "GET", f"/api/models/{model}/recent")[1]["requests"]
            wait_until(listed, 1.5 if model == "none" else 10)
            return listed()
        one = ask("off")[0]
        report.equal("off", (one["features"], one["user_id"]), (None, None))
        one = ask("hashed")[0]
        report.check("hashed", one["features"].startswith("h:") and
                     one["user_id"].startswith("h:"), one)
        text = json.dumps(one)
        # So many digits that no time and no hash has them by chance.
        report.check("nothing leaks", "7654321" not in text.replace(str(one["prediction"]), "")
                     and "alice" not in text, text)
        report.equal("no log, no list", ask("none"), [])


if __name__ == "__main__":
    Report("e2e/watching").run(debug_rest, debug_elsewhere, command, counts, recent, privacy)
