#!/usr/bin/python3
# takes: 50 s
"""Traces: W3C trace context in, over every protocol, and spans out to a collector that is well, busy,
hung or gone."""

import contextlib
import json
import os
import re
import threading
import time
from pathlib import Path

from lib import oip, rpc
from lib.folder import Folder
from lib.otlp import FLAGS, PARENT, TRACE, Collector, Span, Status, attributes, traceparent
from lib.ports import free_port
from lib.release import Pipe
from lib.server import Report, Server, golden

ROW = golden("iris.1")[0]["features"]
TENSOR = oip.Tensor("x", "FP32", [1, 2], [0.5, 0.0])
STATE = "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"


def traced(collector, *extra, path=None, **more):
    arguments = [] if path is None else [path]
    return Server(*arguments, extra=["--otlp-endpoint", collector.url, *extra], **more)


def post(server, path="/models/iris/predict", body=None, headers=()):
    """The status of one prediction; `headers` are pairs, so that one may come twice."""
    connection = server.connection()
    try:
        data = json.dumps(body or {"features": ROW}).encode()
        connection.putrequest("POST", path)
        for name, value in (("Content-Type", "application/json"),
                            ("Content-Length", str(len(data))), *headers):
            connection.putheader(name, value)
        connection.endheaders(data)
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


def told(server):
    """What the log says at the end: (exported, dropped, failed, rejected)."""
    found = re.findall(r"traces: (\d+) spans exported, (\d+) dropped, (\d+) failed, (\d+) rejected",
                       server.stderr())
    return tuple(map(int, found[-1])) if found else None


def nested(collector, span):
    """The children in their order, each within its parent and after the one before."""
    children = sorted(collector.children(span), key=lambda one: one.start_time_unix_nano)
    edge = span.start_time_unix_nano
    for child in children:
        if not edge <= child.start_time_unix_nano <= child.end_time_unix_nano:
            return None
        edge = child.end_time_unix_nano
    return [child.name for child in children] if edge <= span.end_time_unix_nano else None


def calls(server):
    """{protocol: callable that predicts once with these headers}."""
    channel = rpc.channel(server.grpc)
    simple, tensors = rpc.predict(channel), rpc.Oip(channel)
    inputs = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [0.5, 0.0]}]}

    def stream(headers):
        answers = list(tensors.ModelStreamInfer(
            iter([oip.grpc_request("m", "", [TENSOR])] * 2), metadata=headers, timeout=20))
        return len(answers) == 2 and not any(one.error_message for one in answers)

    return {
        "simple_rest": lambda headers: post(server, "/models/m/predict", {"features": [0.5, 0]},
                                            headers) == 200,
        "oip_rest": lambda headers: post(server, "/v2/models/m/infer", inputs, headers) == 200,
        "tfserving_rest": lambda headers: post(server, "/v1/models/m:predict",
                                               {"instances": [[0.5, 0]]}, headers) == 200,
        "simple_grpc": lambda headers: simple(
            rpc.prediction_pb2.PredictRequest(model="m", features=[0.5, 0]), metadata=headers,
            timeout=20).model_version == "v1",
        "oip_grpc": lambda headers: len(tensors.ModelInfer(
            oip.grpc_request("m", "", [TENSOR]), metadata=headers, timeout=20).outputs) == 1,
        "stream": stream,
    }


def every_protocol(report):
    with Folder() as folder, Collector() as collector:
        folder.put("m", "v1", 1000)
        with traced(collector, "--trace-sample", "0", "--service-name", "shop",
                    path=folder.path) as server:
            for number, (protocol, call) in enumerate(calls(server).items(), 1):
                trace = f"{number:032x}"
                report.check(f"{protocol} predicts",
                             call([("traceparent", traceparent(trace)), ("tracestate", STATE)]))
                want = 2 if protocol == "stream" else 1
                until = time.monotonic() + 20
                found = []
                while len(found) < want and time.monotonic() < until:
                    found = [one for one in collector.requests() if one.trace_id.hex() == trace]
                    time.sleep(0.02)
                report.equal(f"{protocol}: spans of requests", len(found), want)
                for span in found:
                    one_request(report, collector, protocol, span)
            posts = set(collector.posts)
            report.equal("what is posted", posts, {("/v1/traces", "application/x-protobuf", 200)})
            whose_spans(report, collector)


