#!/usr/bin/python3
"""The prediction log of a running server: every answer is a line, however the request came; each
line parses, whatever clients call themselves; a disk that is full loses nothing by itself."""

import http.client
import json
import math
import os
import re
import resource
import signal
import tempfile
import threading
import time
from pathlib import Path

from lib import oip, rpc
from lib.folder import Folder, wait_until
from lib.server import MODELS, ROOT, Report, Server, golden

ROW = golden("iris.1")[0]
FIELDS = ["timestamp", "request_id", "model", "model_version", "features", "prediction",
          "confidence", "latency_ms", "user_id"]
TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
Request = rpc.prediction_pb2.PredictRequest


class Logged:
    """A server with a log of its own; `lines` are what it has after a clean end."""

    def __init__(self, models=MODELS, name="predictions.jsonl", extra=(), env=None):
        self.scratch = tempfile.TemporaryDirectory(prefix="e2e-log-")
        self.file = Path(self.scratch.name, name)
        self.server = Server(models, extra=("--prediction-log", str(self.file), *extra), env=env)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.kill()
        self.scratch.cleanup()

    def ask(self, body=None, path="/models/iris/predict", **headers):
        connection = self.server.connection()
        try:
            connection.request("POST", path, json.dumps(body or {"features": ROW["features"]}),
                               {"Content-Type": "application/json", **headers})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def end(self):
        self.server.signal(signal.SIGTERM)
        return self.server.wait()

    def written(self):
        return self.file.read_bytes()

    def lines(self):
        text = self.written()
        if text and not text.endswith(b"\n"):
            raise RuntimeError("the last line is not whole")
        return [json.loads(line) for line in text.splitlines()]

    def by_id(self):
        return {line["request_id"]: line for line in self.lines()}


def every_protocol(report):
    """Fields and types of a line by each way in."""
    with Logged() as logged:
        status, answer = logged.ask({"features": ROW["features"], "user_id": "u1",
                                     "true_label": 0}, **{"X-Request-Id": "rest"})
        report.equal("REST answers", status, 200)
        logged.ask({"features": [ROW["features"], ROW["features"]]}, **{"X-Request-Id": "many"})
        report.equal("a mistake is refused", logged.ask({"features": [1]})[0], 400)
        with rpc.channel(logged.server.grpc) as channel:
            rpc.predict(channel)(Request(model="iris", features=ROW["features"], user_id="u2",
                                         request_id="grpc"), timeout=20)
            tensor = oip_tensor(logged)
            raw = oip.grpc_request("iris", "", [tensor], id="oip-grpc")
            rpc_infer(channel)(raw, timeout=20)
        oip.Rest(logged.server).infer("/v2/models/iris", [tensor], id="oip-rest")
        report.equal("a clean end", logged.end(), 0)
        lines = logged.by_id()
        report.equal("a line for each answer, and none for the mistake", sorted(lines),
                     ["grpc", "many", "oip-grpc", "oip-rest", "rest"])
        for name, line in lines.items():
            report.equal(f"{name}: fields", list(line)[:len(FIELDS)], FIELDS)
            report.check(f"{name}: timestamp", TIMESTAMP.fullmatch(line["timestamp"]), line)
            report.equal(f"{name}: model", (line["model"], line["model_version"]), ("iris", "1"))
            report.check(f"{name}: latency", isinstance(line["latency_ms"], float) and
                         line["latency_ms"] > 0, line)
            if name != "many":
                report.equal(f"{name}: features", line["features"], ROW["features"])
                report.equal(f"{name}: prediction", line["prediction"], ROW["prediction"])
                report.check(f"{name}: confidence",
                             math.isclose(line["confidence"], ROW["confidence"], rel_tol=1e-5),
                             line)
                report.equal(f"{name}: label", line["label"], ROW["label"])
        report.equal("confidence as it was answered", lines["rest"]["confidence"],
                     answer["confidence"])
        report.equal("users", [lines[name]["user_id"] for name in ("rest", "grpc", "oip-rest")],
                     ["u1", "u2", None])
        report.equal("true label", lines["rest"]["true_label"], 0)
        many = lines["many"]
        report.equal("many rows", many["features"], [ROW["features"]] * 2)
        report.equal("many answers", many["prediction"], [ROW["prediction"]] * 2)


def oip_tensor(logged):
    _, metadata = logged.server.get("/v2/models/iris")
    return oip.Tensor(metadata["inputs"][0]["name"], "FP32", [1, 4], ROW["features"])


