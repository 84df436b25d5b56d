#!/usr/bin/python3
"""The Open Inference Protocol and TensorFlow Serving's REST as clients in Python use them: golden
rows over every way of asking against the training libraries' own answers, and gRPC's streams,
deadlines and cancellations with stubs that protoc made of proto/oip/service.proto.
"""

import json
import math
import queue
import time

import grpc

from lib import oip, rpc
from lib.server import GOLDEN, Report, Server, golden
from golden import column_names, near

IRIS = golden("iris.1")
SHOWN = 3


def chunks(values, size):
    return [values[i:i + size] for i in range(0, len(values), size)]


def flat(rows):
    """A value a row, such as its label, or the values of all rows behind each other."""
    return [value for row in rows for value in row] if isinstance(rows[0], list) else rows


def softmax(row):
    powers = [math.exp(value - max(row)) for value in row]
    return [power / sum(powers) for power in powers]


def meaning(outputs, rows):
    """For each row the probabilities of the classes, or the value; from the model's own outputs."""
    for name in ("probabilities", "probability", "logits", "variable"):
        if name not in outputs:
            continue
        values = chunks(outputs[name], len(outputs[name]) // rows)
        if name == "logits":
            return [softmax(row) for row in values]
        if name == "probability" and len(values[0]) == 1:
            return [[1 - row[0], row[0]] for row in values]
        return values
    raise RuntimeError(f"outputs {list(outputs)}")


def differs(row, got, label):
    want = row.get("probabilities", [row["prediction"]])
    relative = "probabilities" not in row
    if len(got) != len(want) or not all(near(g, w, relative) for g, w in zip(got, want)):
        return f"{got}, not {want}"
    if label is not None and label != row["label"]:
        return f"label {label}, not {row['label']}"
    return None


def problems_of(outputs, rows):
    """`outputs`: flat values by name, for all of the rows."""
    labels = outputs.get("label", [None] * len(rows))
    found = zip(rows, meaning(outputs, len(rows)), labels, strict=True)
    return [problem for problem in (differs(*each) for each in found) if problem]


class Asker:
    """One version, asked in every way; each way gives flat outputs by name."""

    def __init__(self, server, channel, name):
        self.model, self.version = name.split(".", 1)
        self.rest, self.grpc = oip.Rest(server), rpc.Oip(channel)
        path = f"/v2/models/{self.model}/versions/{self.version}"
        metadata = json.loads(self.rest.call("GET", path)[1])
        self.input = metadata["inputs"][0]
        self.outputs = [output["name"] for output in metadata["outputs"]]
        self.path = path

    def tensor(self, rows):
        values = [value for row in rows for value in row["features"]]
        shape = [len(rows), *self.input["shape"][1:]]
        return oip.Tensor(self.input["name"], self.input["datatype"], shape, values)

    def flat(self, outputs):
        return {name: tensor.values for name, tensor in outputs.items()}

    def rest_json(self, rows):
        return self.flat(self.rest.infer(self.path, [self.tensor(rows)]))

    def rest_nested(self, rows):
        tensor = self.tensor(rows)
        given = {"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.shape,
                 "data": oip.nested(tensor.values, tensor.shape)}
        return self.flat(self.rest.infer(self.path, [given]))

    def rest_binary(self, rows):
        return self.flat(self.rest.infer(self.path, [self.tensor(rows)], binary=True))

    def request(self, rows, **more):
        return oip.grpc_request(self.model, self.version, [self.tensor(rows)], **more)

    def grpc_raw(self, rows):
        return self.flat(oip.grpc_outputs(self.grpc.ModelInfer(self.request(rows), timeout=20)))

    def grpc_typed(self, rows):
        answer = self.grpc.ModelInfer(self.request(rows, raw=False), timeout=20)
        return self.flat(oip.grpc_outputs(answer))

    def instances(self, rows):
        tensor = self.tensor(rows)
        return oip.nested(tensor.values, tensor.shape)

    def tfserving(self, body):
        path = f"/v1/models/{self.model}/versions/{self.version}:predict"
        return json.loads(self.rest.call("POST", path, body)[1])

    def tfserving_rows(self, rows):
        return self.by_row(self.tfserving({"instances": self.instances(rows)})["predictions"])

    def tfserving_named_rows(self, rows):
        names = column_names(self.model) or [self.input["name"]]
        named = names != [self.input["name"]]
        instances = [dict(zip(names, row["features"] if named else [values], strict=True))
                     for row, values in zip(rows, self.instances(rows))]
        return self.by_row(self.tfserving({"instances": instances})["predictions"])

    def by_row(self, predictions):
        if len(self.outputs) == 1:
            return {self.outputs[0]: [value for row in predictions for value in row]}
        return {name: flat([row[name] for row in predictions]) for name in self.outputs}

    def tfserving_columns(self, rows):
        return self.by_column(self.tfserving({"inputs": self.instances(rows)})["outputs"])

    def tfserving_named_columns(self, rows):
        body = {"inputs": {self.input["name"]: self.instances(rows)}}
        return self.by_column(self.tfserving(body)["outputs"])

    def by_column(self, outputs):
        if len(self.outputs) == 1:
            outputs = {self.outputs[0]: outputs}
        return {name: flat(rows) for name, rows in outputs.items()}


WAYS = ("rest_json", "rest_nested", "rest_binary", "grpc_raw", "grpc_typed", "tfserving_rows",
        "tfserving_named_rows", "tfserving_columns", "tfserving_named_columns")


def compare(report, what, ask, batches):
    try:
        problems = [problem for rows in batches for problem in problems_of(ask(rows), rows)]
    except Exception as error:
        report.check(what, False, f"{type(error).__name__}: {error}")
        return
    report.check(what, not problems, f"{len(problems)} rows, such as {problems[:SHOWN]}")


def stream(report, asker, name, rows):
    """Every row is a request of one stream; answers come in order."""
    requests = [asker.request([row], id=str(i)) for i, row in enumerate(rows)]
    answers = list(asker.grpc.ModelStreamInfer(iter(requests), timeout=30))
    report.equal(f"{name} stream: ids", [answer.infer_response.id for answer in answers],
                 [request.id for request in requests])
    report.equal(f"{name} stream: errors", {answer.error_message for answer in answers}, {""})
    found = [problem for answer, row in zip(answers, rows) for problem in problems_of(
        asker.flat(oip.grpc_outputs(answer.infer_response)), [row])]
    report.check(f"{name} stream", not found, found[:SHOWN])


def iris(rows=1, **more):
    values = IRIS[0]["features"] * rows
    return oip.grpc_request("iris", "1", [oip.Tensor("X", "FP32", [rows, 4], values)], **more)


def is_iris(answer, rows=1):
    return oip.grpc_outputs(answer)["label"].values == [IRIS[0]["label"]] * rows


class Tests:
    def __init__(self, server):
        self.server = server

    def golden_rows(self, report):
        with rpc.channel(self.server.grpc) as channel:
            for file in sorted(GOLDEN.glob("*.jsonl")):
                name, rows = file.stem, golden(file.stem)
                asker = Asker(self.server, channel, name)
                for way in WAYS:
                    ask = getattr(asker, way)
                    compare(report, f"{name} {way} single rows", ask, chunks(rows, 1))
                    compare(report, f"{name} {way} all rows", ask, [rows])
                stream(report, asker, name, rows)

    def ping_pong(self, report):
        """Each answer of a stream comes without waiting for the next request."""
        with rpc.channel(self.server.grpc) as channel:
            requests = queue.Queue()
            answers = rpc.Oip(channel).ModelStreamInfer(iter(requests.get, None), timeout=30)
            for i in range(20):
                requests.put(iris(id=str(i)))
                answer = next(answers)
                report.check("an answer of its own", answer.infer_response.id == str(i)
                             and is_iris(answer.infer_response), answer)
            # An error is one request's, not the stream's.
            requests.put(oip.grpc_request("nothere", "", [], id="bad"))
            answer = next(answers)
            report.check("an error names the model", "nothere" in answer.error_message, answer)
            report.equal("an error has the request's id", answer.infer_response.id, "bad")
            requests.put(iris(id="last"))
            report.check("the stream goes on", is_iris(next(answers).infer_response))
            requests.put(None)
            report.equal("then it ends", list(answers), [])
            report.equal("and well", answers.code(), grpc.StatusCode.OK)

    def wide_stream(self, report):
        """More answers than any window holds, read late."""
        with rpc.channel(self.server.grpc) as channel:
            sent = (iris(1000, id=str(i)) for i in range(300))
            answers = rpc.Oip(channel).ModelStreamInfer(sent, timeout=60)
            time.sleep(1)
            ids = [answer.infer_response.id for answer in answers
                   if is_iris(answer.infer_response, 1000)]
            report.equal("300 wide answers, in order", ids, [str(i) for i in range(300)])

    def deadline(self, report):
        with rpc.channel(self.server.grpc) as channel:
            call = rpc.Oip(channel).ModelInfer
            call(iris(), timeout=20)
            code, _ = rpc.failure(call, iris(200000), timeout=0.003)
            report.equal("expires under way", code, "DEADLINE_EXCEEDED")
            # The server's own doing: the client's clock is not near its end.
            late = iris(200)
            late.parameters["timeout"].int64_param = 1
            code, text = rpc.failure(call, late, timeout=20)
            report.equal("a timeout of 1 µs by parameter", code, "DEADLINE_EXCEEDED")
            report.check("says so", "deadline" in text, text)
            report.check("the channel still serves", is_iris(call(iris(), timeout=20)))

    def stream_deadline(self, report):
        with rpc.channel(self.server.grpc) as channel:
            requests = queue.Queue()
            answers = rpc.Oip(channel).ModelStreamInfer(iter(requests.get, None), timeout=2)
            requests.put(iris())
            report.check("before it", is_iris(next(answers).infer_response))
            began = time.monotonic()
            code, _ = rpc.failure(lambda timeout: list(answers))
            report.equal("an idle stream at its deadline", code, "DEADLINE_EXCEEDED")
            report.check("in time", time.monotonic() - began < 4)
            requests.put(None)

    def cancel(self, report):
        # Streams have a channel of their own: grpcio 1.51 may reset a call before it has opened its
        # stream, and RFC 9113 (section 5.1) then has the server end that whole connection.
        with rpc.channel(self.server.grpc) as channel, rpc.channel(self.server.grpc) as other:
            codes = set()
            for _ in range(30):
                call = rpc.Oip(channel).ModelInfer.future(iris(20000), timeout=20)
                time.sleep(0.002)
                if call.cancel():
                    codes.add(call.code())
            report.equal("cancelled calls end as such", codes, {grpc.StatusCode.CANCELLED})
            calls = rpc.Oip(other)
            for _ in range(10):
                answers = calls.ModelStreamInfer((iris(1000) for _ in range(100)), timeout=20)
                next(answers)
                answers.cancel()
                report.check("others go on", is_iris(calls.ModelInfer(iris(), timeout=20)))

    def concurrent(self, report):
        with rpc.channel(self.server.grpc) as channel:
            call = rpc.Oip(channel).ModelInfer
            waiting = [call.future(iris(id=str(i)), timeout=60) for i in range(1000)]
            wrong = sum(not is_iris(each.result()) or each.result().id != str(i)
                        for i, each in enumerate(waiting))
            report.equal("wrong answers of 1,000 at once", wrong, 0)

    def gzip(self, report):
        with rpc.channel(self.server.grpc) as channel:
            calls = rpc.Oip(channel)
            for name in ("Gzip", "Deflate"):
                coding = getattr(grpc.Compression, name)
                answer = calls.ModelInfer(iris(500), timeout=20, compression=coding)
                report.check(f"{name}", is_iris(answer, 500))
                answers = list(calls.ModelStreamInfer(iter([iris(500)] * 3), timeout=20,
                                                      compression=coding))
                report.check(f"{name}, a stream", len(answers) == 3 and all(
                    is_iris(answer.infer_response, 500) for answer in answers))

    def large(self, report):
        """Near the limit of 64 MiB, and beyond it."""
        with rpc.channel(self.server.grpc) as channel:
            asker = Asker(self.server, channel, "diabetes.1")
            row = golden("diabetes.1")[0]
            rows = (64 << 20) // (4 * len(row["features"])) - 16
            answer = asker.grpc.ModelInfer(asker.request([row] * rows), timeout=60)
            got = oip.grpc_outputs(answer)["variable"]
            report.equal("an answer to 64 MiB", got.shape, [rows, 1])
            report.check("all of it right", near(min(got.values), row["prediction"], True)
                         and near(max(got.values), row["prediction"], True))
            code, _ = rpc.failure(asker.grpc.ModelInfer, asker.request([row] * (rows + 32)))
            report.equal("a message over 64 MiB", code, "RESOURCE_EXHAUSTED")


def main():
    with Server() as server:
        tests = Tests(server)
        Report("oip_clients").run(
            tests.golden_rows, tests.ping_pong, tests.wide_stream, tests.deadline,
            tests.stream_deadline, tests.cancel, tests.concurrent, tests.gzip, tests.large)


if __name__ == "__main__":
    main()