def one_request(report, collector, protocol, span):
    known = attributes(span)
    report.equal(f"{protocol}: name", span.name, "predict m")
    report.equal(f"{protocol}: the caller's span is its parent", span.parent_span_id.hex(), PARENT)
    report.equal(f"{protocol}: its own id", len(span.span_id), 8)
    report.equal(f"{protocol}: children, nested", nested(collector, span), ["queue", "compute"])
    report.check(f"{protocol}: they belong to its trace", all(
        child.trace_id == span.trace_id and child.kind == Span.SPAN_KIND_INTERNAL
        for child in collector.children(span)))
    report.equal(f"{protocol}: state", span.trace_state, STATE)
    report.equal(f"{protocol}: known", (known["sluice.model"], known["sluice.version"],
                                        known["sluice.rows"], known["sluice.outcome"]),
                 ("m", "v1", 1, "success"))
    report.equal(f"{protocol}: by which way", known["sluice.protocol"],
                 "oip_grpc" if protocol == "stream" else protocol)
    age = time.time() - span.start_time_unix_nano / 1e9
    report.check(f"{protocol}: by the clock on the wall", -1 < age < 120, age)
    report.check(f"{protocol}: no fault", span.status.code == Status.STATUS_CODE_UNSET)
    report.check(f"{protocol}: flags, sampled and remote",
                 FLAGS + (0x301).to_bytes(4, "little") in span.SerializeToString())


def whose_spans(report, collector):
    resources = collector.resources()
    report.equal("service", {one["service.name"] for one in resources}, {"shop"})
    report.equal("one instance", len({one["service.instance.id"] for one in resources}), 1)
    report.check("its version", all(re.fullmatch(r"\d+\.\d+\.\d+", one["service.version"])
                                    for one in resources), resources[:1])
    ids = [span.span_id for span in collector.spans()]
    report.equal("no id is used twice", len(set(ids)), len(ids))


def sampling(report):
    quiet = [("traceparent", traceparent(flags="00"))]
    loud = [("traceparent", traceparent())]
    with Collector() as collector:
        with traced(collector, "--trace-sample", "0") as server:
            for headers in (quiet, (), loud, quiet, ()):
                report.equal("predicts", post(server, headers=headers), 200)
            collector.wait(1)
            server.signal()
            report.equal("ends", server.wait(), 0)
        report.equal("0: only what the caller records",
                     [span.trace_id.hex() for span in collector.requests()], [TRACE])
    with Collector() as collector:
        with traced(collector, "--trace-sample", "1") as server:
            for headers in (quiet, (), loud, quiet, ()):
                post(server, headers=headers)
            collector.wait(3)
            server.signal()
            report.equal("ends", server.wait(), 0)
        begun = [span for span in collector.requests() if not span.parent_span_id]
        report.equal("1: what the caller records, and all that begins here",
                     (len(collector.requests()), len(begun)), (3, 2))
        report.equal("each a trace of its own", len({span.trace_id for span in begun}), 2)
    with Collector() as collector:
        with traced(collector, "--trace-sample", "0.25") as server:
            ask_many(server, 4000)
            collector.wait(1000 - 165)
            time.sleep(1.5)  # what the last batch waits for
            server.signal()
            report.equal("ends", server.wait(), 0)
        traced_here = len(collector.requests())
        # Six standard deviations.
        report.check("0.25: a quarter", 1000 - 165 < traced_here < 1000 + 165, traced_here)
        report.check("by the lowest bits of the id", all(
            int.from_bytes(span.trace_id[8:], "big") < 1 << 62 for span in collector.requests()))


def ask_many(server, count, headers=""):
    """So many predictions on one connection; how many were answered 200."""
    body = json.dumps({"features": ROW}).encode()
    one = (f"POST /models/iris/predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
           f"{headers}Content-Length: {len(body)}\r\n\r\n").encode() + body
    with Pipe(server) as pipe:
        return [status for status, _ in pipe.ask([one] * count)].count(200)


MALFORMED = {
    "empty": "", "words": "hello", "too short": traceparent()[:-1], "too long": traceparent() + "-x",
    "version ff": traceparent(version="ff"), "upper case": traceparent(TRACE.upper()),
    "trace of zeros": traceparent("0" * 32), "parent of zeros": traceparent(parent="0" * 16),
    "not hexadecimal": traceparent("g" * 32), "very long": "0" * 4000, "not ASCII": "\xff" * 55,
}