def rpc_infer(channel):
    return channel.unary_unary(
        "/inference.GRPCInferenceService/ModelInfer",
        request_serializer=rpc.oip_pb2.ModelInferRequest.SerializeToString,
        response_deserializer=rpc.oip_pb2.ModelInferResponse.FromString)


def choices(report):
    """By which probability a release chose each request's version is in its line: what an off-policy
    estimate needs."""
    with Logged() as logged:
        connection = http.client.HTTPConnection(logged.server.management, timeout=20)
        connection.request("PUT", "/api/models/breast_cancer/release", json.dumps(
            {"policy": "split", "weights": {"v1": 0.75, "v2": 0.25}}),
            {"Content-Type": "application/json"})
        report.equal("a split", connection.getresponse().status, 200)
        connection.close()
        body = {"features": golden("breast_cancer.v1")[0]["features"]}
        for _ in range(200):
            logged.ask(body, "/models/breast_cancer/predict")
        logged.ask(body, "/models/breast_cancer/versions/v1/predict")
        report.equal("it ends", logged.end(), 0)
        lines = logged.lines()
        report.equal("a line each", len(lines), 201)
        # Two connections' lines may change places.
        chosen = [line for line in lines if "choice_probability" in line]
        report.equal("nobody chose where a version was named", len(chosen), 200)
        seen = {(line["model_version"], line["choice_probability"]) for line in chosen}
        report.equal("the probability of what was chosen", seen, {("v1", 0.75), ("v2", 0.25)})
        share = sum(line["model_version"] == "v2" for line in chosen) / 200
        report.check("and so it was drawn", abs(share - 0.25) < 5 * math.sqrt(0.25 * 0.75 / 200),
                     share)


def several_inputs(report):
    with Folder() as folder:
        folder.put("m", "1", (ROOT / "tests/models/two_inputs.onnx").read_bytes())
        with Logged(folder.path) as logged:
            _, metadata = logged.server.get("/v2/models/m")
            tensors = [oip.Tensor(one["name"], one["datatype"],
                                  [1 if size < 0 else size for size in one["shape"]],
                                  [1] * math.prod(max(1, size) for size in one["shape"]))
                       for one in metadata["inputs"]]
            report.check("it has several", len(tensors) > 1, metadata)
            oip.Rest(logged.server).infer("/v2/models/m", tensors)
            logged.end()
            line = logged.lines()[0]
            report.equal("each by its name", {name: values for name, values in
                                              line["features"].items()},
                         {tensor.name: tensor.values for tensor in tensors})


INJECTIONS = ["a\nb", '"},{"user_id":"root', "\x00\x01\x1f\x7f", "\\", "\\n\r\t", "ü€😀",
              "\u2028\u2029", "</script>", "x" * 256]


def injection(report):
    with Logged() as logged:
        users = []
        for user in INJECTIONS:
            status, _ = logged.ask({"features": ROW["features"], "user_id": user})
            report.equal(f"{user[:20]!r} answers", status, 200)
            users.append(user)
        with rpc.channel(logged.server.grpc) as channel:
            for name in INJECTIONS:
                rpc.predict(channel)(Request(model="iris", features=ROW["features"], user_id=name,
                                             request_id=name), timeout=20)
                users.append(name)
        # Bytes that are no UTF-8, in headers; http.client writes them as they are.
        for raw in (b"\xff\xfe", b"a\xc3", b'"\\'):
            status, _ = logged.ask(**{"X-Request-Id": raw.decode("latin-1"),
                                      "X-User-Id": raw.decode("latin-1")})
            report.equal(f"{raw!r} answers", status, 200)
            users.append(raw.decode(errors="replace"))
        report.equal("a clean end", logged.end(), 0)
        lines = logged.lines()
        report.equal("every line parses and has its user", sorted(
            line["user_id"] for line in lines), sorted(users))
        report.check("nothing else has been written into a line",
                     all(list(line)[:9] == FIELDS for line in lines))
        report.check("no byte that a terminal would obey",
                     not re.search(rb"[\x00-\x09\x0b-\x1f]", logged.written()))


