#!/usr/bin/python3
# takes: 45 s
"""Canaries under load: a good one is promoted, a bad one is taken back, each without a hand; what
is evidence, and what is none. How soon: release_canary_soon.py."""

import shutil
import subprocess
import time

from lib import oip
from lib.canary import (BAD, CANARY, GOOD, Tried, explained, load_after, nobody_after, some_bad)
from lib.folder import Folder, wait_until
from lib.release import (Control, Load, Pipe, by_time, code, decision, request, versions, words)
from lib.server import BINARY, MODELS, Report, golden

def real_models(report):
    """breast_cancer: v1 is ONNX, v2 XGBoost; promoted under real load, and back at once."""
    rows = golden("breast_cancer.v1")
    bodies = [request("breast_cancer", row["features"]) for row in rows]
    with Folder() as folder:
        shutil.copytree(MODELS / "breast_cancer", folder.path / "breast_cancer")
        server = folder.serve()
        control = Control(server, "breast_cancer")
        with Load(server, lambda n: bodies[n % len(bodies)]) as load:
            status, _ = control.put({**CANARY, "start": 10, "step": 45, "interval": "200ms"})
            report.equal("started", status, 200)
            done = wait_until(lambda: control.get()["state"] == "promoted", 60)
            time.sleep(0.3)
        status = control.get()
        report.check("it is promoted", done is not None, status["summary"])
        report.check("no request failed", load.answers and not load.failed(), load.failed()[:3])
        report.equal("step by step", words(status), ["start", "step", "step", "promote"])
        shares = [round(entry["weights"]["v2"], 6) for entry in by_time(status["history"])]
        report.equal("the shares", shares, [0.1, 0.55, 1.0, 1.0])
        explained(report, "healthy", status)
        print("  " + decision(status, "promote")["reason"])
        report.equal("everybody has it", set(versions(server, bodies[:200])), {"v2"})
        report.equal("stable stays loaded", folder.state("breast_cancer", "v1"), "ready")
        loads = len(folder.log_lines("breast_cancer", "v1", "is ready"))
        report.equal("back by hand", control.act("rollback")[0], 200)
        report.equal("at once", set(versions(server, bodies[:200])), {"v1"})
        report.equal("nothing was loaded for it",
                     len(folder.log_lines("breast_cancer", "v1", "is ready")), loads)
        report.equal("and it is told", words(control.get())[-1], "rollback")


def promoted_everywhere(report):
    """The promoted version answers wherever no version is named."""
    with Tried() as folder:
        folder.start(canary="v4")
        report.equal("promoted", folder.control.act("promote", version="v4")[0], 200)
        rest, row = oip.Rest(folder.server), [oip.Tensor("x", "FP32", [1, 2], GOOD)]
        report.equal("simple", set(versions(folder.server, [request()] * 100)), {"v4"})
        report.equal("OIP", rest.infer("/v2/models/m", row)["y"].values, [4000.5])
        report.equal("users", set(versions(folder.server, [
            request(user_id=f"u{i}") for i in range(200)])), {"v4"})
        status = folder.control.get()
        report.equal("status", (status["state"], status["weights"]),
                     ("promoted", {"v1": 0.0, "v4": 1.0}))


def stable_is_kept(report):
    """Stable stays loaded for the way back, also where it would not be without the release."""
    for yaml in ("versions: {latest: 1}\n", "loading: lazy\n", "loading: {ttl: 1s}\n"):
        with Tried(yaml) as folder:
            folder.start(canary="v4")
            report.equal(f"{yaml}: promoted", folder.control.act("promote")[0], 200)
            with Load(folder.server, lambda n: request(), pause=0.02) as load:
                time.sleep(3)
                report.equal(f"{yaml}: stable is still loaded", folder.state("m", "v1"), "ready")
                report.equal(f"{yaml}: back", folder.control.act("rollback")[0], 200)
                report.equal(f"{yaml}: at once",
                             set(versions(folder.server, [request()] * 50)), {"v1"})
            report.check(f"{yaml}: no request failed", load.answers and not load.failed(),
                         load.failed()[:3])


def steps_keep_users(report):
    """Who has the canary keeps it at every step."""
    users = [request(user_id=f"u{i}") for i in range(1500)]
    with Tried() as folder:
        folder.start(canary="v4", start=10, step=20, target=95, interval="300ms")
        had, shares = set(), []
        while len(shares) < 6 and folder.standing() == "running":
            status = folder.control.act("pause")[0]
            if status == 409 and folder.standing() == "promoted":
                break  # since it was seen running
            report.equal("paused", status, 200)
            share = folder.control.get()["weights"]["v4"]
            now = {i for i, name in enumerate(versions(folder.server, users)) if name == "v4"}
            report.check(f"at {share}: nobody is taken out of it", had <= now, len(had - now))
            report.check(f"at {share}: as many as it should have",
                         abs(len(now) - share * 1500) < 5 * (1500 * share * (1 - share)) ** 0.5,
                         len(now))
            had, shares = now, [*shares, share]
            folder.control.act("resume")
            wait_until(lambda: folder.control.get()["weights"]["v4"] != share, 3)
        report.check("several steps", len(set(shares)) >= 4, shares)


