#!/usr/bin/python3
"""A canary whose server ends, well or badly: it goes on where it was, and no decision is lost."""

import time

from lib import tiny_onnx
from lib.canary import BAD, CANARY, GOOD
from lib.folder import LOOKING, wait_until
from lib.release import (Control, KeptFolder, Load, Pipe, by_time, code, decision, request,
                         versions, words)
from lib.server import Report

# Counters are kept every second; the rest is what a busy machine may take.
KEPT = 2.5  # seconds


class Kept(KeptFolder):
    """Model m, whose v2 fails for BAD rows, and a server with a folder for its state."""

    def fill(self):
        self.put("m", "v1", code("v1"))
        self.put("m", "v2", tiny_onnx.fragile(code("v2")))

    def end_well(self):
        self.server.signal()
        return self.server.wait()

    def start(self, **more):
        status, body = self.control.put({**CANARY, **more})
        if status != 200:
            raise RuntimeError(f"PUT release: {status} {body}")

    def ask(self, count, **more):
        with Pipe(self.server) as pipe:
            return pipe.ask([request(features=GOOD, **more)] * count)

    def settled(self):
        """The status once nothing that is asked adds to it any more."""
        last = None
        while True:
            now = self.control.get()
            seen = {name: arm["requests"] for name, arm in now["arms"].items()}
            if seen == last:
                return now
            last = seen
            time.sleep(0.1)


def has_evidence(folder):
    arm = folder.control.get()["arms"]["v2"]
    return arm["requests"] > 100 and arm["errors"] > 0


def evidence(status):
    """All that a judge goes by, and all that people see; not how long it has run."""
    out = dict(status)
    out["summary"] = {key: value for key, value in status["summary"].items()
                      if not key.endswith("_ms")}
    return out


def same(report, what, before, after):
    for key in sorted({*before, *after}):
        report.equal(f"{what}: {key} is the same", after.get(key), before.get(key))


def well(report):
    """SIGTERM in the middle: the evidence is the same, bit by bit."""
    # 3001 and 400 have no divisor in common, so that the bad rows are of ever other users.
    for what, make in (
            ("anonymous", lambda n: request(features=BAD if n % 400 == 3 else GOOD)),
            ("users", lambda n: request(features=BAD if n % 400 == 3 else GOOD,
                                        user_id=f"u{n % 3001}"))):
        with Kept() as folder:
            folder.start(start=30, interval="60s")
            with Load(folder.server, make):
                time.sleep(1.5)
                wait_until(lambda: has_evidence(folder), 30)
            before = folder.settled()
            report.check(f"{what}: there is evidence", before["arms"]["v2"]["requests"] > 100 and
                         before["arms"]["v2"]["errors"] > 0, before["arms"])
            users = [request(user_id=f"u{i}") for i in range(500)]
            report.equal(f"{what}: it ends", folder.end_well(), 0)
            folder.begin()
            after = folder.control.get()
            same(report, what, evidence(before), evidence(after))
            had = versions(folder.server, users)
            report.equal(f"{what}: it ends again", folder.end_well(), 0)
            folder.begin()
            report.check(f"{what}: everybody has his arm",
                         versions(folder.server, users) == had)
            goes_on(report, what, folder)


def under_load(report):
    """SIGTERM while requests are under way: what was answered is counted."""
    with Kept() as folder:
        folder.start(start=30, interval="60s")
        load = Load(folder.server, lambda n: request(features=GOOD))
        with load:
            time.sleep(1)
            report.equal("it ends", folder.end_well(), 0)
        answered = sum(one.status == 200 for one in load.answers)
        folder.begin()
        arms = folder.control.get()["arms"]
        counted = sum(arm["requests"] for arm in arms.values())
        # Answers that were still on their way to the client may be more, never fewer.
        report.check("all that was answered is counted", answered <= counted <= answered + 200,
                     (answered, counted))


def goes_on(report, what, folder):
    """It is still judged."""
    with Load(folder.server, lambda n: request(features=BAD if n % 10 == 3 else GOOD)):
        back = wait_until(lambda: folder.control.get()["state"] == "rolled_back", 30)
    report.check(f"{what}: it is still taken back", back is not None,
                 folder.control.get()["summary"])


