#!/usr/bin/python3
"""The benchmark behind ./dev bench: Sluice beside its limits and its peers, in one run.

Rounds are interleaved (A B C, A B C, …), so that a machine that changes its mood changes it for
everybody. See bench/README.md.
"""
import argparse
import contextlib
import datetime
import json
import os
import re
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from lib import (batching, compressing, entities, load, offline, pickles, releases, report, seen,
                 sources, watching)
from lib.load import Load
from lib.questions import Row, Tensor
from lib.servers import BenchError, Site

OURS = "/models/breast_cancer/versions/v1/predict"
OURS_GRPC = "/PredictionService/Predict"
TENSORS = "/v2/models/breast_cancer/versions/v1/infer"
TENSORS_GRPC = "/inference.GRPCInferenceService/ModelInfer"

# What an answer must be, so that nobody measures an error page: (prediction, confidence) of a row,
# (probabilities,) of a tensor.
CHECKS = {
    "golden": lambda row, p, c: p == row.prediction and abs(c - row.confidence) < 1e-5,
    "class": lambda row, p, c: p in (0, 1) and 0.5 <= c <= 1,  # a model of its own, same kind
    "count": lambda row, p, c: p == len(row.features) and c == 1,
    "number": lambda row, p, c: isinstance(p, float) and isinstance(c, float),
    "golden tensor": lambda tensor, values: tensor.right(values),
    "constants": lambda tensor, values: len(set(values)) == 1,  # their form is checked as well
}


class Peer(NamedTuple):
    key: str
    name: str
    protocol: str  # rest, grpc, or loop: no server at all
    start: object  # method of Site; the same one twice is one server
    check: str  # of CHECKS
    groups: str  # of --only
    path: str = OURS_GRPC
    keyed: bool = False  # always asked with the same key for the cache


# A new peer: one file in bench/peers/, one method in lib/servers.py, one line here.
PEERS = [
    Peer("raw", "raw ONNX Runtime loop (threads)", "loop", None, "",
         "rest grpc latency tensors"),
    Peer("nginx", "nginx return 200", "rest", Site.nginx, "number", "rest cpu", "/"),
    Peer("empty_rest", "empty handler, REST", "rest", Site.empty, "number",
         "rest cpu latency cache", OURS),
    Peer("sluice_rest", "Sluice REST", "rest", Site.sluice, "golden", "rest cpu latency seed",
         OURS),
    Peer("cache_rest", "Sluice REST, one cache_key", "rest", Site.cached, "golden", "cache", OURS,
         keyed=True),
    Peer("fastapi", "FastAPI + uvicorn + joblib", "rest", Site.fastapi, "class",
         "seed sklearn", "/predict"),
    Peer("pickle_rest", "Sluice REST, the same pickle", "rest", Site.pickled, "class", "sklearn",
         "/predict"),
    Peer("empty_grpc", "empty method, gRPC", "grpc", Site.empty, "number", "grpc cpu"),
    Peer("sluice_grpc", "Sluice gRPC", "grpc", Site.sluice, "golden", "grpc cpu seed"),
    Peer("grpcpp_echo", "grpc++ callback echo", "grpc", Site.grpcpp_echo, "count", "grpc cpu"),
    Peer("grpcio", "grpcio, 10 threads", "grpc", Site.grpcio, "class", "seed"),
    Peer("empty_tensor_rest", "empty handler, REST tensors", "rest", Site.empty, "constants",
         "tensors", TENSORS),
    Peer("tensor_rest", "Sluice REST tensors", "rest", Site.sluice, "golden tensor", "tensors",
         TENSORS),
    Peer("empty_tensor_grpc", "empty method, gRPC tensors", "grpc", Site.empty, "constants",
         "tensors", TENSORS_GRPC),
    Peer("tensor_grpc", "Sluice gRPC tensors", "grpc", Site.sluice, "golden tensor", "tensors",
         TENSORS_GRPC),
]
# The loads of each group. gRPC's clients keep few connections with many calls on each, and answer
# to a busy one is cheaper than to many: both are measured.
REST_LOADS = {"rest": (Load(1), Load(16), Load(64), Load(256)), "cpu": (Load(64),),
              "latency": (Load(1),), "seed": (Load(1), Load(16), Load(64)),
              "sklearn": (Load(1), Load(16), Load(64)),
              "cache": (Load(1), Load(64)), "tensors": report.TENSOR_REST}
