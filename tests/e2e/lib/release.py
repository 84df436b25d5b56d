"""Releases as people and clients see them: the control API, users on every protocol, and load that
notes which version answered when.

Models are tiny: x[N,2] → y = x₀ + code, so that an answer says by itself which version gave it.
"""

import datetime
import http.client
import json
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from . import oip, rpc
from .folder import LOOKING, Folder
from .swap_load import connect, read_answer

PIPELINED = 48
ARMS = ("v1", "v2", "v3", "v4")


def code(version):
    """What a version adds to x₀."""
    return 1000 * int(version[1:])


class Split(Folder):
    """Models m and other with four versions each, and a server."""

    def __init__(self, *extra):
        super().__init__()
        self.extra = extra

    def __enter__(self):
        for model in ("m", "other"):
            for version in ARMS:
                self.put(model, version, code(version))
        self.serve(*LOOKING, *self.extra)
        self.control = Control(self.server)
        return self


class KeptFolder(Folder):
    """A repository whose server has a folder for its state; `fill` puts the models there."""

    def __enter__(self):
        self.state_dir = tempfile.TemporaryDirectory(prefix="e2e-state-")
        self.fill()
        self.begin()
        return self

    def __exit__(self, *_):
        super().__exit__()
        self.state_dir.cleanup()

    def begin(self):
        self.control = Control(self.serve(*LOOKING, "--state-dir", self.state_dir.name))


class Control:
    """The management port's release API of one model. Every call answers (status, body)."""

    def __init__(self, server, model="m"):
        self.address, self.model = server.management, model

    def call(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection(self.address, timeout=60)
        try:
            text = body if body is None or isinstance(body, str) else json.dumps(body)
            connection.request(method, path, text,
                               {"Content-Type": "application/json", **(headers or {})})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read() or b"null")
        finally:
            connection.close()

    def _path(self, word=""):
        return f"/api/models/{self.model}/release" + (f"/{word}" if word else "")

    def get(self):
        """The release's status."""
        status, body = self.call("GET", self._path())
        if status != 200:
            raise RuntimeError(f"GET release: {status} {body}")
        return body

    def put(self, body, if_match=None):
        headers = {} if if_match is None else {"If-Match": f'"{if_match}"'}
        return self.call("PUT", self._path(), body, headers)

    def split(self, **weights):
        """Sets weights, which must work; answers the revision."""
        status, body = self.put({"policy": "split", "weights": weights})
        if status != 200:
            raise RuntimeError(f"PUT release: {status} {body}")
        return body["revision"]

    def delete(self, if_match=None):
        headers = {} if if_match is None else {"If-Match": f'"{if_match}"'}
        return self.call("DELETE", self._path(), None, headers)

    def act(self, word, **body):
        return self.call("POST", self._path(word), body)

    def bandit(self):
        return self.call("GET", f"/api/models/{self.model}/bandit")


def message(answer):
    """(status, the error's text) of a call's (status, body)."""
    status, body = answer
    return status, (body or {}).get("error", {}).get("message", "")


def words(status):
    """What was decided, oldest first."""
    return [entry["decision"] for entry in by_time(status["history"])]


def by_time(history):
    return sorted(history, key=lambda entry: (entry["time"], entry["revision"]))


def decision(status, word):
    """The last decision of this kind, or None."""
    found = [entry for entry in by_time(status["history"]) if entry["decision"] == word]
    return found[-1] if found else None


def seconds_of(entry):
    """When it was decided, since 1970."""
    return datetime.datetime.fromisoformat(entry["time"].replace("Z", "+00:00")).timestamp()


def request(model="m", features=(0.5, 0), headers=None, **body):
    """The bytes of one simple REST prediction."""
    data = json.dumps({"features": list(features), **body}).encode()
    more = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
    return (f"POST /models/{model}/predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json"
            f"\r\n{more}Content-Length: {len(data)}\r\n\r\n").encode() + data


class Pipe:
    """One connection on which many requests are under way at once, answered in order."""

    def __init__(self, server):
        self.socket, self.buffer = connect(server), b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def ask(self, requests):
        """[(status, body)]"""
        out = []
        for begin in range(0, len(requests), PIPELINED):
            piece = requests[begin:begin + PIPELINED]
            self.send(piece)
            out += [self.receive() for _ in piece]
        return out

    def send(self, requests):
        self.socket.sendall(b"".join(requests))

    def receive(self):
        status, data, self.buffer = read_answer(self.socket, self.buffer)
        return int(status), json.loads(data)