def killed(report):
    """kill -9 in the middle of steps: decisions are all there, and it goes on to its promotion."""
    with Kept() as folder:
        folder.start(start=10, step=10, interval="800ms")
        for turn, seconds in enumerate((1.2, 1.5, KEPT + 1)):
            known = []  # (when, status); what the last kill has lost is not in it
            with Load(folder.server, lambda n: request(features=GOOD)):
                until = time.monotonic() + seconds
                while time.monotonic() < until:
                    status = folder.control.get()
                    known.append((time.monotonic(), status))  # it may have taken its time
                    time.sleep(0.05)
                folder.server.kill()
            now = time.monotonic()
            folder.begin()
            after = folder.control.get()
            last = known[-1][1]
            told = by_time(last["history"])
            report.equal(f"{turn}: every decision is there",
                         by_time(after["history"])[:len(told)], told)
            newest = by_time(after["history"])[-1]
            report.equal(f"{turn}: it stands where the last one put it",
                         (after["state"], after["weights"], after["revision"]),
                         (newest["state"], newest["weights"], newest["revision"]))
            kept = [status for when, status in known if when < now - KEPT]
            if kept:
                report.check(f"{turn}: no more than the last second is lost", all(
                    after["arms"][name]["requests"] >= arm["requests"]
                    for name, arm in kept[-1]["arms"].items()), (kept[-1]["arms"], after["arms"]))
            report.check(f"{turn}: there was something to keep", kept or seconds < KEPT)
        with Load(folder.server, lambda n: request(features=GOOD)) as load:
            done = wait_until(lambda: folder.control.get()["state"] == "promoted", 60)
        status = folder.control.get()
        report.check("it goes on to its promotion", done is not None, status["summary"])
        report.check("no request failed", not load.failed(), load.failed()[:3])
        shares = [round(entry["weights"]["v2"], 6) for entry in by_time(status["history"])]
        report.equal("step by step, none twice", shares,
                     [round(0.1 * i, 6) for i in range(1, 11)] + [1.0])


def counters(report):
    """What is older than a second survives kill -9; with no decision in between, all of it."""
    with Kept() as folder:
        folder.start(start=30, interval="60s")
        folder.ask(2000)
        before = folder.settled()
        time.sleep(KEPT)
        folder.server.kill()
        folder.begin()
        same(report, "kept", evidence(before), evidence(folder.control.get()))


def killed_after(report):
    """kill -9 right after a decision: it holds."""
    for what, act, state in (("promote", "promote", "promoted"), ("pause", "pause", "paused"),
                             ("rollback by hand", "rollback", "rolled_back")):
        with Kept() as folder:
            folder.start(start=20, interval="60s")
            folder.ask(300)
            report.equal(what, folder.control.act(act)[0], 200)
            folder.server.kill()
            folder.begin()
            status = folder.control.get()
            report.equal(f"{what}: it holds", (status["state"], words(status)),
                         (state, ["start", act]))
            if act == "promote":
                report.equal("the way back", folder.control.act("rollback")[0], 200)
                report.equal("works at once",
                             set(versions(folder.server, [request()] * 100)), {"v1"})
    for turn in range(5):
        with Kept() as folder:
            folder.start(start=20, interval="60s")
            with Load(folder.server, lambda n: request(features=BAD if n % 5 == 3 else GOOD)):
                back = wait_until(lambda: folder.control.get()["state"] == "rolled_back", 30, 0.001)
                folder.server.kill()
            report.check(f"{turn}: rolled back", back is not None)
            folder.begin()
            status = folder.control.get()
            report.equal(f"{turn}: still rolled back", (status["state"], status["weights"]),
                         ("rolled_back", {"v1": 1.0, "v2": 0.0}))
            report.check(f"{turn}: told why", decision(status, "rollback") and
                         decision(status, "rollback")["by"] == "judge", status["history"])
            report.equal(f"{turn}: stable answers",
                         set(versions(folder.server, [request()] * 300)), {"v1"})


def put_and_killed(report):
    """A release that was answered with 200 is there after kill -9; one that was removed is not."""
    with Kept() as folder:
        folder.start(start=20, interval="60s")
        revision = folder.control.get()["revision"]
        folder.server.kill()
        folder.begin()
        status = folder.control.get()
        report.equal("it is there", (status["policy"], status["weights"], status["revision"]),
                     ("canary", {"v1": 0.8, "v2": 0.2}, revision))
        report.equal("an old revision is still old",
                     folder.control.put(CANARY, if_match=revision - 1)[0], 409)
        report.equal("removed", folder.control.delete()[0], 200)
        folder.server.kill()
        folder.begin()
        report.equal("it is gone", folder.control.get()["policy"], "none")
        folder.start(start=20, interval="60s")
        report.check("revisions are never used twice",
                     folder.control.get()["revision"] > revision)


