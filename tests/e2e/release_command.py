#!/usr/bin/python3
"""`sluice release`: what it asks of a management listener, what it prints and how it ends."""

import json
import os
import pty
import signal
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from lib.server import BINARY, Report, environment

WITHIN = 20


def release(state="running", revision=3, policy="canary", **more):
    return {"model": "fraud", "policy": policy, "state": state, "revision": revision,
            "source": "api", "weights": {"v1": 0.95, "v2": 0.05}, "spec": {"policy": policy},
            "arms": {"v1": {"requests": 1900, "errors": 2, "error_rate": 0.001, "p95": 3.4},
                     "v2": {"requests": 100, "errors": 0, "error_rate": 0, "p95": 3.5}},
            "summary": {"verdict": "open", "verdict_reason": "too little is known",
                        "metrics": [{"metric": "errors", "e": 10, "limit": 100}]},
            "history": [{"time": "2026-11-26T17:00:00.123Z", "decision": "start", "by": "api",
                         "reason": "first"}], **more}


class Scripted:
    """A management listener that gives its answers in turn, the last one for ever, and keeps what
    it was asked. An answer is (status, body); None hangs up."""

    def __init__(self, *answers):
        self.answers, self.asked = list(answers), []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self):
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length).decode()
                outer.asked.append((self.command, self.path, json.loads(body) if body else None))
                last = len(outer.answers) == 1
                given = outer.answers[0] if last else outer.answers.pop(0)
                if given is None:
                    self.close_connection = True
                    return
                text = given[1] if isinstance(given[1], str) else json.dumps(given[1])
                self.send_response(given[0])
                self.send_header("Content-Length", str(len(text.encode())))
                self.end_headers()
                self.wfile.write(text.encode())

            do_GET = do_PUT = do_POST = do_DELETE = answer

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def start(server, *arguments, **options):
    url = server if isinstance(server, str) else server.url
    return subprocess.Popen([str(BINARY), "release", *arguments, "--url", url], text=True,
                            stdin=subprocess.DEVNULL, env=environment(), **options)


