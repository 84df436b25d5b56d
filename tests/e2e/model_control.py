#!/usr/bin/python3
"""Loading and unloading by call while the server runs and the repository changes beneath it."""

import shutil
import tempfile
import threading
import time
from pathlib import Path

from lib import oip, rpc
from lib.server import MODELS, ROOT, Report, Server

GOOD = ROOT / "tests/models/multi_output_regression.onnx"
OTHER = ROOT / "tests/models/softmax_only.onnx"
BROKEN = ROOT / "tests/models/truncated.onnx"
EXPLICIT = ["--model-control", "explicit"]
ROW = oip.Tensor("x", "FP32", [1, 2], [1.0, 2.0])
GROWTH = 8 << 20


class Repository:
    """A folder with models, and a server on it."""

    def __enter__(self):
        self.scratch = tempfile.TemporaryDirectory(prefix="e2e-control-")
        self.path = Path(self.scratch.name)
        self.put("m", "1", GOOD)
        self.server = Server(self.path, extra=EXPLICIT)
        self.rest = oip.Rest(self.server)
        return self

    def __exit__(self, *_):
        self.server.kill()
        self.scratch.cleanup()

    def put(self, model, version, source):
        """A new file in its place, as whoever deploys would move it there."""
        folder = self.path / model / version
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, folder / "next")
        (folder / "next").rename(folder / "model.onnx")

    def control(self, model, what):
        return self.rest.status("POST", f"/v2/repository/models/{model}/{what}")

    def answer(self, model="m"):
        """(status, version)"""
        body = {"features": [1, 2]}
        try:
            _, data = self.rest.call("POST", f"/models/{model}/predict", body)
        except oip.RestError as error:
            return error.status, None
        return 200, data.decode().split('"model_version":"')[1].split('"')[0]


def new_version(report):
    with Repository() as repository:
        report.equal("load", repository.control("m", "load"), 200)
        report.equal("first", repository.answer(), (200, "1"))
        repository.put("m", "2", GOOD)
        report.equal("nobody has asked for it", repository.answer(), (200, "1"))
        report.equal("load again", repository.control("m", "load"), 200)
        report.equal("the new one takes the traffic", repository.answer(), (200, "2"))
        shutil.rmtree(repository.path / "m" / "2")
        report.equal("load after it is gone", repository.control("m", "load"), 200)
        report.equal("the old one again", repository.answer(), (200, "1"))


def new_model(report):
    """A model that was not there when the server started."""
    with Repository() as repository:
        report.equal("unknown", repository.control("late", "load"), 404)
        repository.put("late", "1", GOOD)
        report.equal("load", repository.control("late", "load"), 200)
        report.equal("answers", repository.answer("late"), (200, "1"))
        report.equal("the other is still unloaded", repository.answer("m"), (503, None))


def failed_reload(report):
    """What ran before goes on."""
    with Repository() as repository:
        report.equal("load", repository.control("m", "load"), 200)
        repository.put("m", "1", BROKEN)
        report.equal("load of a broken file", repository.control("m", "load"), 503)
        report.equal("what ran goes on", repository.answer(), (200, "1"))
        shutil.rmtree(repository.path / "m")
        report.equal("load of what is gone", repository.control("m", "load"), 404)
        report.equal("what ran goes on still", repository.answer(), (200, "1"))
        report.equal("until it is unloaded", repository.control("m", "unload"), 200)
        report.equal("then it is", repository.answer()[0] in (404, 503), True)
        repository.put("m", "1", GOOD)
        report.equal("and can come back", repository.control("m", "load"), 200)
        report.equal("answers again", repository.answer(), (200, "1"))


def file_changed(report):
    """A reload serves what is in the file now."""
    with Repository() as repository:
        repository.control("m", "load")
        repository.put("m", "1", OTHER)
        report.equal("before the reload", repository.answer(), (200, "1"))
        report.equal("reload", repository.control("m", "load"), 200)
        report.equal("two features are too few now", repository.answer(), (400, None))


