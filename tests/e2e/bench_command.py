#!/usr/bin/python3
# alone: a load generator that has no time to generate load tells wrong numbers
"""`sluice bench`: what it counts against servers whose behaviour is known, and --sweep."""

import json
import os
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from lib.server import BINARY, MODELS, ROOT, Report, Server, environment, golden

ROW = json.dumps(golden("iris.1")[0]["features"])
MODEL = ROOT / "tests/models/softmax_only.onnx"


def bench(target, *arguments, scratch=None):
    env = environment() | ({"TMPDIR": scratch} if scratch else {})
    return subprocess.run([str(BINARY), "bench", str(target), *map(str, arguments)], text=True,
                          capture_output=True, stdin=subprocess.DEVNULL, env=env, timeout=60)


def measured(target, *arguments, **options):
    done = bench(target, *arguments, "--json", **options)
    if done.returncode != 0:
        raise RuntimeError(f"exit code {done.returncode}: {done.stderr}")
    return json.loads(done.stdout)


class Scripted:
    """A server that answers each request after `delay` seconds with `status`; it keeps the
    connection for `keep` requests, then says so (`polite`) or just closes."""

    def __init__(self, delay=0.0, status="200 OK", keep=1 << 30, polite=True):
        self.delay, self.status, self.keep, self.polite = delay, status, keep, polite
        self.heads, self.connections = [], 0
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}/x"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self.serve, args=(peer,), daemon=True).start()

    def serve(self, peer):
        with peer:
            for number in range(1, self.keep + 1):
                head = peer.recv(65536)
                if not head:
                    return
                self.heads.append(head)
                time.sleep(self.delay)
                last = "Connection: close\r\n" if self.polite and number == self.keep else ""
                peer.sendall(f"HTTP/1.1 {self.status}\r\n{last}Content-Length: 2\r\n\r\n{{}}"
                             .encode())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)  # a thread waits on it, which keeps it open
        self.listener.close()


def closed_loop(report):
    with Server() as server:
        url = f"http://{server.http}/models/iris/predict"
        out = measured(url, "--data", ROW, "--concurrency", 8, "--seconds", 0.5)
        report.check("there was load", out["requests"] > 200, out)
        report.equal("all are good", (out["good"], out["errors"]), (out["requests"], 0))
        report.check("quantiles are in order", 0 < out["p50_ms"] <= out["p95_ms"] <= out["p99_ms"],
                     out)
        said = bench(url, "--data", ROW, "--seconds", 0.2, "--timeout", 1000).stdout
        for word in ("requests", "latency", "goodput", "within 1000 ms", "too late", "errors"):
            report.check(f"prints {word!r}", word in said, said)
        out = measured(f"http://{server.http}/models/none/predict", "--data", ROW, "--seconds", 0.2)
        report.equal("404: none is good", (out["good"], out["refused"]), (0, out["requests"]))


def open_loop(report):
    with Server() as server:
        out = measured(f"http://{server.http}/models/iris/predict", "--data", ROW, "--rate", 400,
                       "--timeout", 2000, "--concurrency", 16, "--seconds", 1)
        report.equal("as many as were due", out["requests"] + out["missed"], 400)
        report.equal("all are good", (out["good"], out["missed"]), (400, 0))
        # By its own clock: a pause of the machine makes the run longer. None is good after 2 s.
        report.check("goodput is the rate", 130 < out["goodput"] <= 401 and
                     abs(out["goodput"] - out["good"] / out["seconds"]) < 1, out)


def deadline(report):
    with Scripted() as server:
        measured(server.url, "--data", "{}", "--timeout", 250, "--seconds", 0.2)
        report.check("the header", b"\r\nX-Request-Timeout-Ms: 250\r\n" in server.heads[0],
                     server.heads[0])
    with Scripted(delay=0.06) as server:
        out = measured(server.url, "--timeout", 20, "--seconds", 0.3)
        report.equal("late answers are not good", (out["good"], out["late"]), (0, out["requests"]))
        report.check("and have no latency", out["good_p50_ms"] == 0 and out["p50_ms"] > 50, out)
    with Scripted(status="503 Busy") as server:
        out = measured(server.url, "--timeout", 500, "--seconds", 0.2)
        report.equal("refused ones are not good", (out["good"], out["late"], out["refused"]),
                     (0, 0, out["requests"]))


def overload(report):
    """Four connections of 50 ms each: 80 a second of 800."""
    with Scripted(delay=0.05) as server:
        out = measured(server.url, "--rate", 800, "--timeout", 200, "--concurrency", 4,
                       "--seconds", 1.5)
        report.equal("every request has one end",
                     out["requests"] + out["missed"] + out["unanswered"], 1200)
        report.check("most are dropped", out["missed"] > 900, out)
        report.check("the server's capacity is goodput all the same",
                     out["good"] > 0.75 * out["requests"] and out["goodput"] > 45, out)
        report.check("latency has the wait in it, but is no backlog", out["p95_ms"] < 300, out)
        report.check("nobody waits for what was dropped", out["seconds"] < 2.2, out)


