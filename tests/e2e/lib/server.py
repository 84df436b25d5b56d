"""A server under test in a process of its own, and the count of what passed.

The binary is $SLUICE_SERVER, else the release build. Every port is picked by the system, so that
scripts may run side by side; a server is ended by its own process id, never by name.
"""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
BINARY = Path(os.environ.get("SLUICE_SERVER") or ROOT / "build/release/sluice").resolve()
MODELS = ROOT / "examples/models"
GOLDEN = ROOT / "examples/golden"
LISTENING = re.compile(r"listening  http (\S+)  grpc (\S+)  management (\S+)")
FREE = "127.0.0.1:0"


def environment():
    """Without the variables that configure Sluice: what is tested is what the flags say. State is
    kept nowhere unless a test says where: tests share models."""
    kept = {name: value for name, value in os.environ.items()
            if not name.startswith(("SLUICE_", "OTEL_"))}
    return {**kept, "SLUICE_STATE_DIR": ":memory:"}


def command(path, http=FREE, grpc=FREE, management=FREE, extra=()):
    return [str(BINARY), "serve", str(path), "--http", http, "--grpc", grpc, "--management",
            management, *extra]


class Server:
    """`with Server() as server:` is answering /ready with 200 inside the block."""

    def __init__(self, path=MODELS, extra=(), env=None, wait=True, log=None,
                 **addresses):
        """`env`: variables beside those of this process. `wait=False`: not ready yet. `log`: a file
        that is open for reading and appending."""
        self.log = log or tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            command(path, extra=extra, **addresses), stdout=subprocess.PIPE, stderr=self.log,
            stdin=subprocess.DEVNULL, env={**environment(), **(env or {})})
        try:
            self._wait_listening()
            if wait:
                self.wait_ready()
        except BaseException:
            self.kill()
            raise

    def _wait_listening(self):
        line = self.process.stdout.readline().decode()
        found = LISTENING.match(line)
        if not found:
            raise RuntimeError(f"it does not say where it listens: {line!r}\n{self.stderr()}")
        self.http, self.grpc, self.management = found.groups()

    def wait_ready(self):
        until = time.monotonic() + 60
        while time.monotonic() < until:
            if self.process.poll() is not None:
                raise RuntimeError(f"the server ended at once:\n{self.stderr()}")
            if self.get("/ready")[0] == 200:
                return
            time.sleep(0.02)
        raise RuntimeError(f"the server did not become ready:\n{self.stderr()}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    @property
    def pid(self):
        return self.process.pid

    def stderr(self):
        # By pread: the place in the file is shared with the server, which writes there.
        size = os.fstat(self.log.fileno()).st_size
        return os.pread(self.log.fileno(), size, 0).decode(errors="replace")

    def connection(self, timeout=20):
        return http.client.HTTPConnection(self.http, timeout=timeout)

    def get(self, path):
        """(status, parsed body) over a connection of its own."""
        connection = self.connection()
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read() or b"null")
        finally:
            connection.close()

    def signal(self, number=signal.SIGTERM):
        self.process.send_signal(number)

    def wait(self, seconds=20):
        """The exit code; None, and a killed server, when it does not end in time."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            return None

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if not self.process.stdout.closed:
            self.process.stdout.close()
        # The log is left open: a failed test still wants to read it.

    def rss_bytes(self):
        with open(f"/proc/{self.pid}/status") as status:
            for line in status:
                if line.startswith("VmRSS:"):
                    return int(line.split()[1]) * 1024
        raise RuntimeError("no VmRSS")


class Report:
    """Counts, says what failed, and ends with the line that tools/dev/test.sh reads."""

    def __init__(self, name):
        self.name = name
        self.passed = 0
        self.failed = 0

    def check(self, what, ok, detail=""):
        if ok:
            self.passed += 1
        else:
            self.failed += 1
            print(f"FAILED {what}: {detail}", flush=True)
        return ok

    def equal(self, what, got, want):
        return self.check(what, got == want, f"expected {want!r}, got {got!r}")

    def run(self, *tests):
        """Each test is a function that takes this report; one that raises is one failure."""
        for test in tests:
            began = time.monotonic()
            try:
                test(self)
            except Exception as error:  # whatever a client raises is what the test found
                self.check(test.__name__, False, f"{type(error).__name__}: {error}")
            print(f"  {test.__name__}: {time.monotonic() - began:.1f} s", flush=True)
        self.finish()

    def finish(self):
        print(f"{self.name}: {self.passed} passed, {self.failed} failed", flush=True)
        sys.exit(1 if self.failed or not self.passed else 0)


def golden(name):
    """The rows of examples/golden/NAME.jsonl."""
    with open(GOLDEN / f"{name}.jsonl") as lines:
        return [json.loads(line) for line in lines]
