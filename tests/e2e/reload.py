#!/usr/bin/python3
"""SIGHUP: the configuration is read again; what can change changes, a mistake changes nothing."""

import json
import shutil
import signal
import tempfile
import threading
import time
from pathlib import Path

from lib.server import MODELS, Report, Server, golden

ROW = golden("iris.1")[0]
BASE = "models: {models}\nhttp: 127.0.0.1:0\ngrpc: 127.0.0.1:0\nmanagement: 127.0.0.1:0\n"


class Configured(Server):
    """A server whose options are all in a file."""

    def __init__(self, folder, models, text):
        self.file = Path(folder, "sluice.yaml")
        self.base = BASE.format(models=json.dumps(str(models)))
        self.write(text)
        super().__init__(models, extra=("--config", str(self.file)))

    def write(self, text):
        self.file.write_text(self.base + text)

    def reload(self, text, expected="the configuration has been read again"):
        """Answers whether the log says `expected` soon after the signal."""
        self.write(text)
        before = self.stderr().count(expected)
        self.signal(signal.SIGHUP)
        until = time.monotonic() + 10
        while time.monotonic() < until:
            if self.stderr().count(expected) > before:
                return True
            time.sleep(0.01)
        return False

    def status(self, method, path, body=None):
        connection = self.connection()
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            answer.read()
            return answer.status
        finally:
            connection.close()

    def predict(self, path="/models/iris/predict", **more):
        return self.status("POST", path, json.dumps({"features": ROW["features"], **more}))


def live_options(report):
    with tempfile.TemporaryDirectory() as folder, Configured(folder, MODELS, "") as server:
        report.equal("an unknown key is a warning", server.predict(unknwon=1), 200)
        report.equal("no default model", server.predict("/predict"), 404)
        report.equal("metrics are public", server.status("GET", "/metrics"), 200)
        report.check("read again", server.reload(
            "strict: true\ndefault_model: iris\nmetrics: {public: false}\n"), server.stderr())
        report.equal("strict now", server.predict(unknwon=1), 400)
        report.equal("a default model", server.predict("/predict"), 200)
        report.equal("metrics are not public", server.status("GET", "/metrics"), 404)
        report.check("back again", server.reload("log_level: debug\n"))
        report.equal("not strict", server.predict(unknwon=1), 200)
        report.equal("no default model again", server.predict("/predict"), 404)


def mistakes(report):
    with tempfile.TemporaryDirectory() as folder, Configured(folder, MODELS, "") as server:
        for text, expected in (("strict: maybe\n", "configuration:5:9: "),
                               ("strikt: true\n", "strict"),
                               ("strict: [\n", "configuration:"),
                               ("default_model: nobody\n", "there is no such model"),
                               ("strict: true\nio_threads: -1\n", "expected 0 to 256")):
            report.check(f"told: {text!r}", server.reload(
                text, "the configuration stays as it was"), server.stderr())
            report.check(f"why: {text!r}", expected in server.stderr(), server.stderr())
            report.equal(f"nothing changed: {text!r}", server.predict(unknwon=1), 200)
        report.check("what needs a start is named", server.reload(
            "python: /none\nio_threads: 1\nmax_body: 1MiB\n",
            "python, io_threads and max_body will change"), server.stderr())


def looks_at_models(report):
    """With `poll: off`, a signal is the way to have new versions found; polls can be switched on."""
    with tempfile.TemporaryDirectory() as folder:
        models = Path(folder, "models")
        shutil.copytree(MODELS / "iris", models / "iris")
        with Configured(folder, models, "poll: off\n") as server:
            shutil.copytree(models / "iris/1", models / "iris/2")
            time.sleep(0.3)
            report.equal("not found by itself", server.predict("/models/iris/versions/2/predict"), 404)
            report.check("signalled", server.reload("poll: off\n"))
            report.check("found", becomes(
                lambda: server.predict("/models/iris/versions/2/predict") == 200), server.stderr())
            report.check("polls from now on", server.reload("poll: 100ms\n"))
            shutil.copytree(models / "iris/1", models / "iris/3")
            report.check("found by itself", becomes(
                lambda: server.predict("/models/iris/versions/3/predict") == 200), server.stderr())


def under_load(report):
    with tempfile.TemporaryDirectory() as folder, Configured(folder, MODELS, "") as server:
        statuses, stop = [], threading.Event()

        def ask():
            while not stop.is_set():
                statuses.append(server.predict())

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for turn in range(20):
            report.check(f"reload {turn}", server.reload(
                f"strict: {'true' if turn % 2 else 'false'}\npoll: {100 + turn}ms\n"),
                server.stderr())
        stop.set()
        for thread in threads:
            thread.join()
        report.equal("no request failed", set(statuses), {200})


def becomes(condition, seconds=10):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if condition():
            return True
        time.sleep(0.02)
    return False


if __name__ == "__main__":
    Report("reload").run(live_options, mistakes, looks_at_models, under_load)