def reconnects(report):
    for polite in (True, False):
        what = "says that it closes" if polite else "closes in silence"
        with Scripted(keep=3, polite=polite) as server:
            out = measured(server.url, "--concurrency", 2, "--seconds", 0.4)
            report.check(f"a server that {what} is asked on", out["requests"] > 20, out)
            report.equal(f"a server that {what}: none fails", out["errors"], 0)
            report.check(f"a server that {what}: new connections",
                         server.connections >= out["requests"] // 3, server.connections)
    with Scripted(keep=1, polite=False) as server:
        out = measured(server.url, "--rate", 100, "--concurrency", 4, "--seconds", 0.5)
        report.equal("open loop: all are answered", (out["requests"], out["errors"]), (50, 0))


def nobody_there(report):
    with Scripted() as server:
        url = server.url
    done = bench(url, "--seconds", 0.2)
    report.equal("no server: exit code", done.returncode, 69)
    report.check("no server: one sentence", done.stderr.count("\n") == 1, done.stderr)
    for wrong in (["--sweep"], ["--timeout", "0"], ["--timeout", "soon"]):
        report.equal(f"{wrong}: exit code", bench(url, *wrong).returncode, 64)
    report.equal("--sweep with --rate: exit code",
                 bench(MODEL, "--sweep", "--rate", 5).returncode, 64)
    report.equal("--sweep of nothing: exit code",
                 bench("/nothing/here.onnx", "--sweep").returncode, 66)


def sweep(report):
    with tempfile.TemporaryDirectory() as scratch:
        out = measured(MODEL, "--sweep", "--seconds", 0.3, "--concurrency", 2, scratch=scratch)
        report.equal("nothing is left", os.listdir(scratch), [])
        cells = out["cells"]
        report.equal("every cell, in order", [(c["connections"], c["batching"]) for c in cells],
                     [(n, b) for n in (1, 2, 4, 16, 64) for b in ("off", "eager", "wait")])
        report.check("all have answers", all(c["requests"] > 0 and not c["errors"] for c in cells),
                     cells)
        batches = {c["batching"]: c["average_batch"] for c in cells if c["connections"] == 64}
        report.equal("off is one by one", batches["off"], 1)
        report.check("eager is not", batches["eager"] > 1, batches)


def sweep_of_a_directory(report):
    """A directory has model.yaml, whose batching gives way; the table is printed."""
    with tempfile.TemporaryDirectory() as scratch:
        model, kept = Path(scratch, "iris"), Path(scratch, "tmp")
        (model / "1").mkdir(parents=True)
        kept.mkdir()
        (model / "1/model.onnx").write_bytes((MODELS / "iris/1/model.onnx").read_bytes())
        (model / "model.yaml").write_text("batching:\n  max_batch_size: 1\nlabels: [a, b, c]\n")
        done = bench(model, "--sweep", "--seconds", 0.1, scratch=str(kept))
        report.equal("exit code", (done.returncode, done.stderr), (0, ""))
        lines = [line.split() for line in done.stdout.splitlines() if line]
        report.equal("head", lines[0][:2], ["batching", "connections"])
        report.equal("rows", [(line[0], line[1]) for line in lines[1:]],
                     [(b, n) for n in ("1", "4", "16", "64") for b in ("off", "eager", "wait")])
        report.check("eager batches", float(lines[-2][5]) > 1, lines[-2])
        report.equal("nothing is left", os.listdir(kept), [])


def children(pid):
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def sweep_interrupted(report):
    for number in (signal.SIGTERM, signal.SIGKILL):
        with tempfile.TemporaryDirectory() as scratch:
            process = subprocess.Popen(
                [str(BINARY), "bench", str(MODEL), "--sweep", "--seconds", "60"],
                env=environment() | {"TMPDIR": scratch}, stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            until = time.monotonic() + 10
            while len(servers := children(process.pid)) < 3 and time.monotonic() < until:
                time.sleep(0.02)
            report.equal(f"{number.name}: three servers", len(servers), 3)
            time.sleep(0.3)
            process.send_signal(number)
            code = process.wait(20)
            report.check(f"{number.name}: exit code", code != 0, code)
            until = time.monotonic() + 10
            while (left := [pid for pid in servers if alive(pid)]) and time.monotonic() < until:
                time.sleep(0.02)
            report.equal(f"{number.name}: servers that stay", left, [])
            if number == signal.SIGTERM:
                report.equal("SIGTERM: nothing is left", os.listdir(scratch), [])


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def main():
    Report("bench_command").run(closed_loop, open_loop, deadline, overload, reconnects,
                                nobody_there, sweep, sweep_of_a_directory, sweep_interrupted)


if __name__ == "__main__":
    main()