def privacy(report):
    with Folder() as folder:
        for name, yaml in (("full", ""), ("hashed", "log: {features: hashed, user_id: hashed}\n"),
                           ("off", "log: {features: off, user_id: off}\n")):
            folder.put(name, "1", 7)
            folder.yaml(name, yaml)
        seen = []
        for key in ("one", "one", "another"):
            with Logged(folder.path, env={"SLUICE_LOG_KEY": key}) as logged:
                for name in ("full", "hashed", "off"):
                    logged.ask({"features": [0.5, 0], "user_id": "somebody"},
                               f"/models/{name}/predict")
                logged.end()
                seen.append({line["model"]: line for line in logged.lines()})
                report.equal("shown once, where it may be", logged.written().count(b"somebody"), 1)
        report.equal("full", seen[0]["full"]["features"], [0.5, 0])
        report.equal("off", [seen[0]["off"][key] for key in ("features", "user_id")], [None] * 2)
        for key in ("features", "user_id"):
            hashes = [each["hashed"][key] for each in seen]
            report.check(f"{key}: a hash", re.fullmatch("h:[0-9a-f]{16}", hashes[0]), hashes)
            report.check(f"{key}: of the key", hashes[0] == hashes[1] != hashes[2], hashes)


def kept_key(report):
    """Without a key of the operator's the state keeps one."""
    with Folder() as folder, tempfile.TemporaryDirectory() as state:
        folder.put("m", "1", 7)
        folder.yaml("m", "log: {user_id: hashed}\n")
        hashes = []
        for _ in range(2):
            with Logged(folder.path, extra=("--state-dir", state)) as logged:
                logged.ask({"features": [0.5, 0], "user_id": "somebody"}, "/models/m/predict")
                logged.end()
                hashes.append(logged.lines()[0]["user_id"])
        report.equal("the same after a new start", hashes[0], hashes[1])


def sample(report):
    """Of 2,000 about a quarter: within 5 standard deviations of a binomial."""
    asked, share = 2000, 0.25
    with Folder() as folder:
        folder.put("m", "1", 7)
        folder.yaml("m", f"log: {{sample: {share}}}\n")
        folder.put("none", "1", 7)
        folder.yaml("none", "log: {sample: 0}\n")
        with Logged(folder.path) as logged:
            ask_many(logged, asked, "/models/m/predict", {"features": [0.5, 0]})
            ask_many(logged, 50, "/models/none/predict", {"features": [0.5, 0]})
            logged.end()
            got = [line["model"] for line in logged.lines()]
            spread = 5 * math.sqrt(asked * share * (1 - share))
            report.check("a quarter", abs(got.count("m") - asked * share) < spread, len(got))
            report.equal("none of the other", got.count("none"), 0)


