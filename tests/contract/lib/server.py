"""One server under test: its repository, its life and its end."""

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import yaml

from . import wire

ROOT = Path(__file__).resolve().parents[3]
LISTENING = re.compile(r"listening  http (\S+)  grpc (\S+)  management (\S+)")


def write_files(directory, files):
    """`files` maps a target to a path of the repository, or to one of {text, yaml, dir, repeat}."""
    for target, source in files.items():
        path = directory / target
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(source, str):
            shutil.copy(ROOT / source, path)
        elif "dir" in source:
            path.mkdir()
        elif "link" in source:
            path.symlink_to(source["link"])
        elif "fifo" in source:
            os.mkfifo(path)
        elif "yaml" in source:
            path.write_text(yaml.safe_dump(source["yaml"]))
        else:
            path.write_bytes(wire.body_bytes(source["text"]))


def environment():
    return {name: value for name, value in os.environ.items() if not name.startswith("SLUICE_")}


class Server:
    def __init__(self, binary, spec):
        self.scratch = Path(tempfile.mkdtemp(prefix="contract-"))
        self.log = self.scratch / "server.log"
        base = ROOT
        if "files" in spec:
            base = self.scratch / "models"
            base.mkdir()
            write_files(base, spec["files"])
        command = [str(binary), "serve", str(base / spec.get("path", "."))]
        if "config" in spec:
            config = self.scratch / "sluice.yaml"
            config.write_text(yaml.safe_dump(spec["config"]))
            command += ["--config", str(config)]
        for listener in ("http", "grpc", "management"):
            command += [f"--{listener}", "127.0.0.1:0"]
        command += [str(flag) for flag in spec.get("flags", [])]
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=log, cwd=self.scratch, env=environment()
            )
        self.addresses = {}
        try:
            self.wait(spec.get("ready_when", "healthy"))
        except RuntimeError:
            self.stop()
            self.clean()
            raise

    def wait(self, ready_when):
        line = self.process.stdout.readline().decode()
        found = LISTENING.match(line)
        if not found:
            raise RuntimeError(f"the server did not start: {line!r} {self.log_tail()}")
        for name, text in zip(("http", "grpc", "management"), found.groups()):
            host, _, port = text.rpartition(":")
            self.addresses[name] = (host, int(port))
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"the server ended at once: {self.log_tail()}")
            done = self.ready(ready_when)
            if done:
                return
            time.sleep(0.05)
        raise RuntimeError(f"the server did not become ready: {self.log_tail()}")

    def ready(self, ready_when):
        try:
            request = b"GET /health HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n"
            answers = wire.exchange(self.addresses["http"], [request], within=5).answers
        except OSError:
            return False
        if not answers:
            return False
        # 'any': whatever loading can be done is done when the log says what is served.
        if ready_when == "any":
            return b"serving " in self.log.read_bytes()
        return answers[0].status == 200

    def log_tail(self):
        return self.log.read_text(errors="replace")[-1500:]

    def tokens(self):
        out = {name: f"{host}:{port}" for name, (host, port) in self.addresses.items()}
        out.update({f"{name}_port": str(port) for name, (_, port) in self.addresses.items()})
        return out

    def stop(self):
        """The exit code after SIGTERM, or None where it had to be killed."""
        code = self.process.poll()
        if code is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                code = self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                code = None
        self.process.stdout.close()
        return code

    def clean(self):
        shutil.rmtree(self.scratch, ignore_errors=True)