GRPC_LOADS = {"grpc": (Load(1), Load(2, 8), Load(2, 32), Load(64)),
              "cpu": (Load(2, 32), Load(64)), "tensors": report.TENSOR_GRPC}
GRPC_LOADS["seed"] = GRPC_LOADS["grpc"]
LOADS = {
    "rest": REST_LOADS, "grpc": GRPC_LOADS,
    "loop": {"rest": (report.RAW,), "grpc": (report.RAW,), "latency": (Load(1),),
             "tensors": [report.RAW._replace(rows=rows) for rows in report.TENSOR_ROWS]},
}
GROUPS = ("rest", "grpc", "cpu", "latency", "seed", "tensors", "cache", "batching", "sklearn",
          "sources", "log", "watch", "features")
EXTRA = ("memory", "release", "batch", "compress")  # only where they are asked for


# Groups that bring their own servers: each is measured, has a table, targets and cells.
OWN_GROUPS = {
    "batching": lambda site, o, stack: batching.measure(site, o.rounds, o.seconds, say),
    "sklearn": lambda site, o, stack: pickles.measure(site, o.rounds, o.seconds, say),
    "sources": lambda site, o, stack: sources.measure(site, o.rounds, o.model_bytes, say, stack),
    "log": lambda site, o, stack: watching.measure(site, o.rounds, o.seconds, say, stack),
    "watch": lambda site, o, stack: seen.measure(site, o.rounds, o.seconds, say, stack),
    "features": lambda site, o, stack: entities.measure(site, o.rounds, o.seconds, say, stack),
    "compress": lambda site, o, stack: compressing.measure(site, o.rounds, o.seconds, say, stack),
    "batch": lambda site, o, stack: offline.measure(site, o.rounds, o.seconds, o.rows, say),
}


def say(text):
    print(text, file=sys.stderr, flush=True)


class Bench:
    def __init__(self, site, cells, stack):
        self.site, self.cells, self.servers, self.lengths = site, cells, {}, {}
        golden = site.example("golden/breast_cancer.v1.jsonl")
        self.questions = {rows: Tensor(golden, site.temp, rows) if rows else Row(golden, site.temp)
                          for rows in {shape.rows for _, shape in cells}}
        self.keyed = Row(golden, site.temp, "again and again")
        peers = list(dict.fromkeys(peer for peer, _ in cells))
        if any(peer.start is Site.sluice for peer in peers):
            site.binary("sluice")  # said first, before others are started for nothing
        for peer in peers:
            if peer.protocol == "loop":
                site.binary("bench_raw_ort")
            elif peer.start not in self.servers:
                say(f"starting {peer.start.__name__}")
                self.servers[peer.start] = server = peer.start(site)
                stack.callback(server.stop)

    def question(self, peer, rows):
        return self.keyed if peer.keyed else self.questions[rows]

    def verify(self):
        """One real request to everybody, of each kind that is measured."""
        for peer, rows in dict.fromkeys((peer, shape.rows) for peer, shape in self.cells):
            if peer.protocol != "loop":
                self.verify_one(peer, rows)

    def verify_one(self, peer, rows):
        ports, question = self.servers[peer.start].ports, self.question(peer, rows)
        ask, port = ((load.ask_rest, "http") if peer.protocol == "rest" else
                     (load.ask_grpc, "grpc"))
        try:
            answer, self.lengths[peer.key, rows] = ask(ports[port], peer.path, question)
        except Exception as error:  # whatever an answer of another form makes of its reader
            raise BenchError(f"{peer.name} does not answer rightly: {error!r}") from error
        if not CHECKS[peer.check](question, *answer):
            raise BenchError(f"{peer.name} answers wrongly: {str(answer)[:200]}, the check is "
                             f"'{peer.check}'")

    def without_hits(self):
        """Keys of those whose cache did not answer: what they reached says nothing of a hit."""
        keys = set()
        for peer in dict.fromkeys(peer for peer, _ in self.cells if peer.keyed):
            said = load.statistics(self.servers[peer.start].ports["http"], "breast_cancer")
            if not said.hits or said.misses > said.hits / 10:
                say(f"{peer.name}: the server counted {said.hits} hits of its cache and "
                    f"{said.misses} misses; there is no line for it under Reach")
                keys.add(peer.key)
        return keys

    def measure(self, peer, shape, seconds):
        """One cell of one round."""
        if peer.protocol == "loop":
            model = self.site.example("models/breast_cancer/v1/model.onnx")
            result = load.raw_loop(self.site.binary("bench_raw_ort"), model, shape.connections,
                                   seconds, shape.predictions)
            result["per_second"] *= shape.predictions
            return result
        server = self.servers[peer.start]
        before = server.cpu_seconds()
        try:
            result = self.drive(peer, server, shape, seconds)
        except BenchError as error:
            raise BenchError(f"{peer.name} at {shape.label}: {error}") from error
        used = server.cpu_seconds() - before
        result["cpu_us"] = 1e6 * used / (result["requests"] * shape.predictions)
        result["per_second"] *= shape.predictions
        return result

    def drive(self, peer, server, shape, seconds):
        question = self.question(peer, shape.rows)
        if peer.protocol == "rest":
            return load.wrk(server.ports["http"], peer.path, question, shape.connections, seconds)
        return load.h2load(server.ports["grpc"], peer.path, question, shape.connections,
                           shape.streams, seconds, self.lengths[peer.key, shape.rows])