def run(server, *arguments):
    """(exit code, stdout, stderr)"""
    process = start(server, *arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = process.communicate(timeout=WITHIN)
    return process.returncode, out, err


def questions(report):
    path = "/api/models/fraud/release"
    cases = [
        ("fraud", ("GET", path, None)),
        ("fraud status", ("GET", path, None)),
        ("fraud split v1=0.9 v2=0.1 --assignment hash",
         ("PUT", path, {"policy": "split", "weights": {"v1": 0.9, "v2": 0.1},
                        "assignment": "hash"})),
        ("fraud canary --stable v1 --canary v2 --start 5 --interval 60s --revision 3",
         ("PUT", path, {"policy": "canary", "stable": "v1", "canary": "v2", "start": 5,
                        "interval": "60s", "revision": 3})),
        ("fraud bandit v1 v2 v3 --algorithm ucb1 --sticky --min-share 0.05",
         ("PUT", path, {"policy": "bandit", "arms": ["v1", "v2", "v3"], "algorithm": "ucb1",
                        "sticky": True, "min_share": 0.05})),
        ("fraud promote v2", ("POST", path + "/promote", {"version": "v2"})),
        ("fraud rollback --revision 4", ("POST", path + "/rollback", {"revision": 4})),
        ("fraud pause", ("POST", path + "/pause", None)),
        ("fraud resume", ("POST", path + "/resume", None)),
        ("fraud remove --revision 4", ("DELETE", path, {"revision": 4})),
        # A model may have the name of an action.
        ("status status", ("GET", "/api/models/status/release", None)),
    ]
    for words, wanted in cases:
        server = Scripted((200, release()))
        code, out, err = run(server, *words.split())
        report.equal(f"{words}: exit code", code, 0)
        report.equal(f"{words}: asked", server.asked, [wanted])
        report.check(f"{words}: shows the release", out.startswith("fraud  canary, running"),
                     out + err)


def shadows(report):
    path = "/api/models/fraud/release"
    there = release(spec={"policy": "canary", "stable": "v1", "shadow": ["v9"]})
    server = Scripted((200, there))
    report.equal("shadow: exit code", run(server, "fraud", "shadow", "v3", "v4")[0], 0)
    report.equal("shadow: keeps the rest", server.asked[1:],
                 [("PUT", path, {"policy": "canary", "stable": "v1", "shadow": ["v3", "v4"],
                                 "revision": 3})])
    server = Scripted((200, there))
    report.equal("shadow --off: exit code", run(server, "fraud", "shadow", "--off")[0], 0)
    report.equal("shadow --off: keeps the rest", server.asked[1:],
                 [("PUT", path, {"policy": "canary", "stable": "v1", "revision": 3})])
    server = Scripted((200, there), (409, {"error": {"message": "it has gone on"}}))
    code, _, err = run(server, "fraud", "shadow", "v3")
    report.equal("shadow: a conflict", (code, err), (65, "sluice: it has gone on\n"))
    server = Scripted((200, {"v3": {"requests": 5}}))
    code, out, _ = run(server, "fraud", "shadow")
    report.equal("shadow: shows what they did", (code, out, server.asked),
                 (0, "v3\n  requests  5\n", [("GET", "/api/models/fraud/shadow", None)]))


def endings(report):
    for status, code in ((400, 65), (404, 65), (409, 65), (422, 65), (503, 69), (500, 70)):
        got = run(Scripted((status, {"error": {"message": "why \x1b[31m"}})), "fraud", "pause")
        report.equal(f"answered {status}", got, (code, "", "sluice: why ?[31m\n"))
    got = run(Scripted((200, "<html>")), "fraud")
    report.equal("another server", got[0], 69)
    report.check("another server: says what to do", "management" in got[2], got[2])
    for nobody in (Scripted(None), "http://127.0.0.1:1"):
        got = run(nobody, "fraud")
        report.equal("nobody answers", (got[0], got[1]), (69, ""))
    report.equal("an address that is none", run("fraud:8002", "fraud")[0], 64)
    for words in ("", "fraud explode", "fraud split", "fraud split v1", "fraud canary --stable v1",
                  "fraud pause --stable v1", "fraud status --revision 3", "fraud bandit v1",
                  "fraud promote a b", "fraud pause --watch", "fraud canary --nosuch 1",
                  "fraud split v1=x"):
        server = Scripted((200, release()))
        code, out, err = run(server, *words.split())
        report.equal(f"'{words}' is refused and not asked", (code, out, server.asked), (64, "", []))
        report.equal(f"'{words}' is refused in one sentence", err.count("\n"), 1)
    answer = release()
    code, out, _ = run(Scripted((200, answer)), "fraud", "--json")
    report.equal("--json prints the answer", (code, json.loads(out)), (0, answer))
    code, out, _ = run(Scripted((204, "")), "fraud", "remove")
    report.equal("removed, without a word of the server's", (code, out),
                 (0, "fraud has no release any more\n"))


def watching(report):
    for state, code in (("promoted", 0), ("rolled_back", 1), ("inconclusive", 1)):
        server = Scripted((200, release()), (200, release("paused")), (200, release(state)))
        got, out, _ = run(server, "fraud", "status", "--watch")
        report.equal(f"watch until {state}: exit code", got, code)
        report.equal(f"watch until {state}: frames", out.count("DECISIONS"), 3)
        report.check(f"watch until {state}: an empty line after each", out.endswith("first\n\n"),
                     out)
        report.check(f"watch until {state}: no control characters", "\x1b" not in out, out)
    server = Scripted((200, release()), (200, {"policy": "none", "state": "running"}))
    report.equal("watch until there is none", run(server, "fraud", "--watch")[0], 1)
    # One that is started anew is waited for, one that never was there is not.
    server = Scripted((200, release()), None, (503, {}), (200, release("promoted")))
    report.equal("watch over a restart", run(server, "fraud", "--watch")[0], 0)
    report.equal("watch of nobody", run(Scripted(None), "fraud", "--watch")[0], 69)
    server = Scripted((200, release()), (404, {"error": {"message": "no such model"}}))
    report.equal("watch of what has gone", run(server, "fraud", "--watch")[0], 65)
    server = Scripted((200, release()), (200, release("promoted")))
    code, out, _ = run(server, "fraud", "--watch", "--json")
    report.equal("watch --json: a line each",
                 (code, [json.loads(line)["state"] for line in out.splitlines()]),
                 (0, ["running", "promoted"]))


def interrupted(report):
    """On a terminal: drawn over and over, until Ctrl-C."""
    server = Scripted((200, release()))
    ours, theirs = pty.openpty()
    process = start(server, "fraud", "--watch", stdout=theirs, stderr=theirs)
    os.close(theirs)
    until = time.monotonic() + WITHIN
    while len(server.asked) < 3 and time.monotonic() < until:
        time.sleep(0.05)
    report.equal("watch on a terminal: goes on", process.poll(), None)
    process.send_signal(signal.SIGINT)
    report.equal("watch on a terminal: Ctrl-C ends it", process.wait(WITHIN), -signal.SIGINT)
    drawn = os.read(ours, 1 << 16).decode()
    os.close(ours)
    report.equal("watch on a terminal: cleared once", drawn.count("\x1b[2J"), 1)
    report.check("watch on a terminal: drawn over", drawn.count("\x1b[H") >= 2, repr(drawn))


def main():
    Report("release_command").run(questions, shadows, endings, watching, interrupted)


if __name__ == "__main__":
    main()
