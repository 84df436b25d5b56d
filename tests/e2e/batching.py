#!/usr/bin/python3
# alone: how long requests wait for each other is half of what it tests
"""The queue in front of a model: what waits together runs together, what would be late never runs.

How many runs there were, and of how many rows, is what the statistics say.
"""

import json
import random
import re
import selectors
import shutil
import socket
import struct
import subprocess
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import yaml

from lib import oip, rpc
from lib.folder import wait_until
from lib.server import ROOT, Report, Server

TINY = ROOT / "tests/models/multi_output_regression.onnx"  # x[N,2] → y = x₀, x₁, x₀ + x₁ + 10
SLOW = ROOT / "tests/models/slow.onnx"  # x[N,2] → y = 2x, some 20 ms a run
FIXED = ROOT / "tests/models/fixed_batch1.onnx"  # x[1,3] → y = 2x
LOAD_SECONDS = 3

MODELS = {
    "wait": (TINY, {"batching": {"policy": "wait", "max_wait": "300ms"}}),
    "together": (TINY, {"batching": {"policy": "wait", "max_wait": "1s"}}),
    "short_queue": (TINY, {"batching": {"policy": "wait", "max_wait": "1s", "max_queue": 2}}),
    "pairs": (TINY, {"batching": {"policy": "wait", "max_wait": "1s", "max_batch_size": 2}}),
    "mixed_wait": (TINY, {"batching": {"policy": "wait", "max_wait": "3ms"}}),
    "mixed_eager": (TINY, {}),
    "fixed": (FIXED, {"batching": {"policy": "wait", "max_wait": "1s"}}),
    "fours": (SLOW, {"batching": {"max_batch_size": 4}, "instances": 1, "warmup": 1}),
    "single": (SLOW, {"batching": {"max_batch_size": 1}, "instances": 1, "warmup": 1}),
}


class Repository:
    """`models`: only these."""

    def __init__(self, *extra, models=tuple(MODELS)):
        self.extra, self.models = extra, models

    def __enter__(self):
        self.scratch = tempfile.TemporaryDirectory(prefix="e2e-batching-")
        for name in self.models:
            model, config = MODELS[name]
            folder = Path(self.scratch.name) / name
            folder.mkdir()
            shutil.copy(model, folder / "model.onnx")
            (folder / "model.yaml").write_text(yaml.safe_dump(config))
        self.server = Server(self.scratch.name, extra=self.extra)
        return self.server

    def __exit__(self, *_):
        self.server.kill()
        self.scratch.cleanup()


class Runs:
    """What was run between its making and `since`."""

    def __init__(self, server, model):
        self.server, self.model = server, model
        self.before = self.now()

    def now(self):
        """({rows: runs}, all runs)"""
        stats = self.server.get(f"/v2/models/{self.model}/stats")[1]["model_stats"][0]
        sizes = {int(each["batch_size"]): int(each["compute_infer"]["count"])
                 for each in stats["batch_stats"]}
        return sizes, int(stats["execution_count"])

    def sizes(self):
        after, before = self.now()[0], self.before[0]
        grown = {rows: count - before.get(rows, 0) for rows, count in after.items()}
        return {rows: count for rows, count in grown.items() if count}

    def count(self):
        return self.now()[1] - self.before[1]


def tensor(rows):
    return oip.Tensor("x", "FP32", [len(rows), len(rows[0])], [value for row in rows for value in row])


# One client each, connected, so that those who ask at once are there at once; all answer a list of
# rows.

def connected(server):
    rest = oip.Rest(server)
    rest.connection.connect()
    return rest


def simple(server, model):
    rest = connected(server)

    def ask(rows, **headers):
        _, data = rest.call("POST", f"/models/{model}/predict", {"features": rows}, headers)
        return json.loads(data)["prediction"]
    return ask


def tfserving(server, model):
    rest = connected(server)

    def ask(rows, **headers):
        _, data = rest.call("POST", f"/v1/models/{model}:predict", {"instances": rows}, headers)
        return json.loads(data)["predictions"]
    return ask


def rest_oip(binary):
    def client(server, model):
        rest = connected(server)

        def ask(rows, **more):
            out = rest.infer(f"/v2/models/{model}", [tensor(rows)], binary=binary, **more)["y"]
            return oip.nested(out.values, out.shape)
        return ask
    return client


def grpc_oip(server, model):
    # Kept by the function, and closed with it.
    channel = rpc.channel(server.grpc)
    infer = rpc.Oip(channel).ModelInfer
    rpc.failure(infer, oip.grpc_request("nope", "", []))

    def ask(rows):
        answer = infer(oip.grpc_request(model, "", [tensor(rows)]), timeout=20)
        out = oip.grpc_outputs(answer)["y"]
        return oip.nested(out.values, out.shape)
    return ask


