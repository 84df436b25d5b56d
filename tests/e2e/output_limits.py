#!/usr/bin/python3
# takes: 15 s
"""What clients leave to the server: answers that wait, and descriptors for the operator."""

import http.client
import queue
import resource
import socket

from lib import oip, rpc
from lib.folder import descriptors, wait_until
from lib.server import ROOT, Report, Server

MODEL = ROOT / "tests/models/identity_float.onnx"
ROWS = 20_000  # of three numbers: an answer of 240 KB
# Answers that wait all the time: 60 MB, more than sockets and windows hold.
AHEAD = 250
# And five times as much that passes behind them.
MORE = 1250
# Twice what waits, and what an allocator keeps; all that passed would be 300 MB.
GROWTH = 150 << 20

CLIENTS = 600
ROOM = 300  # descriptors more than the server has at its start: fewer than clients


def long_stream(report):
    """A client that is behind all the while: the server keeps what waits, not what has left."""
    tensor = oip.Tensor("x", "FP32", [ROWS, 3], [0.0] * (3 * ROWS))
    request = oip.grpc_request("identity_float", "", [tensor])
    with Server(MODEL) as server, rpc.channel(server.grpc) as channel:
        requests = queue.SimpleQueue()
        answers = rpc.Oip(channel).ModelStreamInfer(iter(requests.get, None), timeout=300)
        good = 0

        def one_more():
            requests.put(request)
            answer = next(answers)
            return [len(data) for data in answer.infer_response.raw_output_contents] == [12 * ROWS]

        for _ in range(AHEAD):
            requests.put(request)
        good += sum(one_more() for _ in range(AHEAD))
        before = server.rss_bytes()
        good += sum(one_more() for _ in range(MORE))
        after = server.rss_bytes()
        requests.put(None)
        good += sum(1 for _ in answers)
        report.equal("answers", good, 2 * AHEAD + MORE)
        report.check(f"memory grows by at most {GROWTH >> 20} MB", after - before <= GROWTH,
                     f"{before} to {after} bytes")
        print(f"    RSS {before / 1e6:.1f} MB, {after / 1e6:.1f} after {MORE} answers more")


def health(address):
    connection = http.client.HTTPConnection(address, timeout=20)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status
    finally:
        connection.close()


def crowd(report):
    """Clients that only connect leave the operator some descriptors."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 1000), hard))
    with Server() as server:
        was = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
        report.equal("the server allows itself what it may", was, (hard, hard))
        most = descriptors(server.pid) + ROOM
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (most, hard))
        host, port = server.http.rsplit(":", 1)
        clients = [socket.create_connection((host, int(port)), timeout=20) for _ in range(CLIENTS)]
        full = wait_until(lambda: descriptors(server.pid) >= most - 70)
        report.check("they take what they may", full is not None, descriptors(server.pid))
        report.equal("the last of them is closed at once", clients[-1].recv(1), b"")
        answers = [health(server.management) for _ in range(10)]
        report.equal("the management address answers", answers, [200] * 10)
        left = most - descriptors(server.pid)
        report.check("some descriptors are left", left >= 40, left)
        for client in clients:
            client.close()
        free = wait_until(lambda: descriptors(server.pid) < most - 200)
        report.check("and come back", free is not None, descriptors(server.pid))
        report.equal("then the public address answers", health(server.http), 200)


def main():
    Report("output_limits").run(long_stream, crowd)


if __name__ == "__main__":
    main()
