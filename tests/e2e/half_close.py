#!/usr/bin/python3
"""A client that has said all it wants and shuts down its writing side still gets every answer."""

import json
import socket
import time

from lib.server import Report, Server, golden

ROW = golden("iris.1")[0]
REQUESTS = 200


def request(path, body):
    data = json.dumps(body).encode()
    head = (f"POST {path} HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(data)}\r\n\r\n")
    return head.encode() + data


def simple(i):
    return request("/models/iris/predict", {"features": ROW["features"], "request_id": str(i)})


def v2(i):
    tensor = {"name": "X", "shape": [1, 4], "datatype": "FP32", "data": ROW["features"]}
    return request("/v2/models/iris/infer", {"id": str(i), "inputs": [tensor]})


def v1(i):
    """No id in this protocol: the number of rows tells answers apart."""
    return request("/v1/models/iris:predict", {"instances": [ROW["features"]] * (i % 7 + 1)})


def number_simple(answer):
    return int(answer["request_id"])


def number_v2(answer):
    return int(answer["id"])


def number_v1(answer):
    return len(answer["predictions"]) - 1


def connect(server):
    host, port = server.http.rsplit(":", 1)
    return socket.create_connection((host, int(port)), timeout=20)


def read_all(sock, pause=0.0, size=1 << 20):
    """Everything until the server closes."""
    parts = []
    while True:
        part = sock.recv(size)
        if not part:
            return b"".join(parts)
        parts.append(part)
        time.sleep(pause)


def bodies(data):
    """The JSON of every answer; only whole answers with 200 may be there."""
    out = []
    while data:
        head, _, data = data.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200 "):
            raise RuntimeError(f"{head[:200]} {data[:200]}")
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        if len(data) < length:
            raise RuntimeError(f"{len(data)} of {length} bytes")
        out.append(json.loads(data[:length]))
        data = data[length:]
    return out


class Tests:
    def __init__(self, server):
        self.server = server

    def one(self, report):
        for name, make, number in WAYS:
            with connect(self.server) as sock:
                sock.sendall(make(3))
                sock.shutdown(socket.SHUT_WR)
                answers = [number(answer) for answer in bodies(read_all(sock))]
                report.equal(f"{name}: one", answers, [3])

    def pipelined(self, report):
        for name, make, number in WAYS:
            want = [i % 7 if make is v1 else i for i in range(REQUESTS)]
            for pause in (0.0, 0.3):
                with connect(self.server) as sock:
                    sock.sendall(b"".join(make(i) for i in range(REQUESTS)))
                    time.sleep(pause)
                    sock.shutdown(socket.SHUT_WR)
                    answers = [number(answer) for answer in bodies(read_all(sock))]
                    report.equal(f"{name}: {REQUESTS}, in order", answers, want)

    def many_times(self, report):
        """The end and the last bytes may arrive together or apart."""
        wrong = 0
        for _ in range(100):
            with connect(self.server) as sock:
                sock.sendall(b"".join(v2(i) for i in range(20)))
                sock.shutdown(socket.SHUT_WR)
                wrong += [number_v2(answer) for answer in bodies(read_all(sock))] != list(range(20))
        report.equal("wrong of 100 connections", wrong, 0)

    def slow_reader(self, report):
        """Answers of many megabytes, which no buffer holds, read slowly."""
        rows = 20000
        large = request("/models/iris/predict", {"features": [ROW["features"]] * rows})
        with connect(self.server) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
            sock.sendall(large * 10)
            sock.shutdown(socket.SHUT_WR)
            time.sleep(1)
            answers = bodies(read_all(sock, pause=0.0005, size=1 << 16))
            report.equal("ten large answers", [len(answer["label"]) for answer in answers],
                         [rows] * 10)

    def cut_off(self, report):
        """What is not whole gets no answer; what came before it does."""
        for name, make, number in WAYS:
            with connect(self.server) as sock:
                sock.sendall(make(1) + make(2) + make(3)[:-5])
                sock.shutdown(socket.SHUT_WR)
                answers = [number(answer) for answer in bodies(read_all(sock))]
                report.equal(f"{name}: two of three", answers, [1, 2])


WAYS = [("simple", simple, number_simple), ("v2", v2, number_v2), ("v1", v1, number_v1)]


def main():
    with Server() as server:
        tests = Tests(server)
        Report("half_close").run(tests.one, tests.pipelined, tests.many_times, tests.slow_reader,
                                 tests.cut_off)


if __name__ == "__main__":
    main()
