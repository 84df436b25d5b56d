#!/usr/bin/python3
"""Memory stays where it is: what a request takes is given back, over REST and over gRPC.

Both protocols are warmed up, then four times that load must not make the resident set larger.
"""

import json
import socket
import threading

from lib import rpc
from lib.server import Report, Server, golden

ROW = golden("breast_cancer.v1")[0]
MODEL = "breast_cancer"
BATCH = 100  # requests in flight on one connection
CONNECTIONS = 4
# What looks at the traffic keeps recent requests and windows of drift, which fill up over minutes:
# bounded, and less than this of one model.
GROWTH = 4 << 20
# (REST, gRPC) requests
WARM_UP = (50_000, 12_000)
MEASURED = (150_000, 38_000)


def request_bytes():
    # An id of ours makes every answer as long as the first, so that counting bytes counts answers.
    body = json.dumps({"features": ROW["features"], "request_id": "m"})
    return (f"POST /models/{MODEL}/versions/v1/predict HTTP/1.1\r\nHost: test\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}").encode()


def read_exactly(sock, size):
    parts = []
    while size > 0:
        part = sock.recv(min(size, 1 << 18))
        if not part:
            raise RuntimeError("the server closed a connection")
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def pipelined(address, count):
    """`count` requests over one keep-alive connection, BATCH of them in flight."""
    host, port = address.rsplit(":", 1)
    request = request_bytes()
    with socket.create_connection((host, int(port)), timeout=30) as sock:
        sock.sendall(request)
        head = b""
        while b"\r\n\r\n" not in head:
            head += read_exactly(sock, 1)
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        body = read_exactly(sock, length)
        if not head.startswith(b"HTTP/1.1 200 ") or ROW["label"].encode() not in body:
            raise RuntimeError(f"{head} {body}")
        left = count - 1
        while left > 0:
            batch = min(left, BATCH)
            sock.sendall(request * batch)
            answers = read_exactly(sock, batch * (len(head) + length))
            if answers.count(b"HTTP/1.1 200 OK\r\n") != batch or answers.count(body) != batch:
                raise RuntimeError(f"not {batch} equal answers: {answers[:400]}")
            left -= batch


def rest(server, count):
    run_all([threading.Thread(target=pipelined, args=(server.http, count // CONNECTIONS))
             for _ in range(CONNECTIONS)])


def calls(address, count):
    request = rpc.prediction_pb2.PredictRequest(model=MODEL, version="v1",
                                                features=ROW["features"])
    with rpc.channel(address) as channel:
        predict = rpc.predict(channel)
        for _ in range(count // BATCH):
            waiting = [predict.future(request, timeout=30) for _ in range(BATCH)]
            for call in waiting:
                if call.result().label != ROW["label"]:
                    raise RuntimeError(call.result())


def grpc_calls(server, count):
    run_all([threading.Thread(target=calls, args=(server.grpc, count // 2)) for _ in range(2)])


problems = []
threading.excepthook = lambda raised: problems.append(repr(raised.exc_value))


def run_all(threads):
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def memory(report):
    with Server() as server:
        rest(server, WARM_UP[0])
        grpc_calls(server, WARM_UP[1])
        before = server.rss_bytes()
        rest(server, MEASURED[0])
        after_rest = server.rss_bytes()
        grpc_calls(server, MEASURED[1])
        after = server.rss_bytes()
        report.check("every request was answered rightly", not problems, problems[:3])
        for what, now in (("REST", after_rest), ("REST and gRPC", after)):
            report.check(f"{what}: grows by at most {GROWTH >> 20} MB", now - before <= GROWTH,
                         f"{before} to {now} bytes")
        print(f"    RSS {before / 1e6:.2f} MB, after {MEASURED[0]:,} REST {after_rest / 1e6:.2f}, "
              f"after {MEASURED[1]:,} gRPC {after / 1e6:.2f}")
        server.signal()
        report.equal("exit code", server.wait(), 0)


if __name__ == "__main__":
    Report("memory").run(memory)