def malformed(report):
    with Collector() as collector, traced(collector, "--trace-sample", "1") as server:
        for what, header in MALFORMED.items():
            before = len(collector.requests())
            report.equal(f"{what}: predicts",
                         post(server, headers=[("traceparent", header), ("tracestate", STATE)]), 200)
            spans = collector.wait(before + 1)[before:]
            report.equal(f"{what}: begins a trace", [
                (span.parent_span_id, span.trace_state, len(span.trace_id)) for span in spans],
                [(b"", "", 16)])
            report.check(f"{what}: of its own",
                         all(span.trace_id.hex() not in (TRACE, "0" * 32) for span in spans))
        before = len(collector.requests())
        twice = [("traceparent", traceparent()), ("Traceparent", traceparent("1" * 32))]
        report.equal("two parents: predicts", post(server, headers=twice), 200)
        span = collector.wait(before + 1)[-1]
        report.equal("two parents: neither", span.parent_span_id, b"")
        later = [("TRACEPARENT", traceparent(version="cc") + "-more"), ("tracestate", "a=1"),
                 ("tracestate", "b=2")]
        report.equal("a later version: predicts", post(server, headers=later), 200)
        span = collector.wait(before + 2)[-1]
        report.equal("a later version is read", (span.trace_id.hex(), span.trace_state),
                     (TRACE, "a=1,b=2"))
        for state in ("Not=valid", "\xff=1", "a=" + "x" * 300, ",".join(["a=1"] * 40)):
            before = len(collector.requests())
            headers = [("traceparent", traceparent()), ("tracestate", state)]
            report.equal("a bad state: predicts", post(server, headers=headers), 200)
            span = collector.wait(before + 1)[-1]
            report.equal("a bad state is left out, the parent stays",
                         (span.parent_span_id.hex(), span.trace_state), (PARENT, ""))


