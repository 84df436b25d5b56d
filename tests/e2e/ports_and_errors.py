#!/usr/bin/python3
"""Starts that must fail: one sentence on stderr, the exit code of its kind, and nobody disturbed.

Exit codes are those of sysexits.h: 64 usage, 65 bad data, 66 no such input, 69 unavailable.
"""

import json
import signal
import subprocess
import tempfile
from pathlib import Path

from lib.ports import free_port
from lib.server import MODELS, ROOT, Report, Server, command, environment, golden

ROW = golden("iris.1")[0]
WITHIN = 20


def attempt(path, **addresses):
    """(exit code, stderr, stdout) of a server that is expected to end by itself."""
    done = subprocess.run(command(path, **addresses), capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, env=environment(), timeout=WITHIN)
    return done.returncode, done.stderr, done.stdout


def sentence(report, what, result, code, *parts):
    got, stderr, _ = result
    report.equal(f"{what}: exit code", got, code)
    # The log may say more; what begins with the program's name is for the person who typed it.
    said = [line for line in stderr.splitlines() if line.startswith("sluice")]
    report.check(f"{what}: one sentence", len(said) == 1, stderr)
    others = [line for line in stderr.splitlines() if line not in said and "error" in line.lower()
              and "info" not in line]
    report.check(f"{what}: not said twice", not others, stderr)
    for part in parts:
        report.check(f"{what}: says {part!r}", part in stderr, stderr)
    report.check(f"{what}: no stack trace",
                 not any(word in stderr for word in ("terminate called", "Traceback", "#0 ")),
                 stderr)


def predicts(server):
    connection = server.connection()
    connection.request("POST", "/models/iris/predict", json.dumps({"features": ROW["features"]}),
                       {"Content-Type": "application/json"})
    answer = connection.getresponse()
    out = json.loads(answer.read())
    connection.close()
    return answer.status == 200 and out["label"] == ROW["label"]


def port_in_use(report):
    with Server() as first:
        for listener in ("http", "grpc", "management"):
            address = getattr(first, listener)
            result = attempt(MODELS, **{listener: address})
            sentence(report, f"{listener} port in use", result, 69, address, "in use",
                     f"--{listener}")
            report.check(f"{listener} port in use: the first server answers", predicts(first))
        first.signal()
        report.equal("the first server's exit code", first.wait(), 0)


def same_port_twice(report):
    """One server with one port for two listeners: it is in its own way."""
    address = f"127.0.0.1:{free_port()}"
    sentence(report, "one port for two listeners", attempt(MODELS, http=address, grpc=address), 69,
             address)


def port_free_again(report):
    """A server that ended leaves its port usable at once, also after it had connections."""
    address = f"127.0.0.1:{free_port()}"
    with Server(http=address) as first:
        report.check("first", predicts(first))
        first.signal()
        first.wait()
    with Server(http=address) as second:
        report.equal("the same port", second.http, address)
        report.check("second", predicts(second))


def broken_model(report):
    with tempfile.TemporaryDirectory() as scratch:
        empty = Path(scratch, "empty.onnx")
        empty.write_bytes(b"")
        text = Path(scratch, "text.onnx")
        text.write_text("this is not a model\n" * 100)
        cut = Path(scratch, "cut.json")
        cut.write_bytes((ROOT / "tests/models/xgb_truncated.json").read_bytes())
        for path in (empty, text, cut, ROOT / "tests/models/truncated.onnx"):
            sentence(report, f"broken model {path.name}", attempt(path), 65, path.stem)


def missing_path(report):
    sentence(report, "missing path", attempt("/nothing/here.onnx"), 66, "here.onnx")
    with tempfile.TemporaryDirectory() as scratch:
        sentence(report, "missing path in a folder", attempt(Path(scratch, "models")), 66)


def bad_address(report):
    code, stderr, _ = attempt(MODELS, http="127.0.0.1:99999")
    report.check("port 99999: exit code of usage or bad data", code in (64, 65), code)
    report.check("port 99999: is named", "99999" in stderr, stderr)
    # An address of this machine that is none (TEST-NET-1, RFC 5737).
    sentence(report, "foreign address", attempt(MODELS, http="192.0.2.1:0"), 69, "192.0.2.1")


def empty_state(report):
    """A shell's variable that is not set would let every replica decide for itself."""
    done = subprocess.run([*command(MODELS), "--state", ""], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, env=environment(), timeout=WITHIN)
    sentence(report, "an empty --state", (done.returncode, done.stderr, done.stdout), 64,
             "--state", "empty")


def broken_model_beside_others(report):
    """In a repository the others serve."""
    with tempfile.TemporaryDirectory() as scratch:
        good = Path(scratch, "iris", "1")
        good.mkdir(parents=True)
        (good / "model.onnx").write_bytes((MODELS / "iris/1/model.onnx").read_bytes())
        Path(scratch, "iris/model.yaml").write_bytes((MODELS / "iris/model.yaml").read_bytes())
        bad = Path(scratch, "iris", "2")
        bad.mkdir()
        (bad / "model.onnx").write_text("not a model")
        with Server(scratch) as server:
            report.check("the good version serves", predicts(server))
            report.check("the bad one is in the log", "2" in server.stderr() and
                         "not served" in server.stderr(), server.stderr())


def stops(report):
    for number in (signal.SIGTERM, signal.SIGINT):
        with Server() as server:
            report.check("serves", predicts(server))
            server.signal(number)
            report.equal(f"{number.name}: exit code", server.wait(10), 0)
    with Server() as server:
        server.signal(signal.SIGHUP)
        report.check("SIGHUP does not end the server", predicts(server))
        server.signal(signal.SIGTERM)
        server.signal(signal.SIGTERM)
        report.equal("SIGTERM twice: exit code", server.wait(10), 0)


def main():
    Report("ports_and_errors").run(port_in_use, same_port_twice, port_free_again, broken_model,
                                   missing_path, bad_address, empty_state,
                                   broken_model_beside_others, stops)


if __name__ == "__main__":
    main()