CLIENTS = {"simple": simple, "tfserving": tfserving, "rest_oip": rest_oip(False),
           "binary": rest_oip(True), "grpc": grpc_oip}


def tiny(rows):
    return [[a, b, a + b + 10] for a, b in rows]


def at_once(calls):
    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result() for future in [pool.submit(call) for call in calls]]


def waiting_alone(report, server):
    runs = Runs(server, "wait")
    ask = simple(server, "wait")
    for i in range(2):
        began = time.monotonic()
        report.equal("answer", ask([i, 2]), tiny([[i, 2]])[0])
        took = time.monotonic() - began
        report.check("it waits as long as was said", 0.3 <= took < 3, f"{took:.3f} s")
    report.equal("one run each", runs.sizes(), {1: 2})


def waiting_together(report, server):
    clients = [make(server, "together") for make in CLIENTS.values()]
    runs = Runs(server, "together")
    answers = at_once([lambda ask=ask, i=i: ask([[i, 1]]) for i, ask in enumerate(clients)])
    report.equal("answers", answers, [tiny([[i, 1]]) for i in range(5)])
    report.equal("all in one run", runs.sizes(), {5: 1})


def waiting_closes_early(report, server):
    ask = simple(server, "pairs")
    began = time.monotonic()
    ask([1, 2], **{"X-Request-Timeout-Ms": "1000"})
    took = time.monotonic() - began
    report.check("half of a deadline is the most", 0.49 <= took < 1, f"{took:.3f} s")
    runs = Runs(server, "pairs")
    asks = [simple(server, "pairs") for _ in range(2)]
    began = time.monotonic()
    at_once([lambda ask=ask: ask([1, 2]) for ask in asks])
    took = time.monotonic() - began
    report.check("a full batch waits for nobody", took < 0.9, f"{took:.3f} s")
    report.equal("the two", runs.sizes(), {2: 1})


def queued(server, model):
    """How many requests wait for it now."""
    text = oip.Rest(server).call("GET", "/metrics")[1].decode()
    return int(re.search(rf'^sluice_queue_requests{{model="{model}".*}} (\d+)$', text, re.M)[1])


def short_queue(report, server):
    """Two wait for a second; for the others there is no room."""
    rest = connected(server)
    body = {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}]}
    refused = {
        "simple": ("/models/short_queue/predict", {"features": [1, 2]}),
        "OIP": ("/v2/models/short_queue/infer", body),
        "TensorFlow Serving": ("/v1/models/short_queue:predict", {"instances": [[1, 2]]}),
    }
    runs = Runs(server, "short_queue")
    with rpc.channel(server.grpc) as channel, ThreadPoolExecutor(2) as pool:
        infer, predict = rpc.Oip(channel).ModelInfer, rpc.predict(channel)
        rpc.failure(infer, oip.grpc_request("nope", "", []))  # connected
        asks = [simple(server, "short_queue"), grpc_oip(server, "short_queue")]
        waiting = [pool.submit(ask, [[i, 2]]) for i, ask in enumerate(asks)]
        wait_until(lambda: queued(server, "short_queue") == 2, 0.8)
        for name, (path, request) in refused.items():
            rest.connection.request("POST", path, json.dumps(request),
                                    {"Content-Type": "application/json"})
            answer = rest.connection.getresponse()
            text = answer.read().decode()
            report.equal(f"{name}: status", answer.status, 503)
            report.check(f"{name}: Retry-After", answer.headers.get("Retry-After"), answer.headers)
            report.check(f"{name}: message", "max_queue" in text, text)
        code, details = rpc.failure(infer, oip.grpc_request("short_queue", "", [tensor([[1, 2]])]))
        report.equal("gRPC", code, "UNAVAILABLE")
        report.check("gRPC: message", "max_queue" in details, details)
        request = rpc.prediction_pb2.PredictRequest(model="short_queue", features=[1, 2])
        report.equal("simple gRPC", rpc.failure(predict, request)[0], "UNAVAILABLE")
        report.check("the two wait all the while", not any(each.done() for each in waiting))
        report.equal("and are answered", [each.result() for each in waiting],
                     [tiny([[0, 2]]), tiny([[1, 2]])])
    report.equal("by one run", runs.sizes(), {2: 1})


