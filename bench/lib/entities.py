"""The group `features`: predictions by entity, beside plain ones and beside Redis's own benchmark.

A Redis of this run holds 20,000 entities of the diabetes model's ten features. Servers of that model
differ in where features come from: out of the request (plain), out of the cache, out of Redis each
time (no cache), out of the embedded store each time. All are asked about the same rows in the same
order, drawn by Zipf's law; the plain one gets the ten numbers, the others the entity. For Redis as the
limit `redis-benchmark` asks for the same ten fields, pipelined; beside it Sluice is asked for 512
entities a request, of a model that only adds its features up. Last, Redis is stopped for a second in
the middle of an open loop.
"""
import json
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from . import load, report
from .load import BenchError

ENTITIES, DRAWS, ROWS = 20_000, 100_000, 512
CONNECTIONS, PIPELINE = 64, 64
BUDGET_MS, STALL_S = 50, 1.0
COLUMNS = ["age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6"]
NAMES = {"plain": "plain: features in the request", "cached": "by entity, cached",
         "redis": "by entity, Redis each time", "sqlite": "by entity, embedded store each time"}
CACHED, UNCACHED = 0.85, 0.70  # of plain; of redis-benchmark


def name_of(number):
    """As redis-benchmark names those that it draws (-r)."""
    return f"u{number:012d}"


def zipf(count, draws, seed=7):
    """Numbers below `count`, the k-th with a weight of 1/k."""
    weights = [1 / rank for rank in range(1, count + 1)]
    return random.Random(seed).choices(range(count), weights, k=draws)


class Redis:
    def __init__(self, site):
        binary = shutil.which("redis-server")
        if not binary:
            raise BenchError("redis-server is missing: apt-get install redis-server")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.process = subprocess.Popen(
            [binary, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir",
             str(site.temp)], stdout=subprocess.DEVNULL)
        for _ in range(200):
            try:
                return socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                time.sleep(0.05)
        raise BenchError("redis-server does not listen")

    def fill(self, rows):
        with socket.create_connection(("127.0.0.1", self.port)) as connection:
            sent = bytearray()
            for number, row in enumerate(rows):
                parts = ["HSET", name_of(number)]
                for name, value in zip(COLUMNS, row):
                    parts += [name, repr(value)]
                encoded = [part.encode() for part in parts]
                sent += b"*%d\r\n" % len(encoded)
                sent += b"".join(b"$%d\r\n%s\r\n" % (len(one), one) for one in encoded)
            sent += b"*2\r\n$4\r\nPING\r\n$5\r\nready\r\n"
            threading.Thread(target=connection.sendall, args=(bytes(sent),)).start()
            told = b""
            while b"ready" not in told:
                told = told[-16:] + connection.recv(1 << 16)

    def benchmark(self, seconds):
        """HMGETs a second of the same ten fields."""
        requests = int(250_000 * seconds)
        run = subprocess.run(
            ["redis-benchmark", "-p", str(self.port), "-c", "50", "-P", str(PIPELINE), "-n",
             str(requests), "-r", str(ENTITIES), "-q", "HMGET", "u__rand_int__", *COLUMNS],
            capture_output=True, text=True)
        found = re.findall(r"([\d.]+) requests per second", run.stdout)
        if not found:
            raise BenchError(f"redis-benchmark failed: {run.stderr[-200:]}")
        return float(found[-1])

    def stop(self):
        self.process.kill()
        self.process.wait()


def features_yaml(store, ttl="1h", more=""):
    return f"features: {{store: {store}, names: [{', '.join(COLUMNS)}], ttl: {ttl}{more}}}\n"


