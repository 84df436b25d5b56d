#!/usr/bin/python3
# takes: 50 s
"""What a bandit knows: kept across restarts, kill -9 and new settings; shares, users, and people's
hands."""

import random
import time

from lib.arms import ARMS, LEARNS, Arms, learn
from lib.folder import wait_until
from lib.release import Pipe, arms_of, by_time, message, request, words
from lib.server import Report

KEPT = 2.5  # seconds, after which all is on the disk


def sums(arms):
    """{arm: (how many rewards, their sum)}"""
    return {name: (arm["rewards"], round(arm["rewards"] * arm["avg_reward"], 6))
            for name, arm in arms.items()}


def tell(folder, asked, reward=1):
    """The statuses of one reward for each (request id, version)."""
    return [status for status, _ in folder.feed(
        *({"request_id": id, "reward": reward} for id, _ in asked))]


def always_v2(version):
    return int(version == "v2")


def min_share(report):
    for what, more, least in (("0.2", {"min_share": 0.2}, 0.2), ("by itself", {}, 0.01),
                              ("a third each", {"min_share": 0.33}, 0.33)):
        with Arms() as folder:
            folder.start(**more)
            learn(report, folder, what, always_v2, rounds=10)
            weights = folder.control.get()["weights"]
            report.check(f"{what}: no arm has less", min(weights.values()) >= least - 1e-9, weights)
            report.check(f"{what}: the sum is 1", abs(sum(weights.values()) - 1) < 1e-6, weights)
            count = 2000
            drawn = folder.selected(count)
            report.check(f"{what}: nor among those that are asked", min(drawn.values()) >=
                         least - 5 * (least * (1 - least) / count) ** 0.5, drawn)
            if least < 0.3:
                report.check(f"{what}: the best has the rest",
                             weights["v2"] > 0.9 * (1 - 2 * least), weights)


