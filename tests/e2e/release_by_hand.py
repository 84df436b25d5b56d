#!/usr/bin/python3
"""What people may do to a canary, in every order; one that is paused, and one that nobody knows
enough of."""

import time

from lib.canary import CANARY, Tried, explained, some_bad
from lib.folder import wait_until
from lib.release import Load, at_once, message, request, words
from lib.server import Report

# What is done (by hand, in this order), what must be answered, and the state after it.
ORDERS = (
    ("resume", 409, "running"), ("pause", 200, "paused"), ("pause", 409, "paused"),
    ("promote", 409, "paused"), ("resume", 200, "running"), ("resume", 409, "running"),
    ("pause", 200, "paused"), ("rollback", 200, "rolled_back"),
    ("rollback", 409, "rolled_back"), ("promote", 409, "rolled_back"),
    ("resume", 409, "rolled_back"), ("pause", 409, "rolled_back"), ("start", 200, "running"),
    ("promote", 200, "promoted"), ("promote", 409, "promoted"), ("pause", 409, "promoted"),
    ("resume", 409, "promoted"), ("rollback", 200, "rolled_back"),
    ("promote", 409, "rolled_back"))
SHARES = {"running": 0.05, "paused": 0.05, "rolled_back": 0.0, "promoted": 1.0}


def by_hand(report):
    with Tried() as folder:
        control = folder.control
        folder.start()
        for i, (word, expected, state) in enumerate(ORDERS):
            before = control.get()
            answer = control.put(CANARY) if word == "start" else control.act(word)
            what = f"{i}: {word} of one that is {before['state']}"
            report.equal(what, answer[0], expected)
            after = control.get()
            report.equal(f"{what}: the state", (after["state"], after["weights"]["v2"]),
                         (state, SHARES[state]))
            if expected == 409:
                report.check(f"{what}: it is said why", before["state"].replace("_", " ") in
                             message(answer)[1].replace("_", " "), answer)
                report.equal(f"{what}: nothing has changed",
                             (after["revision"], after["history"]),
                             (before["revision"], before["history"]))
            else:
                report.check(f"{what}: a decision more",
                             len(after["history"]) == len(before["history"]) + 1 and
                             after["revision"] > before["revision"], after["history"])
        explained(report, "by hand", control.get())
        folder.start()
        report.equal("promoting stable", control.act("promote", version="v1")[0], 400)
        report.equal("promoting a stranger", control.act("promote", version="v9")[0], 400)
        answers = at_once(*[lambda: control.act("pause")] * 4)
        report.equal("four pauses at once: one is the first",
                     sorted(status for status, _ in answers), [200, 409, 409, 409])
        mistakes(report, control)


def mistakes(report, control):
    before = control.get()
    for what, more, expected in (
            ("no canary", {"canary": ""}, 400), ("no stable", {"stable": ""}, 400),
            ("the same twice", {"canary": "v1"}, 400), ("unknown canary", {"canary": "v9"}, 404),
            ("unknown stable", {"stable": "v9"}, 404),
            ("target below start", {"start": 50, "target": 10}, 400),
            ("start of 0", {"start": 0}, 400), ("start of 100", {"start": 100}, 400),
            ("a negative step", {"step": -1}, 400), ("a target of 101", {"target": 101}, 400),
            ("no interval", {"interval": "soon"}, 400), ("alpha of 0", {"alpha": 0}, 400),
            ("alpha of 2", {"alpha": 2}, 400), ("a ratio below 1", {"max_p95_ratio": 0.5}, 400),
            ("no requests", {"min_requests": 0}, 400), ("analysis", {"analysis": "magic"}, 400),
            ("unknown key", {"intervall": "1s"}, 400), ("a shadow that answers",
                                                        {"shadow": ["v2"]}, 400)):
        status, text = message(control.put({**CANARY, **more}))
        report.check(f"{what}: {expected} with a reason", status == expected and text,
                     (status, text))
    report.equal("nothing has changed", control.get(), before)