class Server:
    def __init__(self, site, key, yaml, stack, *options, models=None):
        folder = site.repository(f"features-{key}", yaml,
                                 *(models or [site.example("models/diabetes")]))
        self.server = site.serve(f"sluice, {NAMES.get(key, key)}", folder, *options)
        stack.callback(self.server.stop)

    @property
    def port(self):
        return self.server.ports["http"]

    def rate(self, file, seconds, connections=CONNECTIONS, model="diabetes"):
        before = self.server.cpu_seconds()
        run = subprocess.run(
            ["wrk", "-t2", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "-s",
             load.BENCH / "lib/many.lua", f"http://127.0.0.1:{self.port}"],
            capture_output=True, text=True, timeout=seconds + 30,
            env={"BENCH_BODY": str(file), "BENCH_LIB": str(load.BENCH / "lib"),
                 "BENCH_PATH": f"/models/{model}/predict",
                 "PATH": "/usr/bin:/bin"})
        found = re.search(r"^RESULT (.*)$", run.stdout, re.MULTILINE)
        if not found:
            raise BenchError(f"wrk failed: {(run.stderr or run.stdout).strip()[-300:]}")
        result = json.loads(found[1])
        if result.pop("failed") or not result["requests"]:
            raise BenchError(f"{result} of {self.server}: requests failed")
        result["per_second"] = result["requests"] / result["seconds"]
        result["cpu_us"] = 1e6 * (self.server.cpu_seconds() - before) / result["requests"]
        return result


def ask(server, body):
    status, answer, _ = load.request(server.port, "POST", "/models/diabetes/predict",
                                     json.dumps(body), {"Content-Type": "application/json"})
    if status != 200:
        raise BenchError(f"status {status}: {answer[:200]}")
    return json.loads(answer)["prediction"]


def write(path, bodies, order):
    path.write_text("".join(json.dumps(body, separators=(",", ":")) + "\n" for body in bodies) +
                    "\n" + "".join(f"{number + 1}\n" for number in order))
    return path


def golden_rows(site):
    with open(site.example("golden/diabetes.1.jsonl")) as lines:
        rows = [json.loads(line)["features"] for line in lines]
    made = random.Random(3)
    return [[round(value * made.uniform(0.9, 1.1), 4) for value in rows[number % len(rows)]]
            for number in range(ENTITIES)]


def fill_embedded(site, rows):
    """A state directory with the same entities, by the command that users have."""
    state, table = Path(site.temp, "features-state"), Path(site.temp, "users.csv")
    state.mkdir()
    table.write_text("user," + ",".join(COLUMNS) + "\n" + "".join(
        f"{name_of(number)}," + ",".join(map(repr, row)) + "\n" for number, row in enumerate(rows)))
    subprocess.run([site.binary("sluice"), "features", "import", table, "--entity", "user",
                    "--state-dir", state], check=True, capture_output=True)
    return state


def linear_model(site):
    folder = Path(site.temp, "linear")
    Path(folder, "1").mkdir(parents=True)
    subprocess.run([sys.executable, load.BENCH / "peers/make_linear.py", folder / "1/model.onnx",
                    str(len(COLUMNS))], check=True)
    return folder


def stall(site, server, redis):
    """p99 of an open loop in which Redis stands still for a second, in ms."""
    run = subprocess.Popen(
        [site.binary("sluice"), "bench",
         f"http://127.0.0.1:{server.port}/models/diabetes/predict", "--data", json.dumps({"entity_id": name_of(1)}),
         "--rate", "2000", "--concurrency", "256", "--seconds", "4", "--json"],
        stdout=subprocess.PIPE, text=True)
    time.sleep(1.5)
    redis.process.send_signal(signal.SIGSTOP)
    time.sleep(STALL_S)
    redis.process.send_signal(signal.SIGCONT)
    return json.loads(run.communicate(timeout=60)[0])


