#!/usr/bin/python3
"""Debian's Python grpcio as a client: the calls that any user of it makes."""

import threading
import time

import grpc

from lib import rpc
from lib.server import Report, Server, golden

Request = rpc.prediction_pb2.PredictRequest
IRIS = golden("iris.1")
ROW = IRIS[0]
LIMIT = 64 << 20  # of a message, by default


def iris(**fields):
    return Request(model="iris", features=ROW["features"], **fields)


def right(answer, row=ROW):
    return answer.label == row["label"] and abs(answer.confidence - row["confidence"]) < 1e-5


class Tests:
    def __init__(self, server):
        self.server = server

    def unary(self, report):
        with rpc.channel(self.server.grpc) as channel:
            answer = rpc.predict(channel)(iris(request_id="mine-1"), timeout=20)
            report.check("the answer is the model's", right(answer), answer)
            report.equal("version", answer.model_version, "1")
            report.equal("the request's own id comes back", answer.request_id, "mine-1")
            answer = rpc.predict(channel)(iris(), timeout=20)
            report.check("an id is made where none is sent", answer.request_id != "", answer)

    def rest_port(self, report):
        with rpc.channel(self.server.http) as channel:
            report.check("gRPC on the REST port", right(rpc.predict(channel)(iris(), timeout=20)))
            health = rpc.health_check(channel)(rpc.health_pb2.HealthCheckRequest(), timeout=20)
            report.equal("health on the REST port", health.status, 1)

    def deadline(self, report):
        with rpc.channel(self.server.grpc) as channel:
            predict = rpc.predict(channel)
            predict(iris(), timeout=20)  # connected, so that the deadline is the server's affair
            # A deadline in the past; grpcio never sends such a call, and none may follow from it.
            report.equal("expired before it was sent", rpc.failure(predict, iris(), timeout=-1)[0],
                         "DEADLINE_EXCEEDED")
            wide = Request(model="breast_cancer", rows=20000,
                           features=golden("breast_cancer.v1")[0]["features"] * 20000)
            report.equal("expires under way", rpc.failure(predict, wide, timeout=0.002)[0],
                         "DEADLINE_EXCEEDED")
            report.check("the channel still serves", right(predict(iris(), timeout=20)))

    def metadata(self, report):
        with rpc.channel(self.server.grpc) as channel:
            pairs = [("x-user-id", "u-17"), ("x-trace-bin", b"\x00\xff\x80"), ("x-twice", "a"),
                     ("x-twice", "b")]
            answer, call = rpc.predict(channel).with_call(iris(), timeout=20, metadata=pairs)
            report.check("user id and binary metadata are taken", right(answer))
            report.equal("status", call.code(), grpc.StatusCode.OK)
            large = [(f"x-large-{i}", "v" * 1000) for i in range(6)]
            answer = rpc.predict(channel)(iris(), timeout=20, metadata=large)
            report.check("6 KB of metadata are taken", right(answer))

    def gzip(self, report):
        with rpc.channel(self.server.grpc) as channel:
            predict = rpc.predict(channel)
            rows = 2000
            request = Request(model="iris", features=ROW["features"] * rows, rows=rows)
            for name in ("Gzip", "Deflate"):
                answer = predict(request, timeout=20, compression=getattr(grpc.Compression, name))
                report.check(f"{name}: compressed request, all rows answered",
                             len(answer.labels) == rows and set(answer.labels) == {ROW["label"]})
            call = predict.future(request, timeout=20, compression=grpc.Compression.Gzip)
            call.result()
            encodings = dict(call.initial_metadata())
            # grpcio keeps grpc-encoding to itself, so that the answer could be read at all is the
            # proof here; curl.sh sees the flag on the wire.
            report.check("the answer to a compressed call is read", right(call.result()),
                         encodings)
            for algorithm in ("gzip", "deflate"):
                number = {"deflate": 1, "gzip": 2}[algorithm]
                with rpc.channel(self.server.grpc,
                                 ("grpc.default_compression_algorithm", number)) as other:
                    report.check(f"a whole channel with {algorithm}",
                                 right(rpc.predict(other)(request, timeout=20)))

    def errors(self, report):
        with rpc.channel(self.server.grpc) as channel:
            predict = rpc.predict(channel)
            code, text = rpc.failure(predict, Request(model="nothere", features=[1.0]))
            report.equal("unknown model", code, "NOT_FOUND")
            report.check("the message names the model", "nothere" in text, text)
            code, text = rpc.failure(predict, Request(model="iris", version="9", features=[1.0]))
            report.equal("unknown version", code, "NOT_FOUND")
            report.check("the message names the version", "9" in text, text)
            code, text = rpc.failure(predict, Request(model="modèle", features=[1.0]))
            report.check("a name that cannot be one", code in ("NOT_FOUND", "INVALID_ARGUMENT"),
                         code)
            report.check("with a message", len(text) > 10 and "%" not in text, text)
            # The wire form is percent-encoded UTF-8: a percent sign and an accent come back whole.
            for name in ("longueur_sépale", "100%", "a%20b", "花びら"):
                request = Request(model="iris", named_features={name: 1.0})
                code, text = rpc.failure(predict, request)
                report.equal(f"unknown feature {name}", code, "INVALID_ARGUMENT")
                report.check(f"message with {name} intact", name in text, text)
            code, text = rpc.failure(predict, Request(model="iris", features=[1.0, 2.0]))
            report.equal("wrong width", code, "INVALID_ARGUMENT")
            report.check("wrong width: says both", "2" in text and "4" in text, text)
            code, text = rpc.failure(predict, Request(model="iris"))
            report.equal("no features", code, "INVALID_ARGUMENT")
            code, text = rpc.failure(predict, Request(features=ROW["features"]))
            report.check("no model named among several",
                         code in ("NOT_FOUND", "INVALID_ARGUMENT"), (code, text))
            for path in ("/PredictionService/Nothing", "/Nothing/Predict"):
                call = channel.unary_unary(path)
                report.equal(path, rpc.failure(call, b"")[0], "UNIMPLEMENTED")
            call = channel.unary_unary("/PredictionService/Predict")
            report.equal("not protobuf", rpc.failure(call, b"\xff\xff\xff")[0], "INVALID_ARGUMENT")

    def concurrent(self, report):
        """1,000 calls at once on one channel: more than the streams one connection may have."""
        with rpc.channel(self.server.grpc) as channel:
            predict = rpc.predict(channel)
            rows = [IRIS[i % len(IRIS)] for i in range(1000)]
            calls = [predict.future(Request(model="iris", features=row["features"]), timeout=60)
                     for row in rows]
            wrong = sum(not right(call.result(), row) for call, row in zip(calls, rows))
            report.equal("wrong answers of 1,000", wrong, 0)

    def cancel(self, report):
        with rpc.channel(self.server.grpc) as channel:
            predict = rpc.predict(channel)
            wide = Request(model="digits", rows=2000, features=[1.0] * 64 * 2000)
            codes = set()
            for _ in range(50):
                call = predict.future(wide, timeout=20)
                time.sleep(0.002)
                if call.cancel():
                    codes.add(call.code())
            report.check("cancelled calls end as such",
                         codes <= {grpc.StatusCode.CANCELLED} and codes, codes)
            report.check("others go on", right(predict(iris(), timeout=20)))

    def large_answer(self, report):
        """Larger than any buffer between the model and the socket."""
        with rpc.channel(self.server.grpc) as channel:
            rows = 100000
            request = Request(model="iris", features=ROW["features"] * rows, rows=rows)
            answer = rpc.predict(channel)(request, timeout=15)
            report.equal("rows of an answer of 1.6 MB", len(answer.labels), rows)
            report.check("all of them right",
                         right(answer) and set(answer.labels) == {ROW["label"]})

    def large_request(self, report):
        with rpc.channel(self.server.grpc) as channel:
            predict = rpc.predict(channel)
            values = (LIMIT - 1024) // 4
            request = Request(model="iris", features=[1.0] * values)
            report.check("the request is within 4 KB of the limit",
                         0 <= LIMIT - request.ByteSize() < 4096, request.ByteSize())
            # One row of them is too wide, and an answer that counts them has read them all.
            code, text = rpc.failure(predict, request)
            report.equal("a message near the limit is read", code, "INVALID_ARGUMENT")
            report.check("to its end", str(values) in text, text)
            request.features.extend([1.0] * 1024)
            code, text = rpc.failure(predict, request)
            report.equal("a message over the limit", code, "RESOURCE_EXHAUSTED")
            report.check("says the limit", str(LIMIT) in text or "64" in text, text)
            # What it expands to counts, not what is sent.
            code, text = rpc.failure(predict, request, compression=grpc.Compression.Gzip)
            report.equal("over the limit when unpacked", code, "RESOURCE_EXHAUSTED")
            report.check("the channel still serves", right(predict(iris(), timeout=20)))

    def keep_alive(self, report):
        """Pings every 10 s, also without calls: the connection outlives two of them."""
        states = []
        options = (("grpc.keepalive_time_ms", 10000), ("grpc.keepalive_timeout_ms", 2000),
                   ("grpc.keepalive_permit_without_calls", 1))
        with rpc.channel(self.server.grpc, *options) as channel:
            predict = rpc.predict(channel)
            predict(iris(), timeout=20)
            channel.subscribe(states.append)
            time.sleep(21)
            report.check("the connection was never lost", set(states) <=
                         {grpc.ChannelConnectivity.IDLE, grpc.ChannelConnectivity.READY} and
                         grpc.ChannelConnectivity.TRANSIENT_FAILURE not in states, states)
            report.check("and still serves", right(predict(iris(), timeout=20)))

    def health(self, report):
        Check = rpc.health_pb2.HealthCheckRequest
        with rpc.channel(self.server.grpc) as channel:
            check = rpc.health_check(channel)
            for service in ("", "PredictionService"):
                answer = check(Check(service=service), timeout=20)
                report.equal(f"health of '{service}'", answer.status, 1)
            code, _ = rpc.failure(check, Check(service="Unknown"))
            report.equal("health of an unknown service", code, "NOT_FOUND")
            watch = rpc.health_watch(channel)(Check(service="Unknown"), timeout=20)
            report.equal("watching an unknown service", next(iter(watch)).status, 3)
            watch.cancel()


