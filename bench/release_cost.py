#!/usr/bin/python3
"""What a release costs a request, in instructions: Sluice under callgrind, one I/O thread, one
connection, with each kind of release. Counts are repeatable; times are not. Two runs of different
length are subtracted, so that start-up and loading cancel out.

Usage: bench/release_cost.py [BINARY]
"""

import http.client
import json
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LISTENING = re.compile(r"http (\S+)  grpc \S+  management (\S+)")
FEW, MANY = 200, 2200
FREE = "127.0.0.1:0"

RELEASES = {
    "without a release": None,
    "split, anonymous": {"policy": "split", "weights": {"v1": 0.5, "v2": 0.5}},
    "split, of users": {"policy": "split", "weights": {"v1": 0.5, "v2": 0.5}},
    "split, seed's assignment": {"policy": "split", "weights": {"v1": 0.5, "v2": 0.5},
                                 "assignment": "seed"},
    "canary at 10 %": {"policy": "canary", "stable": "v1", "canary": "v2", "start": 10,
                       "interval": "1h"},
    "bandit": {"policy": "bandit", "arms": ["v1", "v2"]},
}
# Part, and what its function's name has in it.
PARTS = {"choose": ("::choose",), "evidence": ("Evidence::on_finish", "EvidenceLog::add"),
         "learn": ("RunningRelease::observe",)}


def ask(connection, method, path, body):
    connection.request(method, path, json.dumps(body), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    text = answer.read()
    assert answer.status == 200, text
    return text


def run(binary, out, release, users, count):
    process = subprocess.Popen(
        ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", binary, "serve",
         str(ROOT / "examples/models"), "--io-threads", "1", "--log-level", "off", "--http", FREE,
         "--grpc", FREE, "--management", FREE, "--state-dir", ":memory:"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    http_address, management = LISTENING.search(process.stdout.readline()).groups()
    public = http.client.HTTPConnection(http_address, timeout=60)
    until = time.monotonic() + 300
    while time.monotonic() < until:
        public.request("GET", "/ready")
        answer = public.getresponse()
        answer.read()
        if answer.status == 200:
            break
        time.sleep(0.2)
    if release:
        ask(http.client.HTTPConnection(management, timeout=60), "PUT",
            "/api/models/breast_cancer/release", release)
    with open(ROOT / "examples/golden/breast_cancer.v1.jsonl", encoding="utf-8") as golden:
        features = json.loads(golden.readline())["features"]
    for i in range(count):
        body = {"features": features, **({"user_id": f"user-{i}"} if users else {})}
        ask(public, "POST", "/models/breast_cancer/predict", body)
    process.send_signal(signal.SIGTERM)
    process.wait(120)


def read(out):
    """Inclusive instructions by function."""
    text = subprocess.run(["callgrind_annotate", "--inclusive=yes", "--threshold=100", out],
                          capture_output=True, text=True, check=True).stdout
    costs = {}
    for line in text.split("\n"):
        found = re.match(r"\s*([\d,]+) \(\s*[\d.]+%\)\s+(.*)", line)
        if found:
            name = re.sub(r" \[.*", "", found[2]).split(":", 1)[-1]
            costs[name] = max(costs.get(name, 0), int(found[1].replace(",", "")))
    return costs


def cost(costs, needles):
    for needle in needles:
        found = [value for name, value in costs.items() if needle in name]
        if found:
            return max(found)
    return 0


def main():
    binary = sys.argv[1] if len(sys.argv) > 1 else str(ROOT / "build/release/sluice")
    print(f"{'instructions a request':28}" + "".join(f"{part:>12}" for part in PARTS))
    with tempfile.TemporaryDirectory() as folder:
        for name, release in RELEASES.items():
            users = "users" in name or "seed" in name
            outs = [f"{folder}/{count}" for count in (FEW, MANY)]
            for out, count in zip(outs, (FEW, MANY)):
                run(binary, out, release, users, count)
            few, many = (read(out) for out in outs)
            print(f"{name:28}" + "".join(
                f"{(cost(many, needles) - cost(few, needles)) / (MANY - FEW):12,.0f}"
                for needles in PARTS.values()), flush=True)


if __name__ == "__main__":
    main()