def measure(site, rounds, seconds, say, stack):
    out = Entities()
    rows = golden_rows(site)
    redis = Redis(site)
    stack.callback(redis.stop)
    redis.fill(rows)
    order = zipf(ENTITIES, DRAWS)
    plain = write(Path(site.temp, "plain.txt"), [{"features": row} for row in rows], order)
    named = write(Path(site.temp, "named.txt"),
                  [{"entity_id": name_of(number)} for number in range(ENTITIES)], order)
    made = random.Random(5)
    many = write(Path(site.temp, "many.txt"),
                 [{"entity_id": [name_of(made.randrange(ENTITIES)) for _ in range(ROWS)]}
                  for _ in range(200)], range(200))
    state = fill_embedded(site, rows)
    url = f"redis://127.0.0.1:{redis.port}/0"
    config = {}
    for name, cache in (("cached", "256MiB"), ("redis", "0B")):
        config[name] = Path(site.temp, f"{name}.yaml")
        config[name].write_text(f'feature_stores: [{{name: s, url: "{url}", cache: {cache}}}]\n')
    servers = {
        "plain": Server(site, "plain", "", stack, "--state-dir", ":memory:"),
        "cached": Server(site, "cached", features_yaml("s"), stack, "--state-dir", ":memory:",
                         "--config", config["cached"]),
        "redis": Server(site, "redis", features_yaml("s", "0s", ", timeout: 2s"), stack, "--state-dir", ":memory:",
                        "--config", config["redis"]),
        "sqlite": Server(site, "sqlite", features_yaml("default", "0s"), stack, "--state-dir", state),
    }
    budget = Server(site, "budget", features_yaml("s", "0s", f", timeout: {BUDGET_MS}ms"), stack,
                    "--state-dir", ":memory:", "--config", config["redis"])
    linear = Server(site, "linear", features_yaml("s", "0s", ", timeout: 2s"), stack, "--state-dir",
                    ":memory:", "--config", config["redis"], models=[linear_model(site)])
    for number in (0, 17):
        answers = {key: ask(each, {"features": rows[number]} if key == "plain" else
                            {"entity_id": name_of(number)}) for key, each in servers.items()}
        if len(set(answers.values())) != 1:
            raise BenchError(f"they differ: {answers}")
    for key, each in servers.items():
        each.rate(plain if key == "plain" else named, 2)  # warm-up; the cache fills
    for number in range(1, rounds + 1):
        for key, each in servers.items():
            result = each.rate(plain if key == "plain" else named, seconds)
            out.rounds.setdefault(key, []).append(result)
            say(f"round {number}/{rounds}  {NAMES[key]}: {result['per_second']:,.0f}/s, "
                f"{result['cpu_us']:.1f} us of the processor each")
        fetched = linear.rate(many, seconds, 16, "linear")["per_second"] * ROWS
        limit = redis.benchmark(seconds)
        out.fetched.append((fetched, limit))
        say(f"round {number}/{rounds}  entities from Redis, {ROWS} a request: {fetched:,.0f}/s; "
            f"redis-benchmark {limit:,.0f}/s")
    for _ in range(min(rounds, 3)):
        out.stalls.append(stall(site, budget, redis))
    return out


class Entities:
    def __init__(self):
        self.rounds, self.fetched, self.stalls = {}, [], []

    def ratios(self, key):
        return [one["per_second"] / plain["per_second"]
                for one, plain in zip(self.rounds[key], self.rounds["plain"])]

    def table(self):
        lines = [("", "requests/s", "min – max", "p50 µs", "p99 µs", "server CPU µs/req",
                  "times plain")]
        for key, rounds in self.rounds.items():
            cell = report.summary(rounds)
            ratios = sorted(self.ratios(key))
            lines.append((NAMES[key], f"{cell['per_second']:,.0f}",
                          f"{cell['min']:,.0f} – {cell['max']:,.0f}", f"{cell['p50_us']:,.0f}",
                          f"{cell['p99_us']:,.0f}", f"{cell['cpu_us']:.1f}",
                          f"{ratios[len(ratios) // 2]:.3f}"))
        ours = sorted(one for one, _ in self.fetched)
        limits = sorted(limit for _, limit in self.fetched)
        more = [f"entities/s from Redis, {ROWS} a request: {ours[len(ours) // 2]:,.0f} "
                f"({ours[0]:,.0f} – {ours[-1]:,.0f}); redis-benchmark -P {PIPELINE}, the same ten "
                f"fields: {limits[len(limits) // 2]:,.0f} ({limits[0]:,.0f} – {limits[-1]:,.0f})"]
        for one in self.stalls:
            more.append(f"Redis stopped for {STALL_S:.0f} s, budget {BUDGET_MS} ms: {one}")
        return (f"Predictions by entity, REST at {CONNECTIONS}, Zipf keys of {ENTITIES:,}\n" +
                report.aligned(lines) + "\n" + "\n".join(more))

    def reach(self):
        return [report.entry("cached, times plain", self.ratios("cached"), report.AT_LEAST, CACHED,
                             "×"),
                report.entry(f"entities from Redis, times redis-benchmark -P {PIPELINE}",
                             [one / limit for one, limit in self.fetched], report.AT_LEAST,
                             UNCACHED, "×")]

    def cells(self):
        return [{"key": key, **report.summary(rounds), "rounds": rounds}
                for key, rounds in self.rounds.items()] + [
                    {"key": "fetched", "rounds": self.fetched}, {"key": "stalls", "rounds": self.stalls}]