def grpc_status(server, model, timeout):
    """grpc-status that the server itself gives: clients of gRPC do not wait for it."""
    message = oip.grpc_request(model, "", [tensor([[1, 2]])]).SerializeToString()
    done = subprocess.run(
        ["curl", "--http2-prior-knowledge", "--silent", "--noproxy", "*", "--max-time", "20",
         "--dump-header", "-", "--output", "/dev/null", "-H", "content-type: application/grpc",
         "-H", "te: trailers", "-H", f"grpc-timeout: {timeout}", "--data-binary", "@-",
         f"http://{server.grpc}/inference.GRPCInferenceService/ModelInfer"],
        input=b"\0" + struct.pack(">I", len(message)) + message, capture_output=True, check=False)
    found = [line for line in done.stdout.decode().splitlines() if line.startswith("grpc-status:")]
    return found[0].split(":")[1].strip() if found else done.stdout.decode()


def too_late(report, server):
    """A run takes 20 ms: who has less time is answered, and never run."""
    ask = simple(server, "single")
    for _ in range(3):
        report.equal("with time", ask([1, 2], **{"X-Request-Timeout-Ms": "20000"}), [2, 4])
    runs = Runs(server, "single")
    rest = oip.Rest(server)
    headers = {"Content-Type": "application/json", "X-Request-Timeout-Ms": "2"}
    rows = {"simple": ("/models/single/predict", {"features": [1, 2]}),
            "OIP": ("/v2/models/single/infer", {"inputs": [
                {"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}]}),
            "TensorFlow Serving": ("/v1/models/single:predict", {"instances": [[1, 2]]})}
    for name, (path, body) in rows.items():
        for millis in ("0", "2"):
            headers["X-Request-Timeout-Ms"] = millis
            try:
                status = rest.call("POST", path, body, headers)
            except oip.RestError as error:
                status = error.status
            report.equal(f"{name}, {millis} ms", status, 504)
    try:
        status = rest.infer("/v2/models/single", [tensor([[1, 2]])], parameters={"timeout": 2000})
    except oip.RestError as error:
        status = error.status
    report.equal("the parameter `timeout`, in microseconds", status, 504)
    report.equal("grpc-timeout", grpc_status(server, "single", "2m"), "4")
    with rpc.channel(server.grpc) as channel:
        infer = rpc.Oip(channel).ModelInfer
        request = oip.grpc_request("single", "", [tensor([[1, 2]])])
        report.equal("a client of gRPC", rpc.failure(infer, request, timeout=0.002)[0],
                     "DEADLINE_EXCEEDED")
    report.equal("nothing ran", runs.count(), 0)
    report.equal("with time over gRPC", grpc_status(server, "single", "20S"), "0")
    report.equal("ran", runs.count(), 1)


def late_in_the_queue(report, server):
    """Behind others that run, a deadline passes: 504, or 503 where that was foreseen."""
    ask = simple(server, "single")
    ask([1, 2])
    runs = Runs(server, "single")
    at_once([lambda ask=simple(server, "single"): ask([1, 2]) for _ in range(4)])
    alone = Runs(server, "single")
    asks = [simple(server, "single") for _ in range(12)]
    busy = threading.Event()

    def occupy(ask):
        busy.set()
        return ask([1, 2])

    def hurried(ask):
        busy.wait()
        time.sleep(0.005)
        try:
            return ask([3, 4], **{"X-Request-Timeout-Ms": "30"})
        except oip.RestError as error:
            return error.status
    outcomes = at_once([lambda ask=ask: occupy(ask) for ask in asks[:4]]
                       + [lambda ask=ask: hurried(ask) for ask in asks[4:]])
    report.equal("four without a deadline", outcomes[:4], [[2, 4]] * 4)
    report.check("the others are late or just in time",
                 all(each in (503, 504, [6, 8]) for each in outcomes[4:]), outcomes)
    in_time = outcomes[4:].count([6, 8])
    report.check("not all are in time", in_time < 8, outcomes)
    report.equal("whoever was answered 503 or 504 never ran", alone.count(), 4 + in_time)
    report.equal("all that ran", runs.count(), 8 + in_time)


def largest_batch(report, server):
    clients = [make(server, "fours") for make in list(CLIENTS.values()) * 3]
    runs = Runs(server, "fours")
    for _ in range(3):
        answers = at_once([lambda ask=ask, i=i: ask([[i, 1]]) for i, ask in enumerate(clients)])
        report.equal("answers", answers, [[[2 * i, 2]] for i in range(len(clients))])
    sizes = runs.sizes()
    report.check("no more rows than were allowed", max(sizes) <= 4, sizes)
    report.check("but several", max(sizes) > 1, sizes)
    report.equal("every row once", sum(rows * count for rows, count in sizes.items()),
                 3 * len(clients))
    runs = Runs(server, "fours")
    report.equal("one request with more", clients[0]([[i, 1] for i in range(6)]),
                 [[2 * i, 2] for i in range(6)])
    report.equal("is not split", runs.sizes(), {6: 1})


def fixed_batch(report, server):
    """A model that takes one row at a time, in however many requests they come."""
    runs = Runs(server, "fixed")
    clients = [make(server, "fixed") for make in list(CLIENTS.values()) * 2]
    began = time.monotonic()
    answers = at_once([lambda ask=ask, i=i: ask([[i, 1, 2]]) for i, ask in enumerate(clients)])
    took = time.monotonic() - began
    report.equal("answers", answers, [[[2 * i, 2, 4]] for i in range(len(clients))])
    report.check("nobody waits for others", took < 0.9, f"{took:.3f} s")
    report.equal("one by one", runs.sizes(), {1: len(clients)})


def split_under_load(report, server):
    """Singles and many rows in one run, REST and gRPC: everybody gets their own rows back, as when
    they are asked one by one."""
    random.seed(7)
    table = [[random.randrange(-1000, 1000), random.randrange(-1000, 1000)] for _ in range(200)]
    one_by_one = simple(server, "mixed_eager")
    alone = [one_by_one(row) for row in table]
    report.equal("as the model says", alone, tiny(table))
    runs = {model: Runs(server, model) for model in ("mixed_eager", "mixed_wait")}
    until = time.monotonic() + LOAD_SECONDS
    wrong, asked = [], {name: 0 for name in CLIENTS}

    def load(name, model, most, seed):
        ask, choose = CLIENTS[name](server, model), random.Random(seed)
        count = 0
        while time.monotonic() < until:
            places = [choose.randrange(len(table)) for _ in range(choose.randint(1, most))]
            got = ask([table[place] for place in places])
            if got != [alone[place] for place in places]:
                wrong.append((name, places, got))
            count += 1
        return name, count
    calls = [lambda name=name, model=model, most=most, i=i: load(name, model, most, i)
             for i, (name, model, most) in enumerate(
                 (name, model, most) for name in CLIENTS for model in runs for most in (1, 20))]
    for name, count in at_once(calls):
        asked[name] += count
    report.check("every answer is the caller's own", not wrong, wrong[:1])
    report.check("every client was answered", all(asked.values()), asked)
    for model, each in runs.items():
        sizes = each.sizes()
        report.check(f"{model}: no run above 32 rows", max(sizes) <= 32, sizes)
    sizes = runs["mixed_wait"].sizes()
    report.check("runs were shared", max(sizes) > 20, sizes)


def oip_bytes(value, priority):
    body = json.dumps({"id": str(value), "parameters": {"priority": priority}, "inputs": [
        {"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [value, 0]}]}).encode()
    return (b"POST /v2/models/single/infer HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n"
            b"Content-Length: " + str(len(body)).encode() + b"\r\n\r\n" + body)


def priorities(report):
    """While ten requests keep the model busy, others come in the wrong order."""
    # Of two I/O threads one may be later with an answer that was there before the other's.
    with Repository("--io-threads", "1", models=("single",)) as server:
        answered_in_order(report, server)


def answered_in_order(report, server):
    wanted = [1] * 10 + [16, 8, 2] * 3
    host, port = server.http.rsplit(":", 1)
    selector = selectors.DefaultSelector()
    sockets = []
    for i, priority in enumerate(wanted):
        sockets.append(socket.create_connection((host, int(port)), timeout=20))
        selector.register(sockets[-1], selectors.EVENT_READ, (i, priority))
    for i, (each, priority) in enumerate(zip(sockets, wanted)):
        each.sendall(oip_bytes(i, priority))
    order = []
    while len(order) < len(wanted):
        for key, _ in selector.select(20):
            data = key.fileobj.recv(1 << 16)
            report.check("answered with its own",
                         f'"id":"{key.data[0]}"' in data.decode(), data)
            order.append(key.data[1])
            selector.unregister(key.fileobj)
    for each in sockets:
        each.close()
    report.equal("the lowest number first", order[10:], sorted(wanted[10:]))


def main():
    with Repository() as server:
        tests = [waiting_alone, waiting_together, waiting_closes_early, short_queue, too_late,
                 late_in_the_queue, largest_batch, fixed_batch, split_under_load]

        def bind(test):
            def bound(report):
                test(report, server)
            bound.__name__ = test.__name__
            return bound
        Report("batching").run(*[bind(test) for test in tests], priorities)


if __name__ == "__main__":
    main()
