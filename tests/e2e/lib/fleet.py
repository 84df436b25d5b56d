"""Replicas that share their state in a Redis of this test's own, each through a way of its own that
can be cut."""

import http.client
import re
import time

from . import tiny_onnx
from .folder import LOOKING, Folder, wait_until
from .redis import Redis
from .release import Control, code
from .server import Server
from .way import Way


class PatientControl(Control):
    """503 says that the others cannot be asked just now: then again, as a person would."""

    def call(self, method, path, body=None, headers=None):
        until = time.monotonic() + 10
        while True:
            status, answer = super().call(method, path, body, headers)
            if status != 503 or time.monotonic() > until:
                return status, answer
            print(f"  a replica says that the others cannot be asked: {answer}", flush=True)
            time.sleep(0.2)


class Replicas(Folder):
    """Model m as in lib/canary.py (v1 and v4 sound, v2 fails for BAD rows), `count` servers."""

    def __init__(self, count=3, redis=("--appendonly", "yes", "--appendfsync", "always")):
        super().__init__()
        self.count, self.redis = count, Redis(*redis)
        self.servers, self.ways = [], []
        self.paths = {}  # of replicas that have a repository of their own

    def __enter__(self):
        self.put("m", "v1", code("v1"))
        self.put("m", "v2", tiny_onnx.fragile(code("v2")))
        self.put("m", "v4", code("v4"))
        self.redis.start()
        for _ in range(self.count):
            self.ways.append(Way(self.redis.port))
            self.servers.append(None)
        for number in range(self.count):
            self.begin(number)
        return self

    def __exit__(self, *_):
        for server in self.servers:
            server.kill()
        for way in self.ways:
            way.close()
        self.redis.__exit__()
        super().__exit__()

    def begin(self, number):
        """Starts this replica, or starts it again."""
        self.servers[number] = Server(self.paths.get(number, self.path), extra=[
            *LOOKING, "--state", f"redis://127.0.0.1:{self.ways[number].port}/0"])

    def control(self, number):
        return PatientControl(self.servers[number])

    def lease(self):
        """Who decides, as Redis has it: its reply."""
        return self.redis.call(["GET", "sluice:{state}:lease"])

    def metric(self, number, name):
        connection = http.client.HTTPConnection(self.servers[number].management, timeout=20)
        try:
            connection.request("GET", "/metrics")
            text = connection.getresponse().read().decode()
        finally:
            connection.close()
        found = re.search(rf"^{name} (\S+)$", text, re.MULTILINE)
        return float(found[1]) if found else None

    def leader(self):
        """Which replica decides, or None."""
        leading = [i for i, server in enumerate(self.servers)
                   if server.process.poll() is None and self.metric(i, "sluice_fleet_leads") == 1]
        return leading[0] if len(leading) == 1 else None

    def led(self, seconds=10):
        """Until one decides: which."""
        wait_until(lambda: self.leader() is not None, seconds)
        return self.leader()

    def settled(self, asked, seconds=10, at=0):
        """Until the release has counted so many requests in all; the last count."""
        def count():
            arms = self.control(at).get()["arms"]
            return sum(arm["requests"] for arm in arms.values())
        wait_until(lambda: count() >= asked, seconds, every=0.05)
        return count()
