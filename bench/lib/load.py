"""The load: wrk for REST, h2load for gRPC, the raw loop; and the one request before it all that
proves that an answer, and not an error page, is measured."""
import http.client
import json
import re
import struct
import subprocess
import sys
from pathlib import Path

from .servers import BENCH, BenchError

GRPC_PATH = "/PredictionService/Predict"


class Row:
    """The one row that everybody is asked about, as REST and gRPC bodies, and its answer."""

    def __init__(self, golden, temp):
        with open(golden) as lines:
            line = json.loads(next(lines))
        self.features = line["features"]
        self.prediction, self.confidence = line["prediction"], line["confidence"]
        self.json = json.dumps({"features": self.features}, separators=(",", ":")).encode()
        packed = struct.pack(f"<{len(self.features)}f", *self.features)
        self.message = b"".join(
            bytes([number << 3 | 2]) + _varint(len(value)) + value
            for number, value in ((1, packed), (2, b"breast_cancer"), (3, b"v1")))
        self.json_file, self.grpc_file = Path(temp, "body.json"), Path(temp, "body.grpc")
        self.json_file.write_bytes(self.json)
        self.grpc_file.write_bytes(struct.pack(">BI", 0, len(self.message)) + self.message)


def _varint(number):
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes(out + bytes([number]))


def ask_rest(port, path, row):
    """(prediction, confidence) by one POST, and the length of the answer."""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    client.request("POST", path, row.json, {"Content-Type": "application/json"})
    reply = client.getresponse()
    text = reply.read().decode()
    client.close()
    if reply.status != 200:
        raise BenchError(f"status {reply.status}: {text[:200]}")
    answer = json.loads(text)
    return (answer["prediction"], answer["confidence"]), len(text)


def ask_grpc(port, row):
    """(prediction, confidence) by one call of Debian's grpcio, whose grpc-status must be 0; and
    the length of the answer's message."""
    probe = subprocess.run(
        [sys.executable, BENCH / "lib/grpc_probe.py", f"127.0.0.1:{port}", row.message.hex()],
        capture_output=True, text=True)
    if probe.returncode != 0:
        raise BenchError(probe.stderr.strip()[-300:])
    message = bytes.fromhex(probe.stdout.strip())
    length = len(message)
    floats = {1: 0.0, 2: 0.0}
    # The two floats come first in every server's answer; what follows them is not looked at.
    while len(message) >= 5 and message[0] in (0x0D, 0x15):
        floats[message[0] >> 3] = struct.unpack("<f", message[1:5])[0]
        message = message[5:]
    return (floats[1], floats[2]), length


def wrk(port, path, row, connections, seconds):
    """The RESULT line of post.lua, with the rate."""
    run = subprocess.run(
        ["wrk", f"-t{1 if connections == 1 else 2}", f"-c{connections}", f"-d{seconds}s",
         "--timeout", "10s", "-s", BENCH / "lib/post.lua", f"http://127.0.0.1:{port}{path}"],
        capture_output=True, text=True, timeout=seconds + 30,
        env={"BENCH_BODY": str(row.json_file), "PATH": "/usr/bin:/bin"})
    found = re.search(r"^RESULT (.*)$", run.stdout, re.MULTILINE)
    if not found:
        raise BenchError(f"wrk failed: {(run.stderr or run.stdout).strip()[-300:]}")
    result = json.loads(found[1])
    return _checked(result, result.pop("failed"))


def h2load(port, row, connections, streams, seconds, length):
    """`streams` calls at a time on each connection; `length` is that of a right answer."""
    log = row.grpc_file.with_suffix(".log")
    command = ["h2load", f"-c{connections}", f"-t{1 if connections == 1 else 2}", f"-m{streams}",
               f"-D{seconds}", "-d", row.grpc_file, "-H", "content-type: application/grpc",
               "-H", "te: trailers"]
    # h2load knows percentiles only through a log of all requests; at one stream that is cheap.
    single = connections * streams == 1
    command += ["--log-file", log] if single else []
    run = subprocess.run([*command, f"http://127.0.0.1:{port}{GRPC_PATH}"], capture_output=True,
                         text=True, timeout=seconds + 30)
    done = re.search(r"^finished in ([\d.]+)(m?s),", run.stdout, re.MULTILINE)
    count = re.search(r"(\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout",
                      run.stdout)
    data = re.search(r"\((\d+)\) data$", run.stdout, re.MULTILINE)
    if not (done and count and data):
        raise BenchError(f"h2load failed: {(run.stderr or run.stdout).strip()[-300:]}")
    finished, _, failed, errored, timeout = map(int, count.groups())
    # An error of gRPC is a status 200 without a message: the bytes of the answers tell.
    missing = finished - round(int(data[1]) / (5 + length))
    wrong = max(0, missing) if missing > finished / 100 else 0
    result = {"requests": finished,
              "seconds": float(done[1]) / (1000 if done[2] == "ms" else 1)}
    if single:
        times = sorted(int(line.split()[2]) for line in log.read_text().splitlines())
        result.update(p50_us=times[len(times) // 2], p99_us=times[len(times) * 99 // 100])
    return _checked(result, failed + errored + timeout + wrong)


def _checked(result, failed):
    if failed or not result["requests"]:
        raise BenchError(f"{failed} of {result['requests']} requests failed")
    result["per_second"] = result["requests"] / result["seconds"]
    return result


def raw_loop(binary, model, threads, seconds):
    run = subprocess.run([binary, model, str(threads), str(seconds)], capture_output=True,
                         text=True, timeout=seconds + 30)
    if run.returncode != 0:
        raise BenchError(run.stderr.strip())
    result = json.loads(run.stdout)
    return {"per_second": result["runs_per_second"], "p50_us": result["us_per_run"]}
