#!/usr/bin/python3
"""Conformance suite for the Open Inference Protocol v2, REST and gRPC. See README.md.

The server must serve the models of repository/ beside this file.
"""

import argparse
import collections
import sys
import time
from pathlib import Path

from lib import cases, compare, features, rest, rpc, wire

HERE = Path(__file__).resolve().parent
STARTUP = 10  # seconds in which the server may still load the models


def address(text):
    """host:port, also written as a URL; `none` is no address."""
    if text == "none":
        return None
    host, _, port = text.removeprefix("http://").rstrip("/").rpartition(":")
    if not host or not port.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not host:port")
    return host.strip("[]"), int(port)


def read_options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--http", type=address, default="127.0.0.1:8000", help="host:port or none")
    parser.add_argument("--grpc", type=address, default="127.0.0.1:50051", help="host:port or none")
    parser.add_argument("--only", default="", help="run cases whose FILE/NAME has this in it")
    parser.add_argument("--verbose", action="store_true", help="print every case")
    parser.add_argument("--skip-file", type=Path, help="names of cases not to run, a line each")
    parser.add_argument("--within", type=float, default=10, help="seconds that an answer may take")
    parser.add_argument("--time-limit", type=float, default=60, help="seconds for the whole run")
    parser.add_argument("--protos", type=Path, default=HERE.parents[1] / "proto",
                        help="the folder that holds oip/service.proto")
    options = parser.parse_args()
    if not options.http and not options.grpc:
        parser.error("there is nothing to test: --http and --grpc are both none")
    return options


def read_skip_file(path):
    """Names, or beginnings of names with a * behind them; # begins a comment."""
    lines = path.read_text().splitlines() if path else []
    names = [line.split(" #")[0].strip() for line in lines]
    return [name for name in names if name and not name.startswith("#")]


def is_listed(name, listed):
    return any(
        name.startswith(one[:-1]) if one.endswith("*") else name == one for one in listed
    )


def has_started(http_address, client):
    try:
        if http_address:
            request = wire.Request({"path": "/v2/health/ready"})
            return wire.exchange(http_address, request, 1).status == 200
        _, _, answers = client.call({"method": "ServerReady"}, 1)
        return bool(answers) and answers[0]["ready"]
    except wire.NoAnswer:
        return False


def wait_for_server(options, client):
    until = time.monotonic() + STARTUP
    while not has_started(options.http, client):
        if time.monotonic() > until:
            raise SystemExit(f"the server is not ready after {STARTUP} seconds")
        time.sleep(0.1)


class Run:
    def __init__(self, options, client):
        self.options = options
        self.client = client
        self.has = features.Features(options.http, client)
        self.listed = read_skip_file(options.skip_file)
        self.until = time.monotonic() + options.time_limit
        self.passed = self.failed = 0
        self.skipped = collections.Counter()

    def why_not(self, case):
        """The reason not to run a case, or nothing."""
        if is_listed(case.name, self.listed):
            return f"listed in {self.options.skip_file}"
        if "rest" in case.kinds and not self.options.http:
            return "no --http"
        if "grpc" in case.kinds and not self.options.grpc:
            return "no --grpc"
        lacking = self.has.missing(case.needs)
        return f"needs {lacking}" if lacking else ""

    def step(self, step, saved):
        left = max(1, self.until - time.monotonic())
        within = min(left, step["want"].get("within", self.options.within))
        if step["kind"] == "rest":
            arguments = (step["spec"], step["want"], saved, within)
            problems, answer = rest.run(self.options.http, *arguments)
        else:
            problems, answer = rpc.run(self.client, step["spec"], step["want"], saved, within)
        if not problems:
            saved.update({name: compare.at(path, answer) for name, path in step["save"].items()})
        return problems

    def run_case(self, case):
        if time.monotonic() > self.until:
            return ["not run: --time-limit is over"]
        saved = {}
        try:
            for step in case.steps:
                problems = self.step(step, saved)
                if problems:
                    return [*problems, f"sent: {compare.shorten(repr(step['spec']), 300)}"]
        except Exception as error:  # noqa: BLE001  one case must not end the run
            return [f"{type(error).__name__}: {error}"]
        return []

    def one(self, case):
        try:
            why_not = self.why_not(case)
        except wire.NoAnswer as error:
            why_not, problems = "", [str(error)]
        else:
            problems = [] if why_not else self.run_case(case)
        if why_not:
            self.skipped[why_not] += 1
            if self.options.verbose:
                print(f"skip   {case.name}  ({why_not})")
            return
        self.passed, self.failed = self.passed + (not problems), self.failed + bool(problems)
        if problems:
            print("\n  ".join([f"FAILED {case.name}", *problems]))
        elif self.options.verbose:
            print(f"ok     {case.name}")
        sys.stdout.flush()

    def summary(self):
        reasons = "; ".join(f"{why}: {count}" for why, count in self.skipped.most_common())
        total = sum(self.skipped.values())
        print(f"skipped: {total}" + (f" ({reasons})" if reasons else ""))
        print(f"conformance: {self.passed} passed, {self.failed} failed")
        return 0 if self.passed and not self.failed else 1


def check_models(has):
    models = sorted(path.name for path in (HERE / "repository").iterdir() if path.is_dir())
    lacking = [name for name in models if not has.has(f"model:{name}")]
    if len(lacking) == len(models):
        raise SystemExit(f"the server has none of the models of {HERE / 'repository'}")
    if lacking:
        print(f"the server has not loaded {', '.join(lacking)}")


def main():
    options = read_options()
    wanted = cases.load(HERE / "cases", options.only)
    client = rpc.Client(options.grpc, options.protos) if options.grpc else None
    wait_for_server(options, client)
    run = Run(options, client)
    check_models(run.has)
    for case in wanted:
        run.one(case)
    return run.summary()


if __name__ == "__main__":
    sys.exit(main())
