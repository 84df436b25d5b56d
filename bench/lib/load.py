"""The load: wrk for REST, h2load for gRPC, our own generator where requests have a deadline, the
raw loop; and the one request before it all that proves that an answer, and not an error page, is
measured."""
import contextlib
import http.client
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from .servers import BENCH, BenchError


class Load(NamedTuple):
    """Connections, streams on each; for the raw loop threads. `rows` is the size of the tensor that
    is asked about, or 0 for the one row in the simple protocol."""
    connections: int
    streams: int = 1
    rows: int = 0

    @property
    def label(self):
        return str(self.connections) if self.streams == 1 else f"{self.connections}×{self.streams}"

    @property
    def predictions(self):
        """By one request."""
        return self.rows or 1


def ask_rest(port, path, question):
    """What one POST answers, and the length of the answer."""
    status, body, headers = request(port, "POST", path, question.body, question.headers)
    if status != 200:
        raise BenchError(f"status {status}: {body[:200]}")
    return question.read_rest(body, headers), len(body)


def request(port, method, path, body=None, headers=None):
    """(status, body, headers) of one answer, over a connection of its own."""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    with contextlib.closing(client):
        client.request(method, path, body, headers or {})
        reply = client.getresponse()
        return reply.status, reply.read(), reply.headers


def ask_grpc(port, path, question):
    """What one call of Debian's grpcio answers, whose grpc-status must be 0; and the length of the
    answer's message."""
    probe = subprocess.run([sys.executable, BENCH / "lib/grpc_probe.py", f"127.0.0.1:{port}", path],
                           input=question.message, capture_output=True)
    if probe.returncode != 0:
        raise BenchError(probe.stderr.decode().strip()[-300:])
    return question.read_grpc(probe.stdout), len(probe.stdout)


def wrk(port, path, question, connections, seconds):
    """The RESULT line of post.lua, with the rate."""
    headers = [part for header in question.headers.items() for part in ("-H", ": ".join(header))]
    run = subprocess.run(
        ["wrk", f"-t{1 if connections == 1 else 2}", f"-c{connections}", f"-d{seconds}s",
         "--timeout", "10s", "-s", BENCH / "lib/post.lua", *headers,
         f"http://127.0.0.1:{port}{path}"],
        capture_output=True, text=True, timeout=seconds + 30,
        env={"BENCH_BODY": str(question.rest_file), "BENCH_LIB": str(BENCH / "lib"), "PATH": "/usr/bin:/bin"})
    found = re.search(r"^RESULT (.*)$", run.stdout, re.MULTILINE)
    if not found:
        raise BenchError(f"wrk failed: {(run.stderr or run.stdout).strip()[-300:]}")
    result = json.loads(found[1])
    return _checked(result, result.pop("failed"))


def h2load(port, path, question, connections, streams, seconds, length):
    """`streams` calls at a time on each connection; `length` is that of a right answer."""
    log = question.grpc_file.with_suffix(".log")
    command = ["h2load", f"-c{connections}", f"-t{1 if connections == 1 else 2}", f"-m{streams}",
               f"-D{seconds}", "-d", question.grpc_file, "-H", "content-type: application/grpc",
               "-H", "te: trailers"]
    # h2load knows percentiles only through a log of all requests; at one stream that is cheap.
    single = connections * streams == 1
    command += ["--log-file", log] if single else []
    run = subprocess.run([*command, f"http://127.0.0.1:{port}{path}"], capture_output=True,
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


def sluice_bench(binary, port, path, body, connections, seconds, rate=0, timeout=0):
    """`body` is a text, or the file that has it. Closed loop, or open at `rate` requests a second.
    Refused and late answers are results here, not errors: p50 and p99 are those of the good ones,
    and missing where there are none."""
    options = [*(["--rate", f"{rate:.1f}"] if rate else []),
               *(["--timeout", str(timeout)] if timeout else [])]
    run = subprocess.run(
        [binary, "bench", f"http://127.0.0.1:{port}{path}",
         *(["--input", body] if isinstance(body, Path) else ["--data", body]), "--json",
         "--concurrency", str(connections), "--seconds", str(seconds), *options],
        capture_output=True, text=True, timeout=seconds + 30)
    if run.returncode != 0:
        raise BenchError(run.stderr.strip()[-300:])
    said = json.loads(run.stdout)
    if said["unanswered"] or not said["requests"]:
        raise BenchError(f"{said['requests']} requests were answered, {said['unanswered']} not")
    result = {"per_second": said["requests_per_second"], **{key: said[key] for key in (
        "goodput", "requests", "good", "refused", "late", "missed", "seconds")}}
    if said["good"]:
        result.update(p50_us=1000 * said["good_p50_ms"], p99_us=1000 * said["good_p99_ms"])
    return result


class Statistics(NamedTuple):
    """Of all versions of a model so far: rows, runs of the engine, and what the cache did."""
    rows: int
    runs: int
    hits: int
    misses: int


def statistics(port, model):
    """What the server itself has counted."""
    _, body, _ = request(port, "GET", f"/v2/models/{model}/stats")
    versions = json.loads(body)["model_stats"]

    def count(name):
        return sum(int(each.get("inference_stats", {}).get(name, {}).get("count", 0))
                   for each in versions)

    return Statistics(sum(int(each.get("inference_count", 0)) for each in versions),
                      sum(int(each.get("execution_count", 0)) for each in versions),
                      count("cache_hit"), count("cache_miss"))


def _checked(result, failed):
    if failed or not result["requests"]:
        raise BenchError(f"{failed} of {result['requests']} requests failed")
    result["per_second"] = result["requests"] / result["seconds"]
    return result


def raw_loop(binary, model, threads, seconds, rows):
    run = subprocess.run([binary, model, str(threads), str(seconds), str(rows)],
                         capture_output=True, text=True, timeout=seconds + 30)
    if run.returncode != 0:
        raise BenchError(run.stderr.strip())
    result = json.loads(run.stdout)
    return {"per_second": result["runs_per_second"], "p50_us": result["us_per_run"]}
