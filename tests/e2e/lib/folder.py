"""A repository's folder, what is put into it, and a server that looks at it."""

import hashlib
import http.client
import json
import os
import re
import shutil
import tempfile
import threading
import time
from pathlib import Path

from . import tiny_onnx
from .server import ROOT, Server

POLL = 0.2
LOOKING = ["--poll", "200ms"]
# A version is served within two polls plus its loading; the last is what a busy machine may take.
TAKEOVER = 2 * POLL + 6


class Folder:
    """`with Folder() as folder:` is an empty repository; `serve` starts a server on it."""

    def __init__(self, parent=None):
        self.scratch = tempfile.TemporaryDirectory(prefix="e2e-folder-", dir=parent)
        # One level down, so that there is an outside that links can lead to.
        self.path = Path(self.scratch.name) / "repository"
        self.path.mkdir()
        self.server = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
        self.scratch.cleanup()

    def serve(self, *extra):
        self.stop()
        self.server = Server(self.path, extra=extra or LOOKING)
        return self.server

    def stop(self):
        if self.server is not None:
            self.server.kill()
        self.server = None

    def place(self, model, version, name="model.onnx"):
        file = self.path / model / version / name
        file.parent.mkdir(parents=True, exist_ok=True)
        return file

    def put(self, model, version, code, name="model.onnx", **more):
        """A new file that is there at once, as whoever deploys would move it there. `code` may be
        the bytes themselves."""
        data = code if isinstance(code, bytes) else tiny_onnx.model(code, **more)
        file = self.place(model, version, name)
        hidden = file.with_name(".next")
        hidden.write_bytes(data)
        hidden.rename(file)
        return file

    def yaml(self, model, text):
        hidden = self.path / model / ".yaml"
        hidden.parent.mkdir(exist_ok=True)
        hidden.write_text(text)
        hidden.rename(hidden.with_name("model.yaml"))

    def manifest(self, model, version, *files):
        """In sha256sum's form, of (name, bytes)."""
        lines = [f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in files]
        self.place(model, version, "manifest.sha256").write_text("".join(lines))

    def remove(self, model, version=""):
        shutil.rmtree(self.path / model / version)

    def ask(self, model="m", version=None, timeout_ms=None, x=0.5):
        """(200, version, code) of the simple API, or (status, None, the answer's text)."""
        part = f"/versions/{version}" if version else ""
        headers = {"X-Request-Timeout-Ms": str(timeout_ms)} if timeout_ms else {}
        connection = self.server.connection()
        try:
            connection.request("POST", f"/models/{model}{part}/predict",
                               json.dumps({"features": [x, 0]}), headers)
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        if answer.status != 200:
            return answer.status, None, text
        answer = json.loads(text)
        return 200, answer["model_version"], answer["prediction"] - x

    def models(self):
        """GET /api/models as {model: {version: (state, reason)}}; a model's own reason is at ""."""
        connection = http.client.HTTPConnection(self.server.management, timeout=20)
        try:
            connection.request("GET", "/api/models")
            listed = json.loads(connection.getresponse().read())["models"]
        finally:
            connection.close()
        out = {}
        for one in listed:
            out[one["name"]] = {v["version"]: (v["state"], v.get("reason", ""))
                                for v in one["versions"]}
            out[one["name"]][""] = ("", one.get("reason", ""))
        return out

    def state(self, model, version):
        return self.models().get(model, {}).get(version, ("absent", ""))[0]

    def reason(self, model, version):
        return self.models().get(model, {}).get(version, ("absent", ""))[1]

    def log_lines(self, *words):
        """Lines of the server's log that have all of these words."""
        return [line for line in self.server.stderr().splitlines()
                if all(word in line for word in words)]


class Suspects(Folder):
    """A repository with one healthy model, `beside`, and a server."""

    def __enter__(self):
        self.put("beside", "v1", 7)
        self.serve()
        return self

    def settled(self, names, seconds=120):
        """Until each of these models is served or refused."""
        def done():
            listed = self.models()
            return all(state in ("ready", "failed") for name in names
                       for version, (state, _) in listed.get(name, {"1": ("", "")}).items()
                       if version)
        return wait_until(done, seconds, every=0.1)

    def check_health(self, report, what):
        """The server lives, the healthy model answers, nothing shows a path."""
        report.equal(f"{what}: the server lives", self.server.process.poll(), None)
        report.equal(f"{what}: a model beside answers", self.ask("beside"), (200, "v1", 7))
        text = str(self.models()) + self.server.stderr()
        text += "\n".join(str(self.ask(model)[2]) for model in self.models())
        shown = [line for line in text.splitlines()
                 if self.scratch.name in line or str(ROOT) in line or "/proc/" in line]
        report.check(f"{what}: no path is shown", not shown, shown[:3])

    def refused(self, report, what, model, version="v1", words=()):
        state, reason = self.models().get(model, {}).get(version, ("absent", ""))
        if not reason:
            reason = self.reason(model, "")
        report.check(f"{what} is refused with a reason", state in ("failed", "absent") and
                     (state == "absent" or reason) and all(word in reason for word in words),
                     (state, reason))

    def becomes_refused(self, report, model, version, *words):
        """State and reason are taken together: what was killed is soon tried again, and then its
        state is another one."""
        seen = []

        def refused():
            seen[:] = self.models().get(model, {}).get(version, ("absent", ""))
            return seen[0] == "failed" and all(word in seen[1] for word in words)

        report.check(f"{words[0]} is refused with a reason", wait_until(refused) is not None, seen)


class Asking:
    """Somebody who asks one model all the time, and notes what comes."""

    def __init__(self, folder, *models):
        self.folder, self.models = folder, models or ("m",)
        self.outcomes, self.stop = [], threading.Event()
        self.thread = threading.Thread(target=self.ask)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()

    def ask(self):
        while not self.stop.is_set():
            for model in self.models:
                try:
                    self.outcomes.append(self.folder.ask(model))
                except Exception as error:  # a connection that broke is a failed request
                    self.outcomes.append((0, None, repr(error)))
            time.sleep(0.002)

    def failed(self):
        return [one for one in self.outcomes if one[0] != 200]


def nobody_failed(report, what, asking):
    failed = asking.failed()
    report.check(f"{what}: no request failed", asking.outcomes and not failed,
                 f"{len(failed)} of {len(asking.outcomes)}, such as {failed[:1]}")


def wait_until(what, seconds=TAKEOVER, every=0.02):
    """How long it took until `what` was true; None where it never was."""
    began = time.monotonic()
    while not what():
        if time.monotonic() - began > seconds:
            return None
        time.sleep(every)
    return time.monotonic() - began


def children(pid):
    """Processes that this one has started and not buried: {pid: (name, state)}."""
    out = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            stat = Path("/proc", entry, "stat").read_text()
        except OSError:
            continue
        name, rest = stat[stat.index("(") + 1:].rsplit(") ", 1)
        state, parent = rest.split()[:2]
        if int(parent) == pid:
            out[int(entry)] = (name, state)
    return out


def catches(pid, number):
    """Whether the process has a handler of its own for a signal."""
    caught = re.search(r"SigCgt:\s*(\w+)", Path(f"/proc/{pid}/status").read_text())[1]
    return bool(int(caught, 16) >> (number - 1) & 1)


def cpu_seconds(pid):
    """Of the process, its trial children excluded."""
    stat = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))