def bad_canary(report):
    for what, make, more in (
            ("5 % fail", some_bad, {}),
            ("5 % fail, seed", some_bad, {"analysis": "seed"}),
            ("5 % fail, a tenth of the traffic", some_bad, {"start": 10}),
            ("all fail", lambda n: request(features=BAD), {"start": 5}),
            ("5 % fail, of users", lambda n: request(features=BAD if n % 20 == 7 else GOOD,
                                                     user_id=f"u{n}"), {}),
            ("at a later step", some_bad, {"start": 5, "interval": "50ms", "step": 20})):
        with Tried() as folder:
            folder.start(**{"start": 50, "interval": "60s", **more})
            with Load(folder.server, make) as load:
                back = folder.reaches("rolled_back")
                time.sleep(0.6)
                load_after(folder.control, load)
            status = folder.control.get()
            report.check(f"{what}: rolled back without a hand", back, status["summary"])
            if not back:
                continue
            entry = decision(status, "rollback")
            report.equal(f"{what}: by the judge", entry["by"], "judge")
            report.equal(f"{what}: stable has everything", status["weights"],
                         {"v1": 1.0, "v2": 0.0})
            report.check(f"{what}: it had answered or failed", load.of("v2") or load.failed())
            nobody_after(report, what, load, entry, "v2")
            explained(report, what, status)
            print(f"  {what}: {entry['reason']}")
            report.check(f"{what}: it stays so", words(status)[-1] == "rollback" and
                         set(versions(folder.server, [request()] * 200)) == {"v1"}, words(status))


def slow_canary(report):
    with Tried() as folder:
        folder.start(canary="v3", start=50, interval="60s")
        with Load(folder.server, lambda n: request(), connections=1, pause=0.001) as load:
            back = folder.reaches("rolled_back", 60)
            time.sleep(0.6)
            load_after(folder.control, load)
        status = folder.control.get()
        report.check("rolled back", back, status["summary"])
        if not back:
            return
        entry = decision(status, "rollback")
        report.check("for its latency", "slow" in entry["reason"] and "p95" in entry["reason"],
                     entry["reason"])
        print(f"  {entry['reason']}")
        nobody_after(report, "slow", load, entry, "v3")


def all_together(server, requests):
    """Each on a connection of its own: the statuses."""
    pipes = [Pipe(server) for _ in requests]
    for pipe, each in zip(pipes, requests):
        pipe.send([each])
    out = [pipe.receive()[0] for pipe in pipes]
    for pipe in pipes:
        pipe.socket.close()
    return out


def slow_within_a_millisecond(report):
    """What is slower by less than a millisecond is so only where that matters."""
    with Tried() as folder:
        folder.start(canary="v6", start=50, interval="60s", latency_slack="0ms")
        with Load(folder.server, lambda n: request(), connections=1, pause=0.001):
            back = folder.reaches("rolled_back", 20)
        arms = folder.control.get()["arms"]
        told = {name: (arm["requests"], arm["p50"], arm["p95"]) for name, arm in arms.items()}
        # By the median: the slowest of few hundred wait for a processor, whichever version they ask.
        report.check("it is slower than it may be", told["v6"][1] > 2 * told["v1"][1], told)
        report.check("rolled back", back, f"(requests, p50, p95 in ms): {told}; "
                     f"{folder.control.get()['summary']['verdict_reason']}")


def bad_answers(report):
    """Answers that are there, and wrong: not finite, or not what turned out to be true."""
    def rooted(n):
        return request(features=(0.5, -1 if n % 10 == 7 else 0))

    def labelled(n):
        return request(features=GOOD, true_label=code("v1") + 0.5)

    for what, canary, make, word in (("NaN", "v5", rooted, "finite"),
                                     ("true_label", "v4", labelled, "wrong")):
        with Tried() as folder:
            folder.start(canary=canary, start=30, interval="60s")
            with Load(folder.server, make) as load:
                back = folder.reaches("rolled_back")
                time.sleep(0.6)
                load_after(folder.control, load)
            status = folder.control.get()
            report.check(f"{what}: rolled back", back, status["summary"])
            report.check(f"{what}: no request failed", not load.failed(), load.failed()[:3])
            if back:
                entry = decision(status, "rollback")
                print(f"  {entry['reason']}")
                report.check(f"{what}: the reason", word in entry["reason"], entry["reason"])
                nobody_after(report, what, load, entry, canary)


