"""A fleet on one machine: replicas of `sluice serve` behind nginx, with a Redis that they share and an
S3 server that has their models. Everything is on 127.0.0.1, on free ports and in one temporary folder,
and is ended by its own process id.
"""

import contextlib
import http.client
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/e2e"))

from lib.ports import free_port
from lib.redis import Redis
from lib.s3 import BUCKET, KEY, S3, SECRET
from lib.server import MODELS, Server
from lib.way import Way

HOST = "127.0.0.1"
NGINX = ROOT / "deploy/compose/nginx.conf"


def get(address, path, timeout=20):
    """(status, text); (None, why) where nobody answers."""
    return call(address, "GET", path, timeout=timeout)


def call(address, method, path, body=None, timeout=60):
    connection = http.client.HTTPConnection(address, timeout=timeout)
    try:
        text = None if body is None else json.dumps(body)
        connection.request(method, path, text, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except (OSError, http.client.HTTPException) as error:
        return None, repr(error)
    finally:
        connection.close()


def wait_until(what, seconds, every=0.05):
    """Whether `what` was true in time."""
    until = time.monotonic() + seconds
    while not what():
        if time.monotonic() > until:
            return False
        time.sleep(every)
    return True


class Nginx:
    """In front of these addresses (HOST:PORT), with the settings of deploy/compose/nginx.conf and a log
    that says who was asked."""

    def __init__(self, folder, rest, grpc):
        self.folder = folder
        self.front, self.grpc = f"{HOST}:{free_port()}", f"{HOST}:{free_port()}"
        folder.mkdir()
        text = NGINX.read_text()
        for pattern, what, times in (
                (r"worker_processes auto;", self.head(), 1),
                (r"access_log off;", self.log(), 1),
                (r"listen 8000", f"listen {self.front}", 1),
                (r"listen 50051", f"listen {self.grpc}", 1),
                (r"(?:\s*server sluice-\d:8000 (.+);)+", self.servers(rest), 2),
                (r"(?:\s*server sluice-\d:50051 (.+);)+", self.servers(grpc), 1)):
            text, count = re.subn(pattern, what, text)
            if count != times:
                raise RuntimeError(f"deploy/compose/nginx.conf has {count} times '{pattern}', "
                                   f"not {times}")
        (folder / "nginx.conf").write_text(text)
        self.process = None

    def head(self):
        # Workers of root's would be another user, who may not write here.
        user = "user root;" if os.geteuid() == 0 else ""
        return f"{user} worker_processes 1; daemon off; pid {self.folder}/pid;"

    def log(self):
        scratch = " ".join(f"{name}_temp_path {self.folder}/{name};" for name in
                           ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        return ("log_format asked '$msec|$status|$upstream_addr|$upstream_status|"
                f"$http_x_request_id|$uri'; access_log {self.folder}/access.log asked; {scratch}")

    @staticmethod
    def servers(addresses):
        return "".join(rf"\n    server {one} \1;" for one in addresses)

    def start(self):
        self.process = subprocess.Popen(
            ["nginx", "-p", str(self.folder), "-c", "nginx.conf", "-e",
             str(self.folder / "error.log")], stdin=subprocess.DEVNULL)

    def end(self):
        """Its workers end with it."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


class Machine:
    """`with Machine() as machine:` answers at `machine.front` inside the block.

    `options`: of every `sluice serve`. Each replica reaches Redis through a way of its own, which can
    be cut (`machine.ways[number].cut()`, `.mend()`)."""

    def __init__(self, replicas=3, options=()):
        self.count, self.options = replicas, list(options)
        self.replicas, self.ways, self.nginx = [None] * replicas, [], None
        self.redis, self.s3, self.folder = None, None, None
        self.addresses = [{name: f"{HOST}:{free_port()}" for name in ("http", "grpc", "management")}
                          for _ in range(replicas)]
        self.stack = contextlib.ExitStack()

    def __enter__(self):
        with self.stack:
            self._start()
            self.stack = self.stack.pop_all()
        return self

    def __exit__(self, *_):
        self.stack.close()

    def _start(self):
        self.folder = Path(self.stack.enter_context(
            tempfile.TemporaryDirectory(prefix="sluice-local-", ignore_cleanup_errors=True)))
        # What others make for themselves is in here as well.
        self.stack.callback(setattr, tempfile, "tempdir", tempfile.tempdir)
        tempfile.tempdir = str(self.folder)
        self.redis = self.stack.enter_context(Redis(
            "--appendonly", "yes", "--maxmemory", "256mb", "--maxmemory-policy", "noeviction"))
        self.s3 = self.stack.enter_context(S3())
        self._upload_examples()
        for number in range(self.count):
            self.ways.append(Way(self.redis.port))
            self.stack.callback(self.ways[-1].close)
            self.stack.callback(self._end, number)
        for number in range(self.count):
            self.begin(number, wait=False)
        for server in self.replicas:
            server.wait_ready()
        self.nginx = Nginx(self.folder / "nginx", [one["http"] for one in self.addresses],
                           [one["grpc"] for one in self.addresses])
        self.stack.callback(self.nginx.end)
        self.nginx.start()
        if not wait_until(lambda: get(self.front, "/ready")[0] == 200, 30):
            raise RuntimeError("nginx does not answer")

    def _upload_examples(self):
        for file in sorted(MODELS.rglob("*")):
            if file.is_file():
                self.s3.put(str(file.relative_to(MODELS)), file.read_bytes())

    def begin(self, number, wait=True):
        """Starts this replica, or starts it again, at its address."""
        log = open(self.folder / f"replica-{number + 1}.log", "ab+")  # it is the server's
        state = self.folder / f"state-{number + 1}"
        self.replicas[number] = Server(
            f"s3://{BUCKET}", wait=wait, log=log, env=self.s3.env(), **self.addresses[number],
            extra=["--state", f"redis://{HOST}:{self.ways[number].port}/0",
                   "--state-dir", str(state), *self.options])
        return self.replicas[number]

    def _end(self, number):
        server = self.replicas[number]
        if server is None:
            return
        if server.process.poll() is None:
            server.signal()
            server.wait(10)
        server.kill()

    @property
    def front(self):
        return self.nginx.front

    def management(self, number):
        return self.addresses[number]["management"]

    def leader(self):
        """Which replica decides, or None."""
        leading = [number for number in range(self.count)
                   if re.search(r"^sluice_fleet_leads 1$", get(self.management(number), "/metrics",
                                                               5)[1], re.M)]
        return leading[0] if len(leading) == 1 else None

    def led(self, seconds=20):
        """Until one decides: which, or None."""
        wait_until(lambda: self.leader() is not None, seconds)
        return self.leader()

    def last_beat(self, until):
        """When, by this time, a replica was last heard of in Redis, seconds since 1970."""
        said = self.redis.call(["ZRANGE", "sluice:{state}:beats", "0", "-1", "WITHSCORES"]).split()
        beats = [int(word) / 1000 for word in said if re.fullmatch(rb"\d{13}", word)]
        return max(beat for beat in beats if beat <= until)

    def ended(self):
        """Names of what has ended by itself, or was ended by somebody else."""
        gone = [f"replica {number + 1}" for number, server in enumerate(self.replicas)
                if server.process.poll() is not None]
        return gone + [name for name, process in (("redis", self.redis.process),
                                                  ("s3", self.s3.process),
                                                  ("nginx", self.nginx.process))
                       if process.poll() is not None]

    def start_again(self, name):
        if name.startswith("replica"):
            number = int(name.split()[1]) - 1
            self.replicas[number].kill()  # buries it
            self.begin(number, wait=False)
        else:
            {"redis": self.redis.start, "s3": self.s3.start, "nginx": self.nginx.start}[name]()

    def said(self, most=40):
        """The newest warnings and errors of each replica, and who decided when."""
        out = []
        for number in range(self.count):
            lines = (self.folder / f"replica-{number + 1}.log").read_text().splitlines()
            out += [f"replica {number + 1}: {line}" for line in lines
                    if " info " not in line or "decide" in line or "shared state" in line][-most:]
        return "\n".join(out)

    def lines(self):
        """What there is, for people."""
        out = [f"nginx      http://{self.front}  grpc {self.nginx.grpc}  pid "
               f"{self.nginx.process.pid}"]
        for number, server in enumerate(self.replicas):
            one = self.addresses[number]
            out.append(f"replica {number + 1}  http://{one['http']}  grpc {one['grpc']}  management "
                       f"http://{one['management']}  pid {server.pid}")
        return out + [
            f"redis      {self.redis.url}  pid {self.redis.process.pid}",
            f"s3         http://{HOST}:{self.s3.port}  bucket {BUCKET}, key {KEY}, secret {SECRET}"
            f"  pid {self.s3.process.pid}",
            f"folder     {self.folder}"]