def ask_many(logged, times, path="/models/iris/predict", body=None):
    """Over one connection; all must be answered."""
    connection = logged.server.connection()
    text = json.dumps(body or {"features": ROW["features"]})
    for _ in range(times):
        connection.request("POST", path, text, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise RuntimeError(f"status {answer.status}")
    connection.close()


def clean_stop(report):
    """SIGTERM under load: as many lines as answers, and no line twice."""
    with Logged() as logged:
        answered, lock = [], threading.Lock()

        def client():
            connection = logged.server.connection()
            mine = []
            try:
                while True:
                    connection.request("POST", "/models/iris/predict",
                                       json.dumps({"features": ROW["features"]}))
                    answer = connection.getresponse()
                    mine.append(json.loads(answer.read())["request_id"])
                    if answer.getheader("Connection") == "close":
                        break
            except (OSError, http.client.HTTPException):
                pass  # refused: the listener is gone
            with lock:
                answered.extend(mine)

        threads = [threading.Thread(target=client) for _ in range(4)]
        for thread in threads:
            thread.start()
        time.sleep(1)
        report.equal("a clean end", logged.end(), 0)
        for thread in threads:
            thread.join()
        ids = [line["request_id"] for line in logged.lines()]
        report.check("there was load", len(answered) > 100, len(answered))
        report.equal("as many lines as answers", len(ids), len(answered))
        report.equal("the same ones", sorted(ids), sorted(answered))


def killed(report):
    """SIGKILL: what is there are whole lines; a new start goes on with the file."""
    with Logged() as logged:
        ask_many(logged, 300)
        report.check("written within a moment",
                     wait_until(lambda: logged.written().count(b"\n") == 300) is not None)
        logged.server.kill()
        before = len(logged.lines())
        with Server(MODELS, extra=("--prediction-log", str(logged.file))) as again:
            logged.server = again
            ask_many(logged, 10)
            logged.end()
        report.equal("continued", len(logged.lines()), before + 10)


def rotation(report):
    with Logged(extra=("--log-rotate", "64KiB", "--log-keep", "3")) as logged:
        ask_many(logged, 2500)  # about 250 bytes each
        logged.end()
        files = sorted(logged.file.parent.glob("predictions-*.jsonl"))
        report.equal("three are kept", len(files), 3)
        for file in [*files, logged.file]:
            lines = file.read_bytes().splitlines()
            report.check(f"{file.name} has lines that parse",
                         lines and all(json.loads(line)["model"] == "iris" for line in lines))
            report.check(f"{file.name} is named by its time", file == logged.file or re.fullmatch(
                r"predictions-\d{8}-\d{6}-\d+\.jsonl", file.name))


def full_disk(report):
    """A limit of the file's size stands in for a full disk: lines wait, and none is lost."""
    with Logged() as logged:
        ask_many(logged, 20)
        wait_until(lambda: logged.written().count(b"\n") == 20)
        size = len(logged.written())
        unlimited = resource.prlimit(logged.server.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(logged.server.pid, resource.RLIMIT_FSIZE, (size + 100, unlimited[1]))
        ask_many(logged, 20)
        said = "the prediction log 'predictions.jsonl' cannot be written"
        report.check("it is said", wait_until(lambda: said in logged.server.stderr()) is not None,
                     logged.server.stderr())
        time.sleep(1.5)
        report.equal("once", logged.server.stderr().count(said), 1)
        report.equal("whole lines", len(logged.lines()), 20)
        report.equal("answers go on", logged.ask()[0], 200)
        resource.prlimit(logged.server.pid, resource.RLIMIT_FSIZE, unlimited)
        report.check("all is written", wait_until(
            lambda: logged.written().count(b"\n") == 41) is not None, len(logged.lines()))
        report.check("and that is said", wait_until(
            lambda: "is written again" in logged.server.stderr()) is not None)
        report.check("no path", logged.scratch.name not in logged.server.stderr())
        report.equal("a clean end", logged.end(), 0)


def stdout(report):
    with Server(MODELS, extra=("--prediction-log", "stdout")) as server:
        logged = Logged.__new__(Logged)
        logged.server = server
        ask_many(logged, 50)
        server.signal()
        rest = server.process.stdout.read()
        report.equal("a clean end", server.wait(), 0)
        lines = [json.loads(line) for line in rest.splitlines()]
        report.equal("lines and nothing else", [line["model"] for line in lines], ["iris"] * 50)


def stdout_unread(report):
    """A pipe that nobody reads: answers go on, and the end does not wait for ever."""
    with Server(MODELS, extra=("--prediction-log", "-")) as server:
        logged = Logged.__new__(Logged)
        logged.server = server
        ask_many(logged, 1000)  # about 250 kB; a pipe holds 64
        server.signal()
        report.equal("it ends", server.wait(), 0)
        report.check("what was lost is said", "dropped" in server.stderr(), server.stderr())


def parquet(report):
    with Logged(name="predictions.parquet") as logged:
        ask_many(logged, 100)
        report.equal("no half file", list(logged.file.parent.glob("*.parquet")), [])
        report.equal("a clean end", logged.end(), 0)
        files = list(logged.file.parent.iterdir())
        report.equal("one file", len(files), 1)
        data = files[0].read_bytes()
        report.equal("Parquet", (data[:4], data[-4:]), (b"PAR1", b"PAR1"))
        report.check("its name", re.fullmatch(r"predictions-\d{8}-\d{6}-1\.parquet",
                                              files[0].name), files[0].name)
        for column in FIELDS:
            report.check(f"column {column}", column.encode() in data)


def refused(report):
    """What cannot be a log is told before anything is served."""
    with tempfile.TemporaryDirectory() as folder:
        for where, word in (("missing/p.jsonl", "cannot be opened"), (".", "directory"),
                            ("missing/p.parquet", "cannot be written")):
            try:
                server = Server(MODELS, extra=("--prediction-log", os.path.join(folder, where)))
                server.kill()
                report.check(f"{where} is refused", False)
            except RuntimeError as error:
                report.check(f"{where}: why", word in str(error), error)
                report.check(f"{where}: no path", folder not in str(error), error)


if __name__ == "__main__":
    Report("prediction_log").run(
        every_protocol, choices, several_inputs, injection, privacy, kept_key, sample, clean_stop, killed,
        rotation, full_disk, stdout, stdout_unread, parquet, refused)
