#!/usr/bin/python3
"""The versions that a release names: loaded for it, refused, lost; `release:` in model.yaml; and
changes under load."""

import json
import tempfile
import time
from collections import Counter

from lib.folder import LOOKING, Folder, wait_until
from lib.release import (Control, Load, Split, arms_of, code, decision, message, request, versions,
                         words)
from lib.server import Report

HALVES = {"policy": "split", "weights": {"v1": 0.5, "v2": 0.5}}


def put_models(folder, *names, model="m"):
    for version in names:
        folder.put(model, version, code(version))


def fails_to_load(report):
    with Folder() as folder:
        put_models(folder, "v1", "v2")
        folder.put("m", "v3", b"this is no model")
        control = Control(folder.serve())
        control.split(v1=1.0)
        before = control.get()
        status, text = message(control.put(
            {"policy": "split", "weights": {"v1": 0.5, "v3": 0.5}}))
        report.check("an arm that cannot be loaded: 409 with the reason",
                     status == 409 and "v3" in text and len(text) > 30, (status, text))
        report.check("no path is shown", folder.scratch.name not in text, text)
        status, text = message(control.put(
            {"policy": "canary", "stable": "v1", "canary": "v3"}))
        report.check("as a canary", status == 409 and "v3" in text, (status, text))
        report.equal("nothing has changed", control.get(), before)
        report.equal("it answers", folder.ask(), (200, "v1", 1000))
        folder.put("m", "v3", code("v3"))
        report.check("mended, it can be an arm", wait_until(lambda: control.put(
            {"policy": "split", "weights": {"v1": 0.5, "v3": 0.5}})[0] == 200) is not None,
            control.get())
        report.equal("both answer", set(versions(folder.server, [request()] * 100)), {"v1", "v3"})


def loaded_for_it(report):
    """Versions that are not loaded by themselves are loaded for the release, and go after it."""
    for what, yaml in (("latest: 1", "versions: {latest: 1}\n"), ("lazy", "loading: lazy\n"),
                       ("lazy and latest: 1", "loading: lazy\nversions: {latest: 1}\n")):
        with Folder() as folder:
            put_models(folder, "v1", "v2", "v3")
            folder.yaml("m", yaml)
            control = Control(folder.serve())
            report.check(f"{what}: v1 is not loaded", folder.state("m", "v1") != "ready",
                         folder.models())
            status, body = control.put(HALVES)
            report.equal(f"{what}: both are loaded for it: {body if status != 200 else ''}",
                         status, 200)
            report.equal(f"{what}: they are ready",
                         [folder.state("m", name) for name in ("v1", "v2")], ["ready"] * 2)
            report.equal(f"{what}: they answer",
                         set(versions(folder.server, [request()] * 200)), {"v1", "v2"})
            put_models(folder, "v4")
            time.sleep(1)
            report.equal(f"{what}: a newer version takes nothing from them",
                         set(versions(folder.server, [request()] * 200)), {"v1", "v2"})
            report.equal(f"{what}: removed", control.delete()[0], 200)
            # Where it is not loaded yet, an older one answers until it is.
            report.check(f"{what}: the newest answers", wait_until(
                lambda: folder.ask()[:2] == (200, "v4")) is not None, folder.ask())
            if "latest" in yaml:
                report.check(f"{what}: v1 goes", wait_until(
                    lambda: folder.state("m", "v1") != "ready") is not None, folder.models())


def removed_from_disk(report):
    """An arm whose files go away: its users get another one, and nobody fails."""
    with Folder() as folder:
        put_models(folder, "v1", "v2", "v3")
        control = Control(folder.serve())
        control.split(v1=0.4, v2=0.3, v3=0.3)
        users = [f"u{i}" for i in range(1000)]
        before = arms_of(folder.server, users)
        with Load(folder.server, lambda n: request(user_id=f"u{n % 1000}")) as load:
            folder.remove("m", "v2")
            gone = wait_until(lambda: folder.state("m", "v2") not in ("ready", "draining"))
            time.sleep(0.5)
        report.check("it goes", gone is not None, folder.models())
        report.check("no request failed", load.answers and not load.failed(), load.failed()[:3])
        after = arms_of(folder.server, users)
        report.equal("the others share what it had", set(after.values()), {"v1", "v3"})
        moved = [user for user in users if before[user] != "v2" and after[user] != before[user]]
        report.equal("nobody else moves", moved, [])
        report.equal("sticky meanwhile", arms_of(folder.server, users), after)
        put_models(folder, "v2")
        report.check("back again, everybody has his old arm", wait_until(
            lambda: folder.state("m", "v2") == "ready" and
            arms_of(folder.server, users) == before) is not None,
            Counter(arms_of(folder.server, users).values()))