def endings(report):
    """Errors of clients are no faults of ours, and the other way round; what ran together says so."""
    with Folder() as folder, Collector() as collector:
        folder.put("m", "v1", 1000)
        folder.put("broken", "v1", 1000)
        folder.put("kept", "v1", 1000)
        folder.yaml("kept", "cache: {content: true}\n")
        folder.yaml("m", "batching: {policy: wait, max_wait: 300ms}\n")
        with traced(collector, "--trace-sample", "1", "--inject-faults", "broken/v1: errors=1",
                    path=folder.path) as server:
            def last(path, body, status):
                before = len(collector.requests())
                report.equal(f"{path}: status", post(server, path, body), status)
                return collector.wait(before + 1)[-1]

            span = last("/models/nobody/predict", {"features": [1, 2]}, 404)
            report.equal("no such model: the name is not the client's", span.name, "predict")
            report.equal("no such model: why", attributes(span)["error.type"], "unknown_model")
            report.equal("no such model: not our fault", span.status.code, 0)
            span = last("/models/m/predict", {"features": [1, 2, 3]}, 400)
            report.equal("a mistake: not our fault", (span.status.code, attributes(span)[
                "sluice.outcome"]), (0, "client_error"))
            span = last("/models/broken/predict", {"features": [1, 2]}, 500)
            report.equal("a fault of ours", (span.status.code, attributes(span)["sluice.outcome"]),
                         (Status.STATUS_CODE_ERROR, "failure"))
            report.equal("a fault of ours: with its reason", span.status.message,
                         attributes(span)["error.type"])
            last("/models/kept/predict", {"features": [1, 2]}, 200)
            span = last("/models/kept/predict", {"features": [1, 2]}, 200)
            report.equal("from the cache", (nested(collector, span), attributes(span)[
                "sluice.from_cache"]), (["cache"], True))
            before = len(collector.requests())
            threads = [threading.Thread(target=post, args=(
                server, "/models/m/predict", {"features": [1, 2]})) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            spans = collector.wait(before + 4)[before:]
            rows = [attributes(child)["sluice.batch.rows"] for span in spans
                    for child in collector.children(span) if child.name == "compute"]
            report.check("what ran together says of how many rows", len(rows) == 4 and max(rows) > 1,
                         rows)


def busy(report):
    """503 and 429 are asked again when they say; other errors are not."""
    with Collector() as collector:
        collector.statuses = [503, 429]
        collector.headers = {"Retry_After": "1"}
        with traced(collector, "--trace-sample", "1") as server:
            report.equal("predictions", ask_many(server, 20), 20)
            report.equal("all arrive", len(collector.wait(20)), 20)
            collector.statuses = [500]
            report.equal("predictions go on", ask_many(server, 5), 5)
            while collector.statuses:
                time.sleep(0.05)
            time.sleep(0.3)
            report.equal("and on", ask_many(server, 7), 7)
            arrived = len(collector.wait(27))
            report.check("after the error others arrive", arrived >= 27, arrived)
            server.signal()
            report.equal("ends", server.wait(), 0)
        report.equal("statuses", [status for _, _, status in collector.posts][:3], [503, 429, 200])
        exported, dropped, failed, _ = told(server)
        report.equal("each is counted", (exported + failed, dropped), (3 * 32, 0))
        report.check("of the error a batch", 0 < failed <= 15, failed)
        for word in ("answers 503", "answers 429", "answers 500", "takes spans again"):
            report.check(f"the log says: {word}", word in server.stderr(), server.stderr())
        check_log(report, collector, server)


def check_log(report, collector, server):
    report.check("the log shows no address", str(collector.port) not in server.stderr(),
                 server.stderr())


def hung(report):
    """A collector that takes a connection and says nothing holds up nobody, not even the end."""
    with Collector() as collector:
        collector.hang()
        with traced(collector, "--trace-sample", "1") as server:
            report.equal("the first are answered", ask_many(server, 10), 10)
            until = time.monotonic() + 20
            while not collector.posts and time.monotonic() < until:
                time.sleep(0.02)
            report.equal("more than the queue holds", ask_many(server, 6000), 6000)
            server.signal()
            report.equal("ends by itself", server.wait(), 0)
        exported, dropped, failed, _ = told(server)
        report.equal("each is counted", (exported, dropped + failed), (0, 3 * 6010))
        report.check("most found no room", dropped >= 3 * (6000 - 4096), dropped)


def gone(report):
    port = free_port()
    with Collector(port) as collector:
        server = traced(collector, "--trace-sample", "1")
    with server:
        report.equal("predictions without a collector", ask_many(server, 100), 100)
        until = time.monotonic() + 20
        while "cannot be reached" not in server.stderr() and time.monotonic() < until:
            time.sleep(0.05)
        report.check("the log says so", "cannot be reached" in server.stderr(), server.stderr())
        with Collector(port) as collector:
            report.equal("it comes back: all arrive", len(collector.wait(100, 60)), 100)
        report.equal("predictions when it is gone again", ask_many(server, 50), 50)
        server.signal()
        report.equal("ends", server.wait(), 0)
        exported, dropped, failed, _ = told(server)
        report.equal("each is counted", (exported, dropped + failed), (300, 150))
        check_log(report, collector, server)


def last_words(report):
    """What was traced just before the end is sent."""
    with Collector() as collector:
        with traced(collector, "--trace-sample", "1") as server:
            report.equal("predictions", ask_many(server, 300), 300)
            server.signal()
            report.equal("ends", server.wait(), 0)
        report.equal("all were sent", len(collector.requests()), 300)
        report.equal("and counted", told(server), (900, 0, 0, 0))


def threads_of(server):
    tasks = Path(f"/proc/{server.pid}/task")
    out = set()
    for task in os.listdir(tasks):
        with contextlib.suppress(OSError):  # one that ends just now
            out.add((tasks / task / "comm").read_text().strip())
    return out


def switches(report):
    """Off unless somebody says where; our options go before the standard's variables."""
    with Collector() as collector:
        with Server() as server:
            report.equal("off: predicts", post(server, headers=[("traceparent", traceparent())]), 200)
            report.check("off: no thread", "spans" not in threads_of(server), threads_of(server))
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url + "/", "OTEL_SERVICE_NAME": "standard",
               "OTEL_TRACES_SAMPLER_ARG": "1"}
        with Server(env=env) as server:
            report.equal("by the standard's variables", post(server), 200)
            report.equal("it arrives", len(collector.wait(1)), 1)
            report.equal("its name", collector.resources()[0]["service.name"], "standard")
        with Server(env=env, extra=["--otlp-endpoint", "off"]) as server:
            post(server)
            report.check("switched off", "spans" not in threads_of(server), threads_of(server))
        with Server(env={**env, "SLUICE_TRACE_SAMPLE": "0"}) as server:
            post(server)
            server.signal()
            report.equal("ends", server.wait(), 0)
        report.equal("nothing more came", len(collector.requests()), 1)


if __name__ == "__main__":
    Report("traces").run(every_protocol, sampling, malformed, endings, busy, hung, gone, last_words,
                         switches)