def paused(report):
    """Time passes by one that is paused; it is taken back all the same when it does harm."""
    with Tried() as folder:
        folder.start(start=30, step=30, interval="100ms")
        report.equal("paused", folder.control.act("pause")[0], 200)
        weights = folder.control.get()["weights"]
        with Load(folder.server, lambda n: request()):
            time.sleep(0.8)
        report.equal("the weights stay", folder.control.get()["weights"], weights)
        with Load(folder.server, some_bad):
            report.check("rolled back while paused", folder.reaches("rolled_back"),
                         folder.control.get())


def not_without_evidence(report):
    """One that holds its target without traffic is not promoted."""
    with Tried() as folder:
        folder.start(canary="v4", start=50, target=50, interval="100ms")
        time.sleep(1)
        status = folder.control.get()
        report.equal("it waits", (status["state"], status["weights"]["v4"], words(status)),
                     ("running", 0.5, ["start"]))
        with Load(folder.server, lambda n: request()):
            report.check("promoted once there is", folder.reaches("promoted"),
                         folder.control.get()["summary"])


def inconclusive(report):
    with Tried() as folder:
        folder.start(start=50, step=50, interval="100ms", max_duration="400ms", min_requests=500)
        report.check("without traffic nobody knows", folder.reaches("inconclusive", 10),
                     folder.control.get())
        status = folder.control.get()
        report.equal("the weights stay", status["weights"], {"v1": 0.5, "v2": 0.5})
        explained(report, "inconclusive", status)
        with Load(folder.server, lambda n: request()):
            time.sleep(1)
        status = folder.control.get()
        report.equal("it is never promoted", (status["state"], status["weights"]["v2"]),
                     ("inconclusive", 0.5))
        report.equal("pausing it", folder.control.act("pause")[0], 409)
        report.equal("resumed", folder.control.act("resume")[0], 200)
        with Load(folder.server, lambda n: request()):
            report.check("with what it has seen since, it is decided",
                         wait_until(lambda: folder.standing() != "running", 20) is not None)
        report.check("resume is told", "resume" in words(folder.control.get()))
        folder.start(start=50, interval="100ms", max_duration="300ms")
        report.check("inconclusive again", folder.reaches("inconclusive", 10))
        with Load(folder.server, some_bad):
            report.check("still taken back when it does harm", folder.reaches("rolled_back"))


def only_by_the_release(report):
    """A version that model.yaml leaves out is loaded for a release and unloaded after it. The release gives
    it nothing here, so nobody ever meets it: not before the release begins, not once it is gone."""
    nothing = {"policy": "split", "weights": {"v1": 1, "v4": 0}}
    in_file = "versions: [v1]\nrelease: {policy: split, weights: {v1: 1, v4: 0}}\n"
    for what, text, times in (("by hand", "versions: [v1]\n", 5), ("of the file", in_file, 1)):
        with Tried(text) as folder:
            control = folder.control
            wait_until(lambda: text != in_file or control.get().get("source") == "file", 10)
            with Load(folder.server, lambda n: request(), pause=0) as load:
                for _ in range(times):
                    if text != in_file:
                        report.equal(f"{what}: begun", control.put(nothing)[0], 200)
                    time.sleep(0.2)
                    report.equal(f"{what}: removed", control.delete()[0], 200)
                    time.sleep(0.2)
                wait_until(lambda: len(load.answers) > 200, 20)
            report.check(f"{what}: there was load", len(load.answers) > 200, len(load.answers))
            report.equal(f"{what}: all of it had v1", len(load.of("v1")), len(load.answers))
            report.equal(f"{what}: nothing failed", load.failed()[:3], [])


if __name__ == "__main__":
    Report("release_by_hand").run(by_hand, paused, not_without_evidence, inconclusive,
                                  only_by_the_release)