def versions(server, requests):
    """Which version answered each; the answer's text where none did."""
    with Pipe(server) as pipe:
        return [body.get("model_version", str(body)) for _, body in pipe.ask(requests)]


def arms_of(server, users, model="m"):
    """{user: version} by the field user_id."""
    users = list(users)
    return dict(zip(users, versions(server, [request(model, user_id=user) for user in users])))


ROW = oip.Tensor("x", "FP32", [1, 2], [0.5, 0.0])


def user_clients(server, channel, model="m"):
    """{how the user is told: callable of a user that answers the version}"""
    rest = oip.Rest(server)
    predict, infer = rpc.predict(channel), rpc.Oip(channel).ModelInfer
    inputs = [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [0.5, 0.0]}]

    def call(path, body, headers=None):
        return json.loads(rest.call("POST", path, body, headers)[1])

    def simple(**more):
        return rpc.prediction_pb2.PredictRequest(features=[0.5, 0], model=model, **more)

    def oip_parameter(user):
        ask = oip.grpc_request(model, "", [ROW])
        ask.parameters["user_id"].string_param = user
        return infer(ask, timeout=20).model_version

    path, v2 = f"/models/{model}/predict", f"/v2/models/{model}/infer"
    return {
        "field user_id": lambda user: call(path, {"features": [0.5, 0], "user_id": user})[
            "model_version"],
        "X-User-Id": lambda user: call(path, {"features": [0.5, 0]}, {"X-User-Id": user})[
            "model_version"],
        "simple gRPC field": lambda user: predict(simple(user_id=user), timeout=20).model_version,
        "simple gRPC metadata": lambda user: predict(
            simple(), timeout=20, metadata=[("x-user-id", user)]).model_version,
        "OIP REST parameter": lambda user: call(
            v2, {"inputs": inputs, "parameters": {"user_id": user}})["model_version"],
        "OIP REST X-User-Id": lambda user: call(v2, {"inputs": inputs}, {"X-User-Id": user})[
            "model_version"],
        "OIP gRPC parameter": oip_parameter,
        "OIP gRPC metadata": lambda user: infer(
            oip.grpc_request(model, "", [ROW]), timeout=20,
            metadata=[("x-user-id", user)]).model_version,
    }


def told(ask, user):
    """The version that answers, or what was said instead."""
    try:
        return ask(user)
    except Exception as error:  # whatever a client raises
        return f"{type(error).__name__}: {error}"[:200]


class Answer:
    """One answer: when its request was sent and when it came (seconds since 1970)."""

    __slots__ = ("sent", "came", "status", "body")

    def __init__(self, sent, came, status, body):
        self.sent, self.came, self.status, self.body = sent, came, status, body

    @property
    def version(self):
        return self.body.get("model_version")


class Load:
    """`with Load(server, make):` asks on several connections until the block ends. `make(n)` gives
    the bytes of the n-th request. `pause`: seconds between pieces of PIECE requests."""

    PIECE = 8

    def __init__(self, server, make, connections=2, pause=0.002):
        self.server, self.make, self.pause = server, make, pause
        self.answers, self.broken, self.stop = [], [], threading.Event()
        self.threads = [threading.Thread(target=self._guard, args=(i, connections))
                        for i in range(connections)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.end()

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.join()

    def _guard(self, number, step):
        try:
            self._ask(number, step)
        except Exception as error:  # a connection that broke is a failed request
            self.broken.append(f"{type(error).__name__}: {error}")

    def _ask(self, number, step):
        with Pipe(self.server) as pipe:
            while not self.stop.is_set():
                piece = [self.make(number + i * step) for i in range(self.PIECE)]
                number += self.PIECE * step
                sent = time.time()
                for status, body in pipe.ask(piece):
                    self.answers.append(Answer(sent, time.time(), status, body))
                time.sleep(self.pause)

    def failed(self):
        return [(one.status, one.body) for one in self.answers if one.status != 200] + self.broken

    def of(self, version, sent_after=0.0):
        return [one for one in self.answers if one.version == version and one.sent > sent_after]


def at_once(*calls):
    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result() for future in [pool.submit(call) for call in calls]]