def declared(report):
    """A canary in model.yaml is not begun anew by a restart, only by another text."""
    text = "release: {policy: canary, stable: v1, canary: v2, start: %d, interval: 60s}\n"
    with Kept() as folder:
        folder.yaml("m", text % 20)
        report.check("it begins", wait_until(
            lambda: folder.control.get()["policy"] == "canary") is not None, folder.control.get())
        report.equal("its source", folder.control.get()["source"], "file")
        for act, state, share in (("rollback", "rolled_back", 0.0), ("promote", "promoted", 1.0)):
            report.equal(act, folder.control.act(act)[0], 200)
            for end in (folder.end_well, lambda: folder.server.kill()):
                end()
                folder.begin()
                time.sleep(0.8)
                status = folder.control.get()
                report.equal(f"{act}: it stays so", (status["state"], status["weights"]["v2"]),
                             (state, share))
            if act == "rollback":
                folder.yaml("m", text % 30)
                report.check("another text begins it anew", wait_until(
                    lambda: folder.control.get()["weights"].get("v2") == 0.3) is not None,
                    folder.control.get())
        report.equal("the history", words(folder.control.get()),
                     ["start", "rollback", "start", "promote"])
        report.equal("ended", folder.control.delete()[0], 200)
        for end in (folder.end_well, lambda: folder.server.kill()):
            end()
            folder.begin()
            time.sleep(0.8)
            report.equal("an ended one stays ended", folder.control.get()["policy"], "none")
        folder.yaml("m", text % 40)
        report.check("until the text changes", wait_until(
            lambda: folder.control.get()["weights"].get("v2") == 0.4) is not None,
            folder.control.get())


def slow_to_load(report):
    """After a restart the canary is loaded last, and late: that is no reason to take it back."""
    with Kept() as folder:
        for i in range(4):
            folder.put(f"a{i}", "v1", 7, work=60)
            folder.yaml(f"a{i}", "warmup: 2000\n")
        folder.put("m", "v3", code("v3"), work=60)
        folder.yaml("m", "warmup: 500\n")
        report.check("all is loaded", wait_until(lambda: all(
            folder.state(*each) == "ready" for each in
            (("m", "v3"), *((f"a{i}", "v1") for i in range(4)))), 60) is not None, folder.models())
        folder.start(canary="v3", start=50, interval="60s")
        before = folder.control.get()
        for what, end in (("SIGTERM", folder.end_well), ("kill -9", lambda: folder.server.kill())):
            end()
            folder.begin()
            report.check(f"{what}: it is ready", wait_until(
                lambda: folder.state("m", "v3") == "ready", 60) is not None, folder.models())
            time.sleep(0.5)
            after = folder.control.get()
            report.equal(f"{what}: it goes on",
                         (after["state"], after["weights"], words(after)),
                         (before["state"], before["weights"], ["start"]))
            report.equal(f"{what}: both answer",
                         set(versions(folder.server, [request()] * 200)), {"v1", "v3"})


def loaded_for_it(report):
    """Versions that are only loaded for the release are loaded again after a restart."""
    for yaml in ("loading: lazy\n", "versions: {latest: 1}\n"):
        with Kept() as folder:
            folder.put("m", "v3", code("v3"))
            folder.yaml("m", yaml)
            folder.begin()
            folder.start(start=50, interval="60s")
            folder.end_well()
            folder.begin()
            first = versions(folder.server, [request()] * 20)
            report.check(f"{yaml}: never another version", set(first) <= {"v1", "v2"}, first)
            report.check(f"{yaml}: both answer again", wait_until(lambda: set(versions(
                folder.server, [request()] * 100)) == {"v1", "v2"}) is not None, folder.models())
            report.equal(f"{yaml}: it goes on", folder.control.get()["state"], "running")


def gone_meanwhile(report):
    """The canary's files were removed while no server ran."""
    with Kept() as folder:
        folder.start(start=50, interval="60s")
        folder.end_well()
        folder.remove("m", "v2")
        folder.begin()
        report.check("it is taken back", wait_until(
            lambda: folder.control.get()["state"] == "rolled_back") is not None,
            folder.control.get())
        report.equal("stable answers", set(versions(folder.server, [request()] * 100)), {"v1"})


def nothing_kept(report):
    """`:memory:` says so, and keeps nothing."""
    with Kept() as folder:
        folder.control = Control(folder.serve(*LOOKING, "--state-dir", ":memory:"))
        folder.start(start=20)
        report.equal("it ends", folder.end_well(), 0)
        folder.control = Control(folder.serve(*LOOKING, "--state-dir", ":memory:"))
        report.equal("no release", folder.control.get()["policy"], "none")


if __name__ == "__main__":
    Report("release_restart").run(well, under_load, killed, counters, killed_after,
                                  put_and_killed, declared, slow_to_load, loaded_for_it,
                                  gone_meanwhile, nothing_kept)