class Traffic:
    """Clients that ask one model over and over; counts how that ended."""

    def __init__(self, server, threads=3):
        self.server, self.outcomes, self.stop = server, {}, threading.Event()
        self.threads = [threading.Thread(target=self.ask, args=(i,)) for i in range(threads)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join()

    def count(self, outcome):
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1

    def ask(self, number):
        if number == 0:
            return self.ask_grpc()
        rest = oip.Rest(self.server)
        while not self.stop.is_set():
            try:
                out = rest.infer("/v2/models/m", [ROW], binary=number == 1)
                self.count(200 if out["y"].values == [1, 2, 13] else "wrong")
            except oip.RestError as error:
                self.count(error.status)
            except Exception as error:
                self.count(repr(error))
                rest = oip.Rest(self.server)

    def ask_grpc(self):
        request = oip.grpc_request("m", "", [ROW])
        with rpc.channel(self.server.grpc) as channel:
            infer = rpc.Oip(channel).ModelInfer
            while not self.stop.is_set():
                code, _ = rpc.failure(infer, request)
                self.count({"OK": 200, "UNAVAILABLE": 503}.get(code, code))


def under_traffic(report):
    """Loads, reloads and unloads: every request is answered, rightly or with 503."""
    with Repository() as repository:
        repository.control("m", "load")
        with Traffic(repository.server) as traffic:
            until = time.monotonic() + 3
            while time.monotonic() < until:
                statuses = {repository.control("m", "load"), repository.control("m", "unload"),
                            repository.control("m", "load")}
                if statuses != {200}:
                    report.equal("control", statuses, {200})
        report.check("every request has an answer", traffic.outcomes.keys() == {200, 503},
                     traffic.outcomes)
        repository.server.signal()
        report.equal("exit code", repository.server.wait(), 0)


def reload_under_traffic(report):
    """A reload, or a new version, costs no request anything."""
    with Repository() as repository:
        repository.control("m", "load")
        with Traffic(repository.server) as traffic:
            for version in range(2, 12):
                repository.put("m", str(version), GOOD)
                report.equal("load", repository.control("m", "load"), 200)
        report.check("no request failed", traffic.outcomes.keys() == {200}, traffic.outcomes)


def at_once(report):
    """Many loads of one model at the same time are done one after the other."""
    with Repository() as repository, rpc.channel(repository.server.grpc) as channel:
        load = rpc.Oip(channel).RepositoryModelLoad
        request = rpc.oip_pb2.RepositoryModelLoadRequest(model_name="m")
        calls = [load.future(request, timeout=30) for _ in range(50)]
        report.check("50 loads at once", all(call.result().isLoaded for call in calls))
        report.equal("answers", repository.answer(), (200, "1"))


def memory(report):
    """What is unloaded is given back."""
    with Repository() as repository:
        repository.put("m", "1", MODELS / "digits/1/model.onnx")
        for times in (100, 300):
            for _ in range(times):
                repository.control("m", "load")
                repository.control("m", "unload")
            now = repository.server.rss_bytes()
            if times == 100:
                before = now
        report.check(f"300 loads more take at most {GROWTH >> 20} MB", now - before <= GROWTH,
                     f"{before} to {now} bytes")


def settings(report):
    """Traces are lines of the log; log settings choose which lines there are."""
    with Repository() as repository:
        rest, server = repository.rest, repository.server
        repository.control("m", "load")
        rest.call("POST", "/v2/trace/setting",
                  {"trace_level": ["TIMESTAMPS"], "trace_rate": "2", "trace_count": "3"})
        for i in range(20):
            rest.infer("/v2/models/m", [ROW], id=f"trace-{i}")
        lines = [line for line in server.stderr().splitlines() if "trace id=trace-" in line]
        report.equal("every second request, three of them", len(lines), 3)
        report.check("with times", all("infer_us=" in line for line in lines), lines)
        rest.call("POST", "/v2/logging", {"log_info": False, "log_error": False})
        quiet = len(server.stderr())
        repository.control("m", "unload")
        repository.put("m", "1", BROKEN)
        repository.control("m", "load")
        report.equal("nothing is logged", server.stderr()[quiet:], "")
        rest.call("POST", "/v2/logging", {"log_info": True, "log_error": True})
        repository.control("m", "load")
        report.check("then again", "m" in server.stderr()[quiet:], server.stderr()[quiet:])


def main():
    Report("model_control").run(new_version, new_model, failed_reload, file_changed, under_traffic,
                                reload_under_traffic, at_once, memory, settings)


if __name__ == "__main__":
    main()