def canary_removed_from_disk(report):
    with Folder() as folder:
        put_models(folder, "v1", "v2")
        control = Control(folder.serve())
        report.equal("started", control.put({"policy": "canary", "stable": "v1", "canary": "v2",
                                             "start": 50, "interval": "60s"})[0], 200)
        with Load(folder.server, lambda n: request()) as load:
            folder.remove("m", "v2")
            back = wait_until(lambda: control.get()["state"] == "rolled_back")
        report.check("it is rolled back", back is not None, control.get())
        report.check("no request failed", load.answers and not load.failed(), load.failed()[:3])
        report.equal("stable answers", folder.ask(), (200, "v1", 1000))


def settles(folder, control, expected):
    """Whether the weights become these, soon."""
    return wait_until(lambda: control.get()["weights"] == expected) is not None


def declared(report):
    """`release:` in model.yaml: the last change wins, of the file or by hand."""
    with Folder() as folder:
        put_models(folder, "v1", "v2", "v3")
        folder.yaml("m", "release: {policy: split, weights: {v1: 0.75, v2: 0.25}}\n")
        control = Control(folder.serve())
        # From the first request on, not only when somebody has looked at it.
        report.check("never the newest", "v3" not in versions(folder.server, [request()] * 50))
        report.check("declared", settles(folder, control, {"v1": 0.75, "v2": 0.25}), control.get())
        status = control.get()
        report.equal("its source", (status["source"], status["policy"]), ("file", "split"))
        users = [f"u{i}" for i in range(2000)]
        before = arms_of(folder.server, users)
        folder.yaml("m", "release: {policy: split, weights: {v1: 0.5, v2: 0.5}}\n")
        report.check("changed", settles(folder, control, {"v1": 0.5, "v2": 0.5}), control.get())
        after = arms_of(folder.server, users)
        wrong = [user for user in users if before[user] == "v2" and after[user] != "v2"]
        report.equal("nobody leaves the arm that grew", wrong, [])
        report.equal("the file's again", control.get()["source"], "file")
        overridden(report, folder, control)


def overridden(report, folder, control):
    control.split(v1=0.1, v3=0.9)
    by_hand = {"v1": 0.1, "v3": 0.9}
    report.equal("set by hand", control.get()["source"], "api")
    time.sleep(1)
    report.equal("it holds beside the file's", control.get()["weights"], by_hand)
    report.equal("removed", control.delete()[0], 200)
    report.check("what holds then is told",
                 "model.yaml" in decision(control.get(), "remove")["reason"], control.get()["history"])
    report.check("the file's comes back", settles(folder, control, {"v1": 0.5, "v2": 0.5}),
                 control.get())
    report.equal("and says so", control.get().get("source"), "file")
    report.equal("the file's is removed", control.delete()[0], 200)
    time.sleep(1)
    status = control.get()
    report.equal("it stays ended while the file says the same",
                 (status["policy"], status["weights"]), ("none", {"v3": 1.0}))
    folder.yaml("m", "release: {policy: split, weights: {v1: 0.6, v2: 0.4}}\n")
    report.check("another text begins it", settles(folder, control, {"v1": 0.6, "v2": 0.4}),
                 control.get())
    control.split(v1=0.1, v3=0.9)
    folder.yaml("m", "release: {policy: split, weights: {v1: 0.5, v2: 0.5}}\n")
    report.check("the last change wins", settles(folder, control, {"v1": 0.5, "v2": 0.5}),
                 control.get())
    folder.yaml("m", "release: {weights: {v1: 0.5, v2: 0.5}, policy: split}  # as before\n")
    time.sleep(1)
    report.equal("order and comments are no change",
                 words(control.get())[-3:], ["start", "start", "start"])
    report.equal("the revision stays", control.get()["revision"], len(control.get()["history"]))
    folder.yaml("m", "release: {policy: split, weights: {v1: 0.5, v2: 0.6}}\n")
    report.check("a mistake is reported", wait_until(
        lambda: folder.log_lines("m", "sum to 1")) is not None, folder.server.stderr()[-800:])
    report.equal("and changes nothing", control.get()["weights"], {"v1": 0.5, "v2": 0.5})
    folder.yaml("m", "release: {policy: split, weights: {v1: 0.5, v9: 0.5}}\n")
    report.check("so is a version that is not there", wait_until(
        lambda: folder.log_lines("v9")) is not None, folder.server.stderr()[-800:])
    report.equal("which changes nothing", control.get()["weights"], {"v1": 0.5, "v2": 0.5})
    report.equal("it answers", folder.ask()[0], 200)
    put_models(folder, "v9")
    report.check("once it is there, it is taken", settles(folder, control, {"v1": 0.5, "v9": 0.5}),
                 control.get())
    folder.yaml("m", "warmup: 1\n")
    report.check("without a release the newest answers", settles(folder, control, {"v9": 1.0}),
                 control.get())
    report.equal("really", {folder.ask()[1] for _ in range(30)}, {"v9"})


