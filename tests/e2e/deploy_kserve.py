#!/usr/bin/python3
"""deploy/kserve: the runtime is held against what KServe's resource definitions allow, and its start
line is run as KServe runs it: {{.Name}} filled in, the model where the storage initialiser puts it, on
the ports that it says."""

import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import jsonschema

from lib import oip, rpc
from lib.apart import mount, run_apart, unmount
from lib.kubernetes import documents, problems
from lib.server import BINARY, MODELS, ROOT, Report, golden

DEPLOY = ROOT / "deploy/kserve"
MODEL = "/mnt/models"  # KServe's, for every model
NAME = "fraud-detector"
HTTP, GRPC = "127.0.0.1:8080", "127.0.0.1:9000"

TEXT = {"type": "string", "minLength": 1}
TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
# ServingRuntimeSpec of KServe's v1alpha1: every field that it has. What is a pod's, Kubernetes' own
# description knows.
RUNTIME = {
    "type": "object", "additionalProperties": False, "required": ["containers"],
    "properties": {
        **{name: {"type": "array"} for name in ("containers", "imagePullSecrets", "resourceClaims",
                                                "tolerations", "volumes")},
        **{name: {"type": "object"} for name in ("affinity", "builtInAdapter", "storageHelper",
                                                 "workerSpec")},
        **{name: {"type": "boolean"} for name in ("disabled", "hostIPC", "multiModel")},
        **{name: TEXT for name in ("grpcDataEndpoint", "grpcEndpoint", "httpDataEndpoint",
                                   "schedulerName")},
        **{name: TEXTS for name in ("annotations", "labels", "nodeSelector")},
        "replicas": {"type": "integer"},
        "protocolVersions": {"type": "array", "items": {"enum": ["v1", "v2", "grpc-v1", "grpc-v2"]}},
        "supportedModelFormats": {"type": "array", "items": {
            "type": "object", "additionalProperties": False, "required": ["name"],
            "properties": {"name": TEXT, "version": TEXT, "autoSelect": {"type": "boolean"},
                           "priority": {"type": "integer", "minimum": 1}}}}}}
RESOURCE = {
    "type": "object", "additionalProperties": False,
    "required": ["apiVersion", "kind", "metadata", "spec"],
    "properties": {"apiVersion": {"const": "serving.kserve.io/v1alpha1"},
                   "kind": {"enum": ["ServingRuntime", "ClusterServingRuntime"]},
                   "metadata": {"type": "object"}, "spec": RUNTIME}}


def runtime():
    (document,) = documents((DEPLOY / "servingruntime.yaml").read_text())
    return document


def filled(container, name):
    """As KServe does it: Go's template over the container as JSON, with the InferenceService's
    metadata."""
    text = json.dumps(container).replace("{{.Name}}", name)
    assert "{{" not in text, text
    return json.loads(text)


def known_to_kserve(report):
    document = runtime()
    jsonschema.validate(document, RESOURCE)
    report.check("the resource", True)
    container = document["spec"]["containers"][0]
    report.equal("the container", problems([container], ["V1Container"]), [[]])
    report.equal("the name that KServe looks for", container["name"], "kserve-container")
    for what, change in (("an unknown field", {"protocols": ["v2"]}),
                         ("a protocol that there is not", {"protocolVersions": ["v3"]}),
                         ("a format without a name", {"supportedModelFormats": [{"version": "1"}]}),
                         ("no container", {"containers": None})):
        broken = {**document, "spec": {**document["spec"], **change}}
        try:
            jsonschema.validate(broken, RESOURCE)
            report.check(f"{what} is refused", False)
        except jsonschema.ValidationError:
            report.check(f"{what} is refused", True)
    (service,) = documents((DEPLOY / "inferenceservice.yaml").read_text())
    model = service["spec"]["predictor"]["model"]
    formats = {each["name"] for each in document["spec"]["supportedModelFormats"]}
    report.equal("the example's runtime", model["runtime"], document["metadata"]["name"])
    report.check("the example's format", model["modelFormat"]["name"] in formats)
    report.check("the example's protocol",
                 model["protocolVersion"] in document["spec"]["protocolVersions"])


# ---- its start line ----------------------------------------------------------------------------


