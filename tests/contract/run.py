#!/usr/bin/python3
# takes: 40 s
"""Contract tests: every file of cases/ against a running server. See README.md for the form."""

import argparse
import copy
import json
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import yaml

from lib import curl, expect, h2, rpc, server, wire

HERE = Path(__file__).resolve().parent
KINDS = ("http", "raw", "grpc", "h2", "command")
PARALLEL = 6


def shorten(value, most=300):
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= most else f"{text[:most]}… ({len(text)} characters)"


def replace(value, tokens):
    """Fills in <<name>> everywhere; a text that is nothing else becomes the token's value."""
    if isinstance(value, dict):
        return {replace(key, tokens): replace(item, tokens) for key, item in value.items()}
    if isinstance(value, list):
        return [replace(item, tokens) for item in value]
    if not isinstance(value, str) or "<<" not in value:
        return value
    for name, text in tokens.items():
        if value == f"<<{name}>>":
            return text
        value = value.replace(f"<<{name}>>", text if isinstance(text, str) else json.dumps(text))
    return value


def expand(case):
    """`each:` makes one case for every value (or, for a mapping, every name and value). The keys of
    a value that is a mapping are names to fill in too."""
    each = case.pop("each", None)
    if each is None:
        return [case]
    pairs = each.items() if isinstance(each, dict) else [(shorten(item, 40), item) for item in each]
    out = []
    for name, value in pairs:
        named = value if isinstance(value, dict) else {}
        one = replace(copy.deepcopy(case), {**named, "each": value})
        one["name"] = f"{case['name']}: {name}"
        out.append(one)
    return out