def restarted(report):
    """What was declared and what was set by hand are the same after a restart."""
    for order, told in (("as they are named", "{v1: 0.9, v2: 0.1}"),
                        ("in another order", "{v2: 0.1, v1: 0.9}")):
        with Folder() as folder, tempfile.TemporaryDirectory() as state:
            put_models(folder, "v1", "v2")
            folder.yaml("m", f"release: {{policy: split, weights: {told}}}\n")
            expected, users = {"v1": 0.9, "v2": 0.1}, [f"u{i}" for i in range(2000)]
            control = Control(folder.serve(*LOOKING, "--state-dir", state))
            report.check(f"{order}: declared", settles(folder, control, expected), control.get())
            before = arms_of(folder.server, users)
            folder.server.signal()
            report.equal(f"{order}: it ends", folder.server.wait(), 0)
            control = Control(folder.serve(*LOOKING, "--state-dir", state))
            time.sleep(0.6)
            status = control.get()
            report.equal(f"{order}: the weights after a restart", status["weights"], expected)
            report.equal(f"{order}: the source", status["source"], "file")
            after = arms_of(folder.server, users)
            report.check(f"{order}: nobody has moved", after == before,
                         f"{sum(after[u] != before[u] for u in users)} of {len(users)}")
            report.equal(f"{order}: nothing was decided", words(status), ["start"])
            control.split(v2=0.3, v1=0.7)
            before = arms_of(folder.server, users)
            folder.server.kill()
            control = Control(folder.serve(*LOOKING, "--state-dir", state))
            time.sleep(0.6)
            status = control.get()
            report.equal(f"{order}: by hand, after kill -9", (status["weights"], status["source"]),
                         ({"v1": 0.7, "v2": 0.3}, "api"))
            report.check(f"{order}: nobody has moved", arms_of(folder.server, users) == before)


def file_and_request_agree(report):
    """The same release in YAML and in JSON assigns the same people."""
    spec = '{"policy": "split", "assignment": "seed", "weights": {"v2": 0.3, "v1": 0.7}}'
    users = [f"u{i}" for i in range(2000)]
    with Split() as folder:
        report.equal("by hand", folder.control.put(spec)[0], 200)
        by_hand = arms_of(folder.server, users)
        folder.yaml("other", f"release: {spec}\n")
        report.check("declared", settles(folder, Control(folder.server, "other"),
                                         json.loads(spec)["weights"]))
        in_file = arms_of(folder.server, users, "other")
        differ = sum(by_hand[user] != in_file[user] for user in users)
        report.equal("users who have another arm", differ, 0)


def by_hand(report):
    """A split has nothing to pause; one of its versions can be promoted."""
    with Split() as folder:
        control = folder.control
        control.split(v1=0.5, v2=0.5)
        for word in ("pause", "resume", "rollback"):
            status, text = message(control.act(word))
            report.check(f"{word} of a split", status == 409 and "split" in text, (status, text))
        report.equal("promote what?", control.act("promote")[0], 400)
        report.equal("promote a version that is no arm",
                     control.act("promote", version="v3")[0], 400)
        report.equal("an unknown key", control.act("promote", versoin="v1")[0], 400)
        status, body = control.act("promote", version="v2")
        report.equal("promoted", (status, body["state"], body["weights"]),
                     (200, "promoted", {"v1": 0.0, "v2": 1.0}))
        report.equal("everybody has it", set(versions(folder.server, [request()] * 200)), {"v2"})
        report.equal("twice", control.act("promote", version="v2")[0], 409)
        report.equal("the history", words(control.get()), ["start", "promote"])


def under_load(report):
    """Weights and arms change every 20 ms: nobody fails, and only arms answer."""
    with Split() as folder:
        folder.control.split(v1=0.5, v2=0.5)

        def make(n):
            return request(user_id=f"u{n % 500}") if n % 2 else request()

        with Load(folder.server, make, connections=3) as load:
            until, turn = time.monotonic() + 5, 0
            while time.monotonic() < until:
                turn += 1
                share = turn % 11 / 10
                if turn % 3:
                    folder.control.split(v1=1 - share, v2=share)
                else:
                    folder.control.split(v1=1 - share, v2=share / 2, v3=share / 2)
                time.sleep(0.02)
        print(f"  {turn} changes, {len(load.answers)} requests")
        report.check("there was load", len(load.answers) > 1000 and turn > 20)
        report.check("no request failed", not load.failed(), load.failed()[:3])
        seen = {one.version for one in load.answers}
        report.equal("only arms answered", seen, {"v1", "v2", "v3"})
        report.check("each by its own version", all(
            one.body["prediction"] == 0.5 + code(one.version) for one in load.answers
            if one.status == 200))


if __name__ == "__main__":
    Report("release_arms").run(by_hand, under_load, fails_to_load, loaded_for_it,
                               removed_from_disk, canary_removed_from_disk, declared, restarted,
                               file_and_request_agree)