class Pod:
    """The container as a process: the same words and variables, with the claims' folder at MODEL."""

    def __init__(self, folder, name=NAME):
        self.container = filled(runtime()["spec"]["containers"][0], name)
        program, *words = self.container["command"] + self.container["args"]
        variables = {}
        for each in self.container["env"]:
            kind, what = each["valueFrom"]["resourceFieldRef"]["resource"].split(".")
            variables[each["name"]] = self.container["resources"][kind][what]
        self.path = tempfile.TemporaryDirectory(prefix="e2e-kserve-")
        (Path(self.path.name) / program).symlink_to(BINARY)
        self.log = tempfile.TemporaryFile()
        mount(folder, MODEL)
        self.process = subprocess.Popen(
            [program, *words], stdout=subprocess.DEVNULL, stderr=self.log,
            env={"PATH": self.path.name, **variables}, executable=f"{self.path.name}/{program}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        unmount(MODEL)
        self.log.close()
        self.path.cleanup()

    def probe(self, kind):
        asked = self.container[kind]["httpGet"]
        return get(asked["path"], f"127.0.0.1:{asked['port']}")

    def wait_ready(self):
        until = time.monotonic() + 30
        while self.probe("readinessProbe") != 200:
            if self.process.poll() is not None or time.monotonic() > until:
                self.log.seek(0)
                raise RuntimeError(f"it is not ready: {self.log.read().decode()}")
            time.sleep(0.05)


def get(path, address=HTTP):
    connection = http.client.HTTPConnection(address, timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except OSError:
        return None
    finally:
        connection.close()


def post(path, body):
    connection = http.client.HTTPConnection(HTTP, timeout=10)
    try:
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


ONNX = MODELS / "iris/1/model.onnx"
XGBOOST = MODELS / "wine/1/model.json"


def laid_out(root, *files):
    for source, name in files:
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
    return root


def probes(report, pod, who):
    pod.wait_ready()
    for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
        report.equal(f"{who}: {kind}", pod.probe(kind), 200)
    report.equal(f"{who}: v2/health/live", get("/v2/health/live"), 200)
    report.equal(f"{who}: v2/health/ready", get("/v2/health/ready"), 200)
    report.equal(f"{who}: v2/models/NAME/ready", get(f"/v2/models/{NAME}/ready"), 200)
    report.equal(f"{who}: of another name", get("/v2/models/models/ready"), 404)


def answers(report, who, rows, tensor):
    """V2 over REST and gRPC, and V1, as golden files have it."""
    sent = oip.Tensor(tensor, "FP32", [len(rows), len(rows[0]["features"])],
                      [value for row in rows for value in row["features"]])
    status, answer = post(f"/v2/models/{NAME}/infer", {"inputs": [
        {"name": sent.name, "datatype": sent.datatype, "shape": sent.shape, "data": sent.values}]})
    report.equal(f"{who}: infer", (status, answer.get("model_name")), (200, NAME))
    outputs = {each["name"]: each["data"] for each in answer["outputs"]}
    with rpc.channel(GRPC) as channel:
        stubs = rpc.Oip(channel)
        report.check(f"{who}: ModelReady", stubs.ModelReady(
            rpc.oip_pb2.ModelReadyRequest(name=NAME), timeout=10).ready)
        reply = stubs.ModelInfer(oip.grpc_request(NAME, "", [sent]), timeout=10)
        report.equal(f"{who}: ModelInfer", reply.model_name, NAME)
    status, answer = post(f"/v1/models/{NAME}:predict",
                          {"instances": [row["features"] for row in rows]})
    report.equal(f"{who}: v1", (status, len(answer.get("predictions", []))), (200, len(rows)))
    return outputs


def iris(report, who, folder):
    rows = golden("iris.1")
    with Pod(folder) as pod:
        probes(report, pod, who)
        outputs = answers(report, who, rows, "X")
        report.equal(f"{who}: as the golden file has it", outputs["label"],
                     [row["label"] for row in rows])
        pod.process.send_signal(signal.SIGTERM)
        report.equal(f"{who}: SIGTERM", pod.process.wait(20), 0)


def in_folder(*files):
    """A test of files that storageUri may name, as the storage initialiser lays them out."""
    def decorate(test):
        def run(report):
            with tempfile.TemporaryDirectory(prefix="e2e-kserve-") as folder:
                os.chmod(folder, 0o755)
                test(report, laid_out(Path(folder), *files))
        run.__name__ = test.__name__
        return run
    return decorate


@in_folder((ONNX, "model.onnx"))
def a_file(report, folder):
    iris(report, "a file", folder)


@in_folder((ONNX, "iris_2024-11.onnx"))
def a_file_of_any_name(report, folder):
    iris(report, "a file of any name", folder)


@in_folder((ONNX, "1/model.onnx"), (MODELS / "iris/model.yaml", "model.yaml"))
def versions(report, folder):
    iris(report, "versions", folder)


@in_folder((ONNX, "iris/1/model.onnx"))
def a_repository_of_one(report, folder):
    """As Triton's runtime wants it."""
    iris(report, "a repository of one", folder)


@in_folder((XGBOOST, "model.json"))
def xgboost(report, folder):
    rows = golden("wine.1")
    with Pod(folder) as pod:
        probes(report, pod, "xgboost")
        connection = http.client.HTTPConnection(HTTP, timeout=10)
        connection.request("GET", f"/v2/models/{NAME}")
        metadata = json.loads(connection.getresponse().read())
        answers(report, "xgboost", rows, metadata["inputs"][0]["name"])
        got = [post(f"/models/{NAME}/predict", {"features": row["features"]})[1]["prediction"]
               for row in rows]
        report.equal("xgboost: as the golden file has it", got, [row["prediction"] for row in rows])


@in_folder((ONNX, "iris/1/model.onnx"), (XGBOOST, "wine/1/model.json"))
def two_models(report, folder):
    """One InferenceService is one model: it does not start with another one's answers."""
    with Pod(folder) as pod:
        report.equal("it ends", pod.process.wait(30), 65)
        pod.log.seek(0)
        said = pod.log.read().decode()
        report.check("and says why", re.search("there are 2 models", said), said)


if __name__ == "__main__":
    run_apart()
    Report("e2e/deploy_kserve").run(known_to_kserve, a_file, a_file_of_any_name, versions,
                                    a_repository_of_one, xgboost, two_models)
