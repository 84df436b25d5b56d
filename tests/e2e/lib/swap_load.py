"""Clients at full speed that check every answer: prediction against version, row by row.

A code is version * 1000 + generation; the codes that a version ever had are in a `Ledger`.
"""

import re
import socket
import threading
import time
from collections import Counter

from . import oip, rpc

STEP = 1000
ANSWER = re.compile(rb'HTTP/1\.1 (\d+)[^\r]*\r\n.*?\r\n\r\n', re.S)
LENGTH = re.compile(rb"content-length: *(\d+)", re.I)
PREDICTION = re.compile(rb'"prediction":([-0-9.e+]+)')
VERSION = re.compile(rb'"model_version":"v(\d+)"')
PIPELINED = 4


class Ledger:
    """Which codes may be answered, and what was."""

    def __init__(self):
        self.placed = {}
        self.seen, self.wrong = Counter(), Counter()
        self.lock = threading.Lock()

    def place(self, version, generation):
        self.placed.setdefault(version, set()).add(generation)

    def judge(self, version, value, x):
        """None where the answer is right."""
        code = value - x
        if code != int(code) or int(code) // STEP != version:
            return f"version v{version} answered {value} to {x}"
        if int(code) % STEP not in self.placed.get(version, ()):
            return f"version v{version} answered a generation that it never had: {value}"
        return None

    def add(self, kind, answers, wrong):
        with self.lock:
            for code, count in answers.items():
                self.seen[kind, code] += count
            self.wrong.update(wrong)

    def answers(self, kind=None):
        return sum(n for (of, _), n in self.seen.items() if kind in (None, of))

    def codes(self):
        return {code for _, code in self.seen}


class Load:
    """`with Load(server, ledger):` asks model m without a version, and `beside` by its version."""

    def __init__(self, server, ledger, rest=3, grpc=2):
        self.server, self.ledger, self.stop = server, ledger, threading.Event()
        jobs = [(self.rest, i) for i in range(rest)] + [(self.simple_grpc, 5), (self.oip_grpc, 6),
                                                        (self.beside, 7)][-grpc - 1:]
        self.threads = [threading.Thread(target=self.guard, args=job) for job in jobs]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join()

    def guard(self, ask, number):
        answers, wrong = Counter(), Counter()
        x = number / 8
        try:
            while not self.stop.is_set():
                try:
                    ask(x, answers, wrong)
                except Exception as error:  # a connection that broke is a failed request
                    wrong[f"{ask.__name__}: {type(error).__name__}: {error}"[:200]] += 1
                    time.sleep(0.01)
        finally:
            self.ledger.add(ask.__name__, answers, wrong)

    def note(self, version, value, x, answers, wrong):
        problem = self.ledger.judge(version, value, x)
        if problem:
            wrong[problem] += 1
        else:
            answers[int(value - x)] += 1

    def rest(self, x, answers, wrong):
        request = raw_request(x) * PIPELINED
        with connect(self.server) as connection:
            buffer = b""
            while not self.stop.is_set():
                connection.sendall(request)
                for _ in range(PIPELINED):
                    status, data, buffer = read_answer(connection, buffer)
                    if status != b"200":
                        wrong[f"REST {status.decode()}: {data.decode()[:120]}"] += 1
                        continue
                    self.note(int(VERSION.search(data)[1]), float(PREDICTION.search(data)[1]), x,
                              answers, wrong)

    def simple_grpc(self, x, answers, wrong):
        request = rpc.prediction_pb2.PredictRequest(features=[x, 0], model="m")
        with rpc.channel(self.server.grpc) as channel:
            predict = rpc.predict(channel)
            while not self.stop.is_set():
                answer = predict(request, timeout=20)
                self.note(int(answer.model_version[1:]), answer.prediction, x, answers, wrong)

    def oip_grpc(self, x, answers, wrong):
        tensor = oip.Tensor("x", "FP32", [1, 2], [x, 0])
        request = oip.grpc_request("m", "", [tensor])
        with rpc.channel(self.server.grpc) as channel:
            infer = rpc.Oip(channel).ModelInfer
            while not self.stop.is_set():
                answer = infer(request, timeout=20)
                value = oip.grpc_outputs(answer)["y"].values[0]
                self.note(int(answer.model_version[1:]), value, x, answers, wrong)

    def beside(self, x, answers, wrong):
        """A model that nobody touches, by its version; slowly."""
        rest = oip.Rest(self.server)
        while not self.stop.is_set():
            _, data = rest.call("POST", "/models/beside/versions/v1/predict",
                                {"features": [x, 0]})
            value = float(PREDICTION.search(data)[1])
            if value != STEP + x:
                wrong[f"beside answered {value}"] += 1
            time.sleep(0.01)


def connect(server):
    host, port = server.http.rsplit(":", 1)
    return socket.create_connection((host, int(port)), timeout=30)


def raw_request(x):
    body = b'{"features":[%r,0]}' % x
    return (b"POST /models/m/predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (len(body), body))


def read_answer(connection, buffer):
    """(status, body, what came behind it)"""
    while not (head := ANSWER.match(buffer)):
        buffer += more(connection)
    end = head.end() + int(LENGTH.search(head[0])[1])
    while len(buffer) < end:
        buffer += more(connection)
    return head[1], buffer[head.end():end], buffer[end:]


def more(connection):
    data = connection.recv(65536)
    if not data:
        raise ConnectionError("the server closed the connection")
    return data
