"""Starting, watching and stopping the programs that are measured. Each listens on 127.0.0.1."""
import contextlib
import http.client
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

BENCH = Path(__file__).resolve().parent.parent
TICKS = os.sysconf("SC_CLK_TCK")
NAMES = ("http", "grpc", "management")
ENDED = FileNotFoundError, ProcessLookupError  # a thread or a process, just now


class BenchError(Exception):
    """Something that a person must put right; run.py prints it as one sentence."""


def parse_listening(text):
    """{name: port} from the line by which every server of ours and every peer says it is up."""
    line = re.search(r"^listening .*\n", text, re.MULTILINE)
    found = {name: re.search(rf"\b{name} 127\.0\.0\.1:(\d+)", line[0]) if line else None
             for name in NAMES}
    return {name: int(match[1]) for name, match in found.items() if match}


class Server:
    """A running program. `port` is for one that cannot choose a port and print it (nginx), `ready`
    for one that listens before it can answer: the path that says when."""

    def __init__(self, name, command, temp, env=None, port=None, ready=None):
        self.log = Path(temp, name.replace(" ", "_") + ".log")
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [str(part) for part in command], stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT, cwd=temp, env={**os.environ, **(env or {})})
        self.pid = self.process.pid
        try:
            self.ports = self._wait_until_up(name, port, ready)
        except BaseException:
            self.stop()
            raise

    def _wait_until_up(self, name, port, ready, patience=30):
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                tail = self.log.read_text().strip().splitlines()[-1:] or ["no output"]
                raise BenchError(f"{name} ended at once: {tail[0]}")
            ports = {"http": port} if port else parse_listening(self.log.read_text())
            if ports and all(_connects(number) for number in ports.values()) and (
                    not ready or _answers(ports["http"], ready)):
                return ports
            time.sleep(0.02)
        raise BenchError(f"{name} was not ready after {patience} s")

    def tree(self):
        """The pid and its children's: nginx's and grpcio's work is spread over several."""
        pids = [self.pid]
        for pid in pids:
            with contextlib.suppress(*ENDED):
                for task in Path(f"/proc/{pid}/task").iterdir():
                    with contextlib.suppress(*ENDED):
                        pids += [int(child) for child in (task / "children").read_text().split()]
        return pids

    def cpu_seconds(self):
        """User and system time of all threads so far, and of the children that have ended."""
        ticks = 0
        for pid in self.tree():
            with contextlib.suppress(*ENDED):
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                ticks += sum(int(field) for field in fields[11:15])
        return ticks / TICKS

    def rss_kib(self):
        texts = [Path(f"/proc/{pid}/status").read_text() for pid in self.tree()]
        return sum(int(re.search(r"VmRSS:\s+(\d+)", text)[1]) for text in texts)

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def _connects(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _answers(port, path):
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    with contextlib.closing(client):
        client.request("GET", path)
        return client.getresponse().status == 200


def need(path, remedy):
    """The path, or one sentence about what to do."""
    if not Path(path).exists():
        raise BenchError(f"{path} does not exist: {remedy}.")
    return path


class Site:
    """Where the parts are: the repository's root, its build, and this run's temporary folder."""

    def __init__(self, root, build, temp):
        self.root, self.build, self.temp = Path(root), Path(build), Path(temp)

    def binary(self, name):
        return need(self.build / name, "build Sluice first with ./dev build" if name == "sluice"
                    else "build it with -DSLUICE_BENCH=ON")

    def example(self, path):
        return need(self.root / "examples" / path, "it is part of the repository")

    def repository(self, name, yaml, *models):
        """Copies of these model directories, whose model.yaml says `yaml` as well."""
        root = self.temp / name
        for model in models:
            copy = shutil.copytree(model, root / model.name)
            with open(copy / "model.yaml", "a") as file:
                file.write(f"\n{yaml}\n")
        return root

    def serve(self, name, models, *options, env=None):
        return Server(name, [
            self.binary("sluice"), "serve", models, "--http", "127.0.0.1:0", "--grpc",
            "127.0.0.1:0", "--management", "127.0.0.1:0", *options], self.temp, env=env,
            ready="/ready")

    # One method per program; each is called at most once in a run.

    def sluice(self):
        return self.serve("sluice", self.example("models"))

    def pickled(self):
        return self.serve("sluice with a pickle", self.pickle(), "--allow-pickle", "--python",
                          sys.executable)

    def cached(self):
        return self.serve("sluice with a cache", self.repository(
            "cached", "cache: {}", self.example("models/breast_cancer")))

    def empty(self):
        return Server("bench_empty", [self.binary("bench_empty"), "--http", "127.0.0.1:0",
                                      "--grpc", "127.0.0.1:0"], self.temp)

    def nginx(self):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        text = (BENCH / "limits/nginx.conf.in").read_text().replace("@PORT@", str(port))
        (self.temp / "nginx.conf").write_text(text)
        return Server("nginx", ["nginx", "-p", f"{self.temp}/", "-c", "nginx.conf",
                                "-e", "stderr"], self.temp, port=port)

    def grpcpp_echo(self):
        return Server("grpc++ echo", [self.binary("bench_grpcpp_echo")], self.temp)

    def fastapi(self):
        return self._python("fastapi_app.py")

    def grpcio(self):
        proto = need(self.root / "proto/prediction.proto", "it is part of the repository")
        subprocess.run(["protoc", f"-I{proto.parent}", f"--python_out={self.temp}", proto],
                       check=True)
        return self._python("grpcio_server.py")

    def pickle(self, kind="mlp"):
        """The model that all of Python's programs run, and Sluice in the group sklearn."""
        model = self.temp / f"{kind}.joblib"
        if not model.exists():
            subprocess.run([sys.executable, BENCH / "peers/train_sklearn.py", model, kind],
                           check=True)
        return model

    def _python(self, program):
        return Server(program, [sys.executable, BENCH / "peers" / program, self.pickle()], self.temp,
                      env={"PYTHONPATH": str(self.temp)})