class Suite:
    """The cases of one file and the server that they share."""

    def __init__(self, path, options, stubs):
        self.name = path.stem
        self.binary = options.server
        self.stubs = stubs
        document = yaml.safe_load(path.read_text())
        self.serve = document.get("serve")
        self.good = document.get("good")
        self.target = document.get("target", "/predict")
        self.cases = [one for case in document["cases"] for one in expand(case)]
        self.cases = [case for case in self.cases if options.only in f"{self.name}/{case['name']}"]
        self.server = None
        self.tokens = {}
        self.private = [str(server.ROOT), tempfile.gettempdir() + "/", "/home/", "/root/"]

    def run(self):
        """A list of (name, sent, problems)."""
        if not self.cases:
            return []
        if self.serve is None:
            return self.run_cases()
        try:
            self.server = server.Server(self.binary, self.serve)
        except (OSError, RuntimeError) as error:
            return [(f"{self.name}/the server starts", self.serve, [str(error)])]
        self.tokens = self.server.tokens()
        if self.good:
            head, body = self.request_bytes(self.good)
            self.tokens["good"] = (head + body).decode("latin-1")
            self.tokens["good_body"] = body.decode("latin-1")
            self.tokens["good_length"] = str(len(body))
        try:
            results = self.run_cases()
            results.append(self.still_alive())
        finally:
            code = self.server.stop()
        problems = [] if code == 0 else [f"exit code {code}; log: {self.server.log_tail()}"]
        results.append((f"{self.name}/SIGTERM ends the server with 0", "SIGTERM", problems))
        self.server.clean()
        return results

    def run_cases(self):
        # Slow ones first, so that they wait side by side.
        order = sorted(self.cases, key=lambda case: not case.get("slow", False))
        with ThreadPoolExecutor(PARALLEL) as pool:
            results = list(pool.map(self.run_case, order))
        return sorted(results, key=lambda result: result[0])

    def still_alive(self):
        name = f"{self.name}/the server is alive after all that"
        if self.server.process.poll() is not None:
            return name, "", [f"it is gone: {self.server.log_tail()}"]
        if not self.good:
            case = {"http": {"path": "/ready"}, "expect": {}}
        else:
            case = {"http": self.good, "expect": {"status": self.good.get("status", 200)}}
        return name, "", self.run_http(case)

    def run_case(self, case):
        name = f"{self.name}/{case['name']}"
        if "steps" not in case:
            return name, *self.run_step(case)
        for number, step in enumerate(case["steps"], 1):
            sent, problems = self.run_step(step)
            if problems:
                return f"{name}, step {number}", sent, problems
        return name, "", []

    def run_step(self, case):
        """(what was sent, problems)"""
        kind = next((kind for kind in KINDS if kind in case), None)
        case = replace(case, self.tokens)
        wanted = case.get("expect", {})
        case["expect"] = {"status": wanted} if isinstance(wanted, int) else dict(wanted)
        try:
            problems = getattr(self, f"run_{kind}")(case)
        except Exception as error:  # noqa: BLE001  a case must not end the run
            problems = [f"{type(error).__name__}: {error}"]
        return case.get(kind), problems

    def address(self, spec):
        at = spec.get("to", "http") if isinstance(spec, dict) else "http"
        return self.server.addresses[at]

    def request_parts(self, spec):
        """(method, path, headers, body)"""
        body = b""
        if "json" in spec:
            body = json.dumps(spec["json"]).encode()
        elif "features" in spec:
            body = json.dumps({"features": spec["features"]}).encode()
        elif "body" in spec:
            body = wire.body_bytes(spec["body"])
        has_body = any(key in spec for key in ("json", "features", "body"))
        method = spec.get("method", "POST" if has_body else "GET")
        headers = {"Host": "t"}
        if has_body:
            headers.update({"Content-Type": "application/json", "Content-Length": str(len(body))})
        headers.update(spec.get("headers", {}))
        return method, spec.get("path", self.target), headers, body

    def request_bytes(self, spec):
        method, path, headers, body = self.request_parts(spec)
        lines = [f"{method} {path} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in headers.items() if value is not None]
        return wire.encode("\r\n".join(lines) + "\r\n\r\n"), body

    def run_http(self, case):
        spec, want = case["http"], case["expect"]
        within = want.get("within", 20)
        if spec.get("version") == 2:
            got = curl.exchange(self.address(spec), *self.request_parts(spec), within)
        else:
            head, body = self.request_bytes(spec)
            got = wire.exchange(
                self.address(spec), [head + body], closed=want.get("closed"), within=within,
                methods=[spec.get("method", "")],
            )
        plain = expect.is_plain(spec.get("path", self.target))
        return expect.check_exchange(want, got, self.private, plain)

    def run_raw(self, case):
        spec, want = case["raw"], case["expect"]
        if not isinstance(spec, dict):
            spec = {"send": spec}
        steps = spec["send"] if isinstance(spec["send"], list) else [spec["send"]]
        statuses = expect.statuses_of(want) or []
        got = wire.exchange(
            self.address(spec), steps, count=sum(status >= 200 for status in statuses),
            closed=want.get("closed"), exact=True, within=want.get("within", 8),
            half_close=spec.get("then_close") == "write", methods=spec.get("methods", ()),
        )
        target = re.match(r"[A-Z]+ (\S+)", steps[0]) if isinstance(steps[0], str) else None
        plain = target is not None and expect.is_plain(target[1])
        return expect.check_exchange(want, got, self.private, plain)

    def run_grpc(self, case):
        spec = case["grpc"]
        address = self.server.addresses[spec.get("to", "grpc")]
        return rpc.check(case["expect"], *rpc.call(self.stubs, address, spec), self.private)

    def run_h2(self, case):
        want = case["expect"]
        if "unfinished" in case["h2"]:
            address = self.server.addresses[case["h2"].get("to", "http")]
            got = h2.unfinished(address, case["h2"], want.get("within", 8))
            plain = expect.is_plain(case["h2"]["path"])
            return expect.check_exchange(want, got, self.private, plain)
        address = self.server.addresses[case["h2"].get("to", "grpc")]
        code, closed, seconds = h2.flood(address, case["h2"], want.get("within", 8))
        problems = []
        if "goaway" in want and code != want["goaway"]:
            problems.append(f"GOAWAY {code}, not {want['goaway']}")
        if want.get("closed") and not closed:
            problems.append(f"the connection is still open after {seconds:.1f} s")
        return problems

    def run_command(self, case):
        want = case["expect"]
        with tempfile.TemporaryDirectory(prefix="contract-") as scratch:
            files = case.get("files")
            if files:
                server.write_files(Path(scratch), files)
            # Paths of the repository are given as <<root>>/…, files of the case by their name.
            words = replace([str(word) for word in case["command"]], {"root": str(server.ROOT)})
            done = subprocess.run(
                [str(self.binary), *words], cwd=scratch if files else server.ROOT,
                env={**server.environment(), **case.get("environment", {})},
                input=case.get("stdin", ""), capture_output=True, text=True,
                timeout=want.get("within", 30), check=False,
            )
        exit_code = want.get("exit", 0)
        problems = []
        if done.returncode != exit_code:
            problems.append(f"exit code {done.returncode}, not {exit_code}: {done.stderr[:300]!r}")
        lines = done.stderr.splitlines()
        most = want.get("stderr_lines", 1)
        if len(lines) > most:
            problems.append(f"{len(lines)} lines on stderr, not {most}: {done.stderr[:600]!r}")
        if exit_code != 0 and not lines and most > 0:
            problems.append("nothing on stderr says why")
        problems += expect.check_text({"contains": want.get("stderr", [])}, done.stderr, "stderr")
        problems += expect.check_text(
            {"not_contains": want.get("stderr_not", [])}, done.stderr, "stderr"
        )
        problems += expect.check_text({"contains": want.get("stdout", [])}, done.stdout, "stdout")
        if "json" in want:
            try:
                problems += expect.subset(want["json"], expect.read_json(done.stdout.encode()))
            except ValueError as error:
                problems.append(f"stdout is not JSON ({error}): {done.stdout[:200]!r}")
        told = [path for path in self.private if path in done.stderr]
        if told:
            problems.append(f"stderr tells a path of the machine: {done.stderr[:300]!r}")
        return problems


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", default=server.ROOT / "build/release/sluice", type=Path)
    parser.add_argument("--only", default="", help="run cases whose FILE/NAME has this in it")
    parser.add_argument("--verbose", action="store_true", help="print every case")
    options = parser.parse_args()
    options.server = options.server.resolve()
    stubs = rpc.Stubs()
    passed = failed = 0
    for path in sorted((HERE / "cases").glob("*.yaml")):
        for name, sent, problems in Suite(path, options, stubs).run():
            passed, failed = passed + (not problems), failed + bool(problems)
            if problems:
                print(f"FAILED {name}\n  sent: {shorten(sent)}")
                print("".join(f"  {problem}\n" for problem in problems), end="")
            elif options.verbose:
                print(f"ok     {name}")
        sys.stdout.flush()
    print(f"contract: {passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