def sticky(report):
    """Users keep their arms while the shares allow it; without `sticky` every request is drawn."""
    users = [f"u{i}" for i in range(500)]
    with Arms() as folder:
        folder.start(sticky=True)
        time.sleep(2 * LEARNS)
        folder.control.act("pause")  # so that no share moves meanwhile
        first = arms_of(folder.server, users)
        report.equal("all arms are met", sorted(set(first.values())), ARMS)
        report.equal("the same again", arms_of(folder.server, users), first)
        report.equal("resumed", folder.control.act("resume")[0], 200)
        for _ in range(15):
            with Pipe(folder.server) as pipe:
                answers = pipe.ask([request(user_id=user) for user in users[:100]])
            folder.feed(*({"request_id": body["request_id"],
                           "reward": always_v2(body["model_version"])} for _, body in answers))
            time.sleep(LEARNS)
        last = arms_of(folder.server, users)
        report.check("the best arm has grown", list(last.values()).count("v2") >
                     list(first.values()).count("v2"), last)
        left = [user for user in users if first[user] == "v2" and last[user] != "v2"]
        # While shares are being learned v2's may dip, and take a few users with it.
        report.check("its users have hardly moved", len(left) <= len(users) // 10, len(left))
        folder.start(sticky=False, min_share=0.3)
        drawn = {version for _, version in folder.predict(100, user_id="somebody")}
        report.equal("not sticky: one user meets all", sorted(drawn), ARMS)


def restart(report):
    """Rewards, waiting feedback and shares are the same after SIGTERM, and after kill -9 what is
    older than a second."""
    for what, end in (("SIGTERM", lambda server: (server.signal(), server.wait())),
                      ("kill -9", lambda server: (time.sleep(KEPT), server.kill()))):
        with Arms() as folder:
            folder.start()
            learn(report, folder, what, always_v2, rounds=5)
            waiting, told = folder.predict(300), folder.predict(100)
            report.equal(f"{what}: told", set(tell(folder, told)), {200})
            time.sleep(2 * LEARNS)  # the shares have settled
            before, status = folder.arms(), folder.control.get()
            end(folder.server)
            folder.begin()
            after, now = folder.arms(), folder.control.get()
            for version in ARMS:
                for key in ("count", "rewards", "avg_reward", "selection_rate", "interval",
                            "off_policy"):
                    report.equal(f"{what}: {version}'s {key} is the same",
                                 after[version].get(key), before[version].get(key))
            report.equal(f"{what}: as many are waited for", now["feedback"], status["feedback"])
            report.equal(f"{what}: the history", now["history"], status["history"])
            report.equal(f"{what}: feedback finds its request", set(tell(folder, waiting)), {200})
            report.equal(f"{what}: once", set(tell(folder, waiting)), {409})
            report.equal(f"{what}: what was told before is told", set(tell(folder, told)), {409})
            report.equal(f"{what}: all count", sum(n for n, _ in sums(folder.arms()).values()),
                         sum(n for n, _ in sums(before).values()) + len(waiting))
            best = folder.selected()
            report.check(f"{what}: the best arm still has most", best["v2"] > 0.5, best)
            end(folder.server)
            folder.begin()
            report.equal(f"{what}: not told again after a second one",
                         set(tell(folder, waiting + told)), {409})


def killed_at_once(report):
    """kill -9 without a pause: at most the last second is lost, and nothing counts twice."""
    with Arms() as folder:
        folder.start()
        old = folder.predict(200)
        tell(folder, old[:100])
        time.sleep(KEPT)
        young = folder.predict(200)
        tell(folder, young[:100])
        folder.server.kill()
        folder.begin()
        arms = folder.arms()
        rewards = sum(arm["rewards"] for arm in arms.values())
        report.check("the old rewards are there", 100 <= rewards <= 200, arms)
        report.equal("the old ones were told", set(tell(folder, old[:100])), {409})
        report.equal("the old ones can be told", set(tell(folder, old[100:])), {200})
        statuses = tell(folder, young)
        report.check("the young ones are there or unknown", set(statuses) <= {200, 404, 409},
                     statuses)
        now = sum(arm["rewards"] for arm in folder.arms().values())
        report.equal("what is taken counts once", now, rewards + 100 + statuses.count(200))
        report.check("none has two rewards", now <= 400, now)


def other_settings(report):
    """A PUT of a bandit with other settings keeps what was learned, and what is waited for."""
    with Arms() as folder:
        folder.start(algorithm="thompson")
        learn(report, folder, "before", always_v2, rounds=5)
        waiting = folder.predict(100)
        before = folder.arms()
        folder.start(algorithm="epsilon_greedy", epsilon=0.2)
        report.equal("the rewards stay", sums(folder.arms()), sums(before))
        report.equal("feedback finds its request", set(tell(folder, waiting)), {200})
        kept = sums(folder.arms())
        folder.start(arms=["v3", "v2"])
        report.equal("of the arms that are left", sums(folder.arms()),
                     {name: kept[name] for name in ("v2", "v3")})
        report.equal("removed", folder.control.delete()[0], 200)
        report.equal("no bandit", folder.control.bandit()[0], 404)
        folder.start()
        report.equal("a new one knows nothing", sums(folder.arms()),
                     {name: (0, 0) for name in ARMS})


def declared(report):
    """A bandit in model.yaml learns like one that was set by hand."""
    with Arms() as folder:
        folder.yaml("m", "release: {policy: bandit, arms: [v1, v2, v3], algorithm: ucb1}\n")
        report.check("it begins", wait_until(
            lambda: folder.control.get()["policy"] == "bandit") is not None)
        report.equal("its source", folder.control.get()["source"], "file")
        learn(report, folder, "declared", always_v2, rounds=15)
        drawn = folder.selected()
        report.check("the best arm has most", drawn["v2"] > 0.5, drawn)
        before = sums(folder.arms())
        folder.server.signal()
        report.equal("it ends", folder.server.wait(), 0)
        folder.begin()
        time.sleep(0.6)
        report.equal("it knows the same", sums(folder.arms()), before)
        report.equal("and was not begun anew", words(folder.control.get()).count("start"), 1)


def by_hand(report):
    with Arms() as folder:
        control = folder.control
        folder.start()
        report.equal("rollback of a bandit", control.act("rollback")[0], 409)
        report.equal("resume of one that runs", control.act("resume")[0], 409)
        report.equal("paused", control.act("pause")[0], 200)
        weights = control.get()["weights"]
        learn(report, folder, "paused", always_v2, rounds=5)
        report.equal("the shares stay", control.get()["weights"], weights)
        report.equal("paused twice", control.act("pause")[0], 409)
        report.equal("resumed", control.act("resume")[0], 200)
        report.check("it has learned meanwhile", folder.selected()["v2"] > 0.5, control.get())
        report.equal("promote what?", control.act("promote")[0], 400)
        report.equal("promote a stranger", control.act("promote", version="v9")[0], 400)
        report.equal("promoted", control.act("promote", version="v3")[0], 200)
        report.equal("everybody has it", folder.selected()["v3"], 1)
        status = control.get()
        report.equal("the state", (status["state"], status["weights"]["v3"]), ("promoted", 1.0))
        report.equal("the history", words(status), ["start", "pause", "resume", "promote"])
        report.check("each in a sentence", all(entry["reason"].endswith(".")
                                               for entry in by_time(status["history"])))
        status, text = message(control.act("pause"))
        report.check("nothing left to pause", status == 409 and text, (status, text))


def drifting(report):
    """Where rewards change, `discount` and the least share let the new best arm be found."""
    chance = random.Random(3)
    with Arms() as folder:
        folder.start(algorithm="epsilon_greedy", epsilon=0.3)
        learn(report, folder, "first", lambda version: int(
            chance.random() < (0.9 if version == "v1" else 0.1)), rounds=5, count=30)
        report.check("v1 at first", folder.selected()["v1"] > 0.5, folder.arms())
        learn(report, folder, "then", lambda version: int(version == "v3"), rounds=40, count=60)
        drawn = folder.selected()
        report.check("v3 in the end", drawn["v3"] > 0.5, (drawn, sums(folder.arms())))


if __name__ == "__main__":
    Report("bandit_state").run(min_share, sticky, restart, killed_at_once, other_settings, declared,
                               by_hand, drifting)