def plan(peers, groups):
    """[(peer, load)] of one round: everybody under one load, then under the next."""
    cells = []
    for peer in peers:
        loads = LOADS[peer.protocol]
        chosen = {one for g in groups if g in peer.groups.split() for one in loads.get(g, ())}
        cells += [(peer, one) for one in sorted(chosen, key=size)]
    # The sort is stable: under one load the order is that of PEERS.
    return sorted(cells, key=lambda cell: size(
        cell[1]._replace(connections=64) if cell[0].protocol == "loop" else cell[1]))


def size(shape):
    return shape.rows, shape.connections * shape.streams, shape


def run_rounds(bench, options):
    results = {}
    # Warm-up: pools, allocators, Python's caches.
    for peer, rows in {peer: shape.rows for peer, shape in bench.cells}.items():
        if peer.protocol != "loop":
            bench.measure(peer, Load(16, rows=rows), 1)
    for number in range(1, options.rounds + 1):
        for peer, shape in bench.cells:
            result = bench.measure(peer, shape, options.seconds)
            of = f" of {shape.rows} rows" if shape.rows else ""
            say(f"round {number}/{options.rounds}  {peer.name}, {shape.label}{of}: "
                f"{result['per_second']:,.0f}/s")
            results.setdefault((peer.key, shape), []).append(result)
    return results