def watch_until_drained(report):
    """A server of its own, since it is stopped: Watch tells SERVING, then NOT_SERVING."""
    with Server() as server, rpc.channel(server.grpc) as channel:
        watch = rpc.health_watch(channel)(rpc.health_pb2.HealthCheckRequest(), timeout=30)
        stream = iter(watch)
        report.equal("at first", next(stream).status, 1)
        timer = threading.Timer(0.2, server.signal)
        timer.start()
        report.equal("after SIGTERM", next(stream).status, 2)
        began = time.monotonic()
        watch.cancel()
        report.equal("exit code", server.wait(), 0)
        report.check("ends soon after the watch", time.monotonic() - began < 5)


def watch_kept_open(report):
    """A watcher that never leaves must not hold the server for its whole drain time-out."""
    with Server() as server, rpc.channel(server.grpc) as channel:
        stream = iter(rpc.health_watch(channel)(rpc.health_pb2.HealthCheckRequest(), timeout=60))
        next(stream)
        server.signal()
        began = time.monotonic()
        code = server.wait(40)
        report.equal("exit code with a watcher", code, 0)
        report.check("ends within 5 s all the same", time.monotonic() - began < 5,
                     f"{time.monotonic() - began:.1f} s")


def main():
    report = Report("grpcio_client")
    with Server() as server:
        tests = Tests(server)
        # The keep-alive test only waits, so the others run meanwhile.
        waiting = threading.Thread(target=tests.keep_alive, args=(report,))
        waiting.start()

        def keep_alive(_):
            waiting.join()

        report.run(tests.unary, tests.rest_port, tests.deadline, tests.metadata, tests.gzip,
                   tests.errors, tests.concurrent, tests.cancel, tests.large_answer,
                   tests.large_request, tests.health,
                   watch_until_drained, watch_kept_open, keep_alive)


if __name__ == "__main__":
    main()