def no_evidence(report):
    """Clients' mistakes, what there was no room or time for, and versions that were asked for by
    name say nothing of the canary, even where only its users make them."""
    with Tried("batching: {policy: wait, max_wait: 10ms, max_queue: 2}\n") as folder:
        folder.start(start=50, interval="60s")
        with Pipe(folder.server) as pipe:
            users = [f"u{i}" for i in range(100)]
            answers = [pipe.ask([request(user_id=user)])[0][1] for user in users]
            his = [user for user, body in zip(users, answers) if body["model_version"] == "v2"]
            wait_until(lambda: sum(arm["requests"] for arm in
                                   folder.control.get()["arms"].values()) == len(users), 5)
            before = folder.control.get()["arms"]
            kinds = {
                400: [request(features=(1, 2, 3), user_id=user) for user in his],
                504: [request(user_id=user, headers={"X-Request-Timeout-Ms": 0}) for user in his]}
            for expected, requests in kinds.items():
                got = [pipe.ask([each])[0][0] for each in requests]
                report.equal(f"the answers: {expected}", set(got), {expected})
            shed = all_together(folder.server, [request(user_id=user) for user in his])
            report.check("some find the queue full", set(shed) == {200, 503},
                         {each: shed.count(each) for each in set(shed)})
            named = [request(features=BAD, headers={"X-Sluice-Version": "v2"})] * 50
            got = [status for status, _ in pipe.ask(named)]
            report.check("named, it fails", 500 in got, set(got))
        time.sleep(0.3)
        status = folder.control.get()
        after = status["arms"]
        report.equal("it runs on", (status["state"], words(status)), ("running", ["start"]))
        report.equal("no error of the canary's", after["v2"]["errors"], 0)
        report.equal("requests are those that it had",
                     after["v2"]["requests"] - before["v2"]["requests"], shed.count(200))
        report.equal("stable has had none", after["v1"], before["v1"])
        report.check("the shed ones are counted apart",
                     after["v2"]["shed"] >= shed.count(503) + len(his), after["v2"])


def seed_analysis(report):
    """The rule of the seed: 100 predictions, then twice the errors."""
    with Tried() as folder:
        folder.start(start=50, analysis="seed", interval="60s")

        def ask(count, row):
            """Until v2 has had so many, or has none any more."""
            with Pipe(folder.server) as pipe:
                for _ in range(40):
                    if count <= 0:
                        return
                    for status, body in pipe.ask([request(features=row)] * 10):
                        count -= body.get("model_version") == "v2" or status == 500
        ask(40, BAD)
        time.sleep(0.3)
        had = folder.control.get()["arms"]["v2"]["requests"]
        report.check("below 100 nothing is decided", folder.standing() == "running" and had < 100,
                     (folder.standing(), had))
        ask(70, GOOD)
        report.check("from 100 on it is", folder.reaches("rolled_back", 5), folder.control.get())
        report.check("in its words", "twice stable's" in decision(
            folder.control.get(), "rollback")["reason"], folder.control.get()["history"])


def injected(report):
    """Faults on purpose, where the server can make them: errors, and delays."""
    text = subprocess.run([str(BINARY), "serve", "--help"], capture_output=True, text=True,
                          check=True).stdout
    if "--inject-faults" not in text:
        print("  left out: this server has no --inject-faults")
        return
    bodies = [request("breast_cancer", row["features"]) for row in golden("breast_cancer.v1")]
    for faults, word in (("errors=0.05", "fail"), ("delay=20ms", "slow"), ("nan=0.1", "finite")):
        with Folder() as folder:
            shutil.copytree(MODELS / "breast_cancer", folder.path / "breast_cancer")
            server = folder.serve("--poll", "200ms", "--inject-faults",
                                  f"breast_cancer/v2: {faults}")
            control = Control(server, "breast_cancer")
            report.equal(f"{faults}: started", control.put(
                {**CANARY, "start": 20, "interval": "60s"})[0], 200)
            with Load(server, lambda n: bodies[n % len(bodies)], connections=4) as load:
                back = wait_until(lambda: control.get()["state"] == "rolled_back", 60)
                time.sleep(0.6)
                load_after(control, load)
            status = control.get()
            report.check(f"{faults}: rolled back", back is not None, status["summary"])
            if back is not None:
                entry = decision(status, "rollback")
                print(f"  {faults}: {entry['reason']}")
                report.check(f"{faults}: the reason", word in entry["reason"], entry["reason"])
                nobody_after(report, faults, load, entry, "v2")


if __name__ == "__main__":
    Report("release_canary").run(real_models, promoted_everywhere, stable_is_kept, steps_keep_users,
                                 bad_canary, slow_canary, slow_within_a_millisecond, bad_answers,
                                 no_evidence, seed_analysis, injected)