def run_memory(site, peers, patience=300):
    """RSS after half a million requests and after five: what was learned early may stay, what
    grows with requests may not. A fresh server each time."""
    entries = []
    for peer in (p for p in peers if p.key in (report.REST, report.GRPC)):
        with contextlib.ExitStack() as stack:
            bench = Bench(site, [(peer, report.MANY)], stack)
            bench.verify()
            server = bench.servers[peer.start]
            requests, sizes, deadline = 0, [], time.monotonic() + patience
            for goal in (500_000, 5_000_000):
                while requests < goal and time.monotonic() < deadline:
                    requests += bench.drive(peer, server, report.MANY, 4)["requests"]
                sizes.append(server.rss_kib())
                say(f"{peer.name}: {sizes[-1]:,} KiB after {requests:,} requests")
        if requests < goal:
            raise BenchError(f"{peer.name}: only {requests:,} requests in {patience} s")
        entries.append(report.entry(
            f"{peer.name}, RSS growth from 0.5 M to 5 M requests (at {sizes[0] / 1024:.1f} MiB)",
            [(sizes[1] - sizes[0]) / 1024], "≤", max(1, sizes[0] * 0.02 // 1024), "MiB"))
    return entries


def machine():
    with open("/proc/cpuinfo") as info:
        model = re.search(r"model name\s*:\s*(.*)", info.read())
    return f"{os.cpu_count()} cores, {model[1] if model else os.uname().machine}"


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    root = Path(__file__).resolve().parent.parent
    add = parser.add_argument
    add("named", nargs="*", metavar="GROUP", help="the same as --only GROUP,…")
    add("--seconds", type=int, default=4, help="of each measurement (default 4)")
    add("--rounds", type=int, default=3, help="each cell is measured so often (default 3)")
    add("--only", default=",".join(GROUPS), metavar="GROUP,…",
        help=f"{', '.join(GROUPS + EXTRA)} (default: all but {', '.join(EXTRA)})")
    add("--full", action="store_true", help="memory too: some minutes more")
    add("--peers", metavar="KEY,…", help=f"only these of {', '.join(p.key for p in PEERS)}")
    add("--rows", type=int, default=10**7, help="of the group batch (default 10^7)")
    add("--model-bytes", type=int, default=10**9, help="of the group sources (default 10^9)")
    add("--runs", type=int, default=10_000, help="of each simulation of the group release")
    add("--json", type=Path, metavar="FILE", help="default: bench.json in the build's folder")
    add("--root", type=Path, default=root, help="repository with proto/ and examples/")
    add("--build", type=Path, help="folder of the binaries (default: ROOT/build/release)")
    options = parser.parse_args()
    options.groups = options.named or options.only.split(",")
    options.groups += ["memory"] if options.full else []
    wrong = set(options.groups) - {*GROUPS, *EXTRA}
    keys = options.peers.split(",") if options.peers else [peer.key for peer in PEERS]
    wrong |= set(keys) - {peer.key for peer in PEERS}
    if (wrong or not 1 <= options.seconds <= 60 or not 1 <= options.rounds <= 50 or
            options.rows < 10_000):
        parser.error(f"not known: {', '.join(sorted(wrong))}" if wrong else
                     "--seconds is 1 to 60, --rounds 1 to 50, --rows 10000 or more")
    if options.peers and not options.named and options.only == parser.get_default("only"):
        for group in OWN_GROUPS.keys() & set(options.groups) - {"sklearn"}:  # they have no peers
            options.groups.remove(group)
    options.peers = [peer for peer in PEERS if peer.key in keys]
    options.root = options.root.resolve()
    options.build = (options.build or options.root / "build/release").resolve()
    return options


def main():
    options = parse_options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the servers are stopped
    cells = plan(options.peers, options.groups)
    results, silent = {}, set()
    with tempfile.TemporaryDirectory(prefix="sluice-bench-") as temp:
        site = Site(options.root, options.build, temp)
        if cells:
            with contextlib.ExitStack() as stack:
                bench = Bench(site, cells, stack)
                bench.verify()
                total = len(cells) * options.rounds * options.seconds
                say(f"{len(cells)} cells, {options.rounds} rounds, about {total // 60 + 1} min")
                results = run_rounds(bench, options)
                bench.verify()  # still right after the load
                silent = bench.without_hits()
        entries = report.reach({cell: rounds for cell, rounds in results.items()
                                if cell[0] not in silent})
        measured = {}
        for name, measure in OWN_GROUPS.items():
            if name not in options.groups:
                continue
            with contextlib.ExitStack() as stack:
                measured[name] = measure(site, options, stack)
            entries += measured[name].reach()
        if "memory" in options.groups:
            entries += run_memory(site, options.peers)
        found = []
        if "release" in options.groups:
            found = releases.simulate(site, options.runs)

    title = (f"{machine()}; {options.rounds} interleaved rounds of {options.seconds} s, medians.\n"
             "The load generators share these cores with the servers: read ratios, not rates.")
    if results or entries:
        print(title)
    keys = [peer.key for peer in PEERS]
    rows = [(PEERS[keys.index(key)].name, shape, rounds) for (key, shape), rounds in sorted(
        results.items(), key=lambda item: (keys.index(item[0][0]), size(item[0][1])))]
    for part in ([row for row in rows if not row[1].rows], [row for row in rows if row[1].rows]):
        if part:
            print("\n" + report.table(part))
    for part in measured.values():
        print("\n" + part.table())
    if entries:
        print("\nReach", *report.reach_lines(entries), sep="\n")
    file = options.json or options.build / "bench.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({
        "when": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "machine": machine(), "seconds": options.seconds, "rounds": options.rounds,
        "cells": [{"key": key, **shape._asdict(), **report.summary(rounds), "rounds": rounds}
                  for (key, shape), rounds in results.items()],
        **{name: measured[name].cells() if name in measured else [] for name in OWN_GROUPS},
        "reach": entries, "release": found}, indent=1) + "\n")
    say(f"\nas JSON: {file}")


if __name__ == "__main__":
    try:
        main()
    except BenchError as error:
        sys.exit(f"bench: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
