#!/usr/bin/python3
# takes: 80 s
"""Replicas that share their state: one decides for all, all follow at the same time, nothing counts
twice or is lost, whoever is killed, cut off or stopped."""

import http.client
import itertools
import json
import shutil
import tempfile
import threading
import time
from pathlib import Path

from lib.canary import BAD, CANARY, GOOD
from lib.fleet import Replicas
from lib.folder import wait_until
from lib.release import Control, Pipe, arms_of, decision, request, words
from lib.server import Report

SPLIT = {"policy": "split", "weights": {"v1": 0.5, "v4": 0.5}}
USERS = [f"u{i}" for i in range(300)]
HOLDS = 2  # seconds until a change is followed everywhere: one, and what a busy machine takes
# Replicas change at the same moment, each by a thread of its own.
SAME_MOMENT = 0.25


def ask(server, count, make=lambda n: request(user_id=f"u{n}")):
    """How many were answered."""
    with Pipe(server) as pipe:
        return sum(status == 200 for status, _ in pipe.ask([make(n) for n in range(count)]))


def one_decides(report):
    with Replicas() as fleet:
        leader = fleet.led()
        report.check("one of them decides", leader is not None)
        follower = (leader + 1) % 3
        status, body = fleet.control(follower).put(SPLIT)
        report.equal("a release is put at any of them", (status, body.get("state")),
                     (200, "running"))
        time.sleep(HOLDS)
        arms = [arms_of(server, USERS) for server in fleet.servers]
        report.check("users have the same version everywhere", arms[0] == arms[1] == arms[2])
        report.equal("both versions", set(arms[0].values()), {"v1", "v4"})
        report.equal("what was asked is counted once", fleet.settled(900), 900)
        def said():
            return [fleet.control(i).get() for i in range(3)]
        report.check("all say the same", wait_until(
            lambda: len({json.dumps(one["arms"]) for one in said()}) == 1, 5) is not None, said())
        seen = said()
        report.equal("the leader sees all", seen[0]["fleet"]["replicas"], 3)
        report.equal("revision", {one["revision"] for one in seen}, {body["revision"]})
        conflict = fleet.control(follower).put(SPLIT, if_match=99)
        report.equal("a conflict is one at any of them", conflict[0], 409)
        report.equal("errors come back as they are",
                     fleet.control(follower).put({"policy": "canary"})[0], 400)
        lease = fleet.lease()
        report.check("Redis knows who", not lease.startswith(b"$-1"), lease)
        fleet.servers[leader].signal()
        report.equal("the leader ends well", fleet.servers[leader].wait(), 0)
        report.check("its lease was handed on", fleet.lease() != lease, lease)
        after = fleet.led()
        report.check("another decides", after not in (None, leader))
        report.equal("nothing was lost", fleet.settled(900, at=after), 900)
        status, _ = fleet.control(after).delete()
        report.equal("removed", status, 200)
        time.sleep(HOLDS)
        left = [i for i in range(3) if i != leader]
        report.equal("the newest has everything again", set.union(
            *(set(arms_of(fleet.servers[i], USERS[:50]).values()) for i in left)), {"v4"})


def feedback_anywhere(report):
    """A reward finds its request, whichever replica answered it."""
    with Replicas() as fleet:
        fleet.led()
        status, body = fleet.control(1).put({"policy": "bandit", "arms": ["v1", "v4"],
                                             "algorithm": "thompson"})
        report.equal("a bandit", status, 200)
        time.sleep(HOLDS)
        ids = [f"r{i}" for i in range(30)]
        with Pipe(fleet.servers[0]) as pipe:
            answers = pipe.ask([request(request_id=one) for one in ids])
        report.equal("answered", {status for status, _ in answers}, {200})
        told = [post(fleet.servers[number % 3], one) for number, one in enumerate(ids)]
        report.equal("taken anywhere", {status for status, _ in told}, {200})
        report.equal("once", post(fleet.servers[1], ids[0])[0], 409)
        report.equal("an unknown one is unknown", post(fleet.servers[2], "nobody")[0], 404)
        report.check("all are counted", wait_until(
            lambda: sum(arm.get("rewards", 0) for arm in
                        fleet.control(2).get()["arms"].values()) == 30, 5) is not None)


def post(server, request_id):
    """503 says that nobody could be asked just now: then once more, as a client would."""
    tried_again = False
    until = time.monotonic() + 10
    while True:
        status, body = post_once(server, request_id)
        if status != 503 or time.monotonic() > until:
            break
        tried_again = True
        print(f"  a replica says that the others cannot be asked: {body}", flush=True)
        time.sleep(0.2)
    heard_before = tried_again and status == 409  # only the answer was lost
    return (200 if heard_before else status), body


def post_once(server, request_id):
    connection = http.client.HTTPConnection(server.http, timeout=20)
    try:
        connection.request("POST", "/feedback", json.dumps(
            {"request_id": request_id, "reward": 1}), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


class Beside(threading.Thread):
    """Runs beside a `with` block, until `ending` is set at its end."""

    def __init__(self):
        super().__init__(daemon=True)
        self.ending = threading.Event()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.ending.set()
        self.join()


class Everybody(Beside):
    """Users who ask one replica after the other, one at a time; what each of them had, in order."""

    def __init__(self, fleet, users, make=None):
        super().__init__()
        self.fleet, self.users = fleet, users
        self.make = make or (lambda user: request(user_id=user))
        self.seen = {user: [] for user in users}
        self.changed = {}  # when each had another version for the last time
        self.answered, self.failed = 0, []
        self.left_out = set()  # replicas that are not asked

    def run(self):
        pipes = {}
        for turn in itertools.count():  # each user asks another one the next time
            if self.ending.is_set():
                break
            for place, user in enumerate(self.users, turn):
                number = place % len(self.fleet.servers)
                if number in self.left_out:
                    pipes.pop(number, None)
                    continue
                try:
                    pipe = pipes.get(number) or pipes.setdefault(
                        number, Pipe(self.fleet.servers[number]))
                    (status, body), = pipe.ask([self.make(user)])
                except OSError as error:
                    pipes.pop(number, None)
                    if number not in self.left_out:
                        self.failed.append((number, repr(error)))
                    continue
                self.answered += 1
                if status != 200:
                    self.failed.append((number, status, body))
                else:
                    self.note(user, body["model_version"])
            time.sleep(0.001)

    def note(self, user, version):
        now, seen = time.monotonic(), self.seen[user]
        if seen and seen[-1] == version:
            return
        # Back for a moment: at a replica whose thread is that late.
        if len(seen) > 1 and seen[-2] == version and now - self.changed[user] < SAME_MOMENT:
            return
        seen.append(version)
        self.changed[user] = now


def steps_at_the_same_time(report):
    """Users who go from replica to replica change their version once, at a step, and not back."""
    with Replicas() as fleet:
        fleet.led()
        with Everybody(fleet, USERS[:60]) as users:
            status, _ = fleet.control(2).put({**CANARY, "canary": "v4", "start": 10, "step": 30,
                                              "interval": "1s", "min_requests": 50})
            report.equal("started", status, 200)
            done = wait_until(lambda: fleet.control(0).get()["state"] == "promoted", 30)
            time.sleep(1)
        report.check("promoted", done is not None, fleet.control(0).get()["summary"])
        report.equal("no request failed", users.failed[:3], [])
        # Before it began the newest, v4, had everything.
        back = {user: seen for user, seen in users.seen.items()
                if seen not in (["v4", "v1", "v4"], ["v4"])}
        report.equal("nobody went back and forth", back, {})


def a_start_waits_for_everybody(report):
    """A release begins when all replicas have its versions; none sends its users elsewhere."""
    with Replicas() as fleet, tempfile.TemporaryDirectory(prefix="e2e-own-") as own:
        late = (fleet.led() + 1) % 3
        fleet.servers[late].kill()
        fleet.paths[late] = Path(own) / "models"
        shutil.copytree(fleet.path / "m", fleet.paths[late] / "m",
                        ignore=shutil.ignore_patterns("v4"))
        fleet.begin(late)
        answers = []

        def put():
            answers.append((fleet.control(fleet.led()).put(SPLIT)[0], time.monotonic()))
        asking = threading.Thread(target=put)
        asking.start()
        time.sleep(1.5)
        report.equal("nobody has begun", answers, [])
        there = time.monotonic()
        shutil.copytree(fleet.path / "m/v4", fleet.paths[late] / "m/v4")
        asking.join()
        report.equal("then it begins", answers[0][0], 200)
        report.check("when all have it", answers[0][1] > there)
        time.sleep(HOLDS)
        arms = [arms_of(server, USERS) for server in fleet.servers]
        report.check("users have the same version everywhere", arms[0] == arms[1] == arms[2])
        report.equal("all are counted", fleet.settled(900), 900)


def a_bad_canary(report):
    with Replicas() as fleet:
        fleet.led()
        status, _ = fleet.control(0).put({**CANARY, "start": 50, "interval": "60s"})
        report.equal("started", status, 200)
        time.sleep(HOLDS)
        rows = {user: BAD if i % 5 == 0 else GOOD for i, user in enumerate(USERS)}
        with Everybody(fleet, USERS, lambda user: request(user_id=user, features=rows[user])
                       ) as users:
            back = wait_until(lambda: fleet.control(1).get()["state"] == "rolled_back", 30)
            everywhere = wait_until(lambda: all(
                set(arms_of(server, USERS[:40]).values()) == {"v1"} for server in fleet.servers),
                10)
        report.check("taken back", back is not None, fleet.control(1).get()["summary"])
        report.check("everywhere within two seconds", everywhere is not None and everywhere < 2,
                     everywhere)
        history = fleet.control(2).get()
        report.equal("decided once", words(history).count("rollback"), 1)
        report.equal("by the judge", decision(history, "rollback")["by"], "judge")
        back_and_forth = {user: seen for user, seen in users.seen.items() if len(seen) > 2}
        report.equal("nobody went back and forth", back_and_forth, {})


def a_leader_is_killed(report):
    with Replicas() as fleet:
        leader = fleet.led()
        report.equal("started", fleet.control(0).put(SPLIT)[0], 200)
        time.sleep(HOLDS)
        asked = sum(ask(server, 200) for server in fleet.servers)
        report.equal("all have said it", fleet.settled(asked, at=leader), asked)
        fleet.servers[leader].kill()
        others = [i for i in range(3) if i != leader]
        asked += sum(ask(fleet.servers[i], 100) for i in others)
        after = fleet.led(15)
        report.check("another decides", after in others, after)
        report.equal("nothing is lost or counts twice", fleet.settled(asked, at=after), asked)
        fleet.begin(leader)
        arms = [arms_of(server, USERS) for server in fleet.servers]
        report.check("one that comes back follows", arms[0] == arms[1] == arms[2])


def redis_ends(report):
    with Replicas() as fleet:
        fleet.led()
        report.equal("started", fleet.control(0).put(SPLIT)[0], 200)
        time.sleep(HOLDS)
        before = arms_of(fleet.servers[0], USERS)
        asked = 300 + sum(ask(server, 100) for server in fleet.servers)
        report.equal("counted", fleet.settled(asked), asked)
        with Everybody(fleet, USERS[:50]) as users:
            fleet.redis.kill()
            time.sleep(2.5)
            report.equal("whoever asks for a change hears of it",
                         Control(fleet.servers[1]).act("promote", version="v4")[0], 503)
            status = fleet.control(1).get()
            report.equal("its status is what is known", (status["state"],
                                                         status["fleet"]["connected"]),
                         ("running", False))
            report.equal("users go where they went", arms_of(fleet.servers[2], USERS), before)
            asked += 300
            fleet.redis.start()
            report.check("one decides again", fleet.led(15) is not None)
        asked += users.answered
        report.equal("no request failed", users.failed[:3], [])
        report.equal("nobody moved", {u: s for u, s in users.seen.items() if len(s) > 1}, {})
        report.equal("counted exactly", fleet.settled(asked), asked)


def redis_forgets(report):
    """Its data is lost: the replicas know what they follow, and store it again."""
    with Replicas() as fleet:
        fleet.led()
        report.equal("started", fleet.control(0).put(SPLIT)[0], 200)
        time.sleep(HOLDS)
        before = arms_of(fleet.servers[0], USERS)
        report.equal("counted", fleet.settled(300), 300)
        fleet.redis.call(["FLUSHALL"])
        report.check("it is stored again", wait_until(
            lambda: "kept" in words(fleet.control(1).get()), 10) is not None,
            fleet.control(1).get()["history"])
        arms = [arms_of(server, USERS) for server in fleet.servers]
        report.check("users stay", arms[0] == arms[1] == arms[2] == before)
        report.equal("the leader's count goes on", fleet.settled(1200), 1200)

        # The same while users ask. What was on its way then is lost, and nothing that comes later.
        with Everybody(fleet, USERS[:50]) as users:
            time.sleep(2)
            fleet.redis.call(["FLUSHALL"])
            time.sleep(2)
        report.equal("nobody notices", users.failed, [])
        time.sleep(1.5)
        counted = fleet.settled(0)
        report.check("most are counted", counted > 1200 + users.answered / 3,
                     (counted, users.answered))
        arms_of(fleet.servers[1], USERS)
        arms_of(fleet.servers[2], USERS)
        report.equal("all that comes later is counted", fleet.settled(counted + 600), counted + 600)


def a_leader_dies_while_it_removes(report):
    """The store has the release as removed, and nobody was told."""
    with Replicas() as fleet:
        leader = fleet.led()
        status, body = fleet.control(leader).put(SPLIT)
        report.equal("started", (status, body.get("revision")), (200, 1))
        time.sleep(HOLDS)
        fleet.redis.call(["HINCRBY", "sluice:{state}:revisions:release", "m", 1],
                         ["HSET", "sluice:{state}:documents:release", "m",
                          '2 {"removed":true,"declared":""}'])
        fleet.servers[leader].kill()
        after = fleet.led(15)
        report.check("another decides", after not in (None, leader), after)
        told = fleet.control(after).get()
        report.equal("it is removed", (told["policy"], told["revision"]), ("none", 2))
        time.sleep(HOLDS)
        left = [i for i in range(3) if i != leader]
        report.equal("everywhere", set.union(
            *(set(arms_of(fleet.servers[i], USERS[:50]).values()) for i in left)), {"v4"})
        status, body = fleet.control(after).put(SPLIT)
        report.equal("another begins", (status, body.get("revision")), (200, 3))


COPY = """
for _, key in ipairs(redis.call('KEYS', ARGV[2] .. '*')) do redis.call('DEL', key) end
for _, key in ipairs(redis.call('KEYS', ARGV[1] .. '*')) do
  redis.call('RESTORE', ARGV[2] .. string.sub(key, #ARGV[1] + 1), 0, redis.call('DUMP', key))
end
return 'copied'
"""


def redis_is_behind(report):
    """A failover to a copy that lacks the newest: what was answered holds all the same."""
    with Replicas() as fleet:
        fleet.led()
        status, _ = fleet.control(0).put({**CANARY, "start": 50, "interval": "60s"})
        report.equal("started", status, 200)
        time.sleep(HOLDS)

        def copy(one, other):
            reply = fleet.redis.call(["EVAL", COPY, 0, one, other])
            report.check("copied", b"copied" in reply, reply)
        copy("sluice:{state}:", "behind:{state}:")
        report.equal("taken back", fleet.control(1).act("rollback")[0], 200)
        time.sleep(HOLDS)
        copy("behind:{state}:", "sluice:{state}:")
        report.check("it is stored again", wait_until(
            lambda: "kept" in words(fleet.control(1).get()), 10) is not None,
            fleet.control(1).get()["history"])
        report.equal("it stays taken back", fleet.control(2).get()["state"], "rolled_back")
        time.sleep(HOLDS)
        report.equal("everywhere", set.union(
            *(set(arms_of(server, USERS[:50]).values()) for server in fleet.servers)), {"v1"})


def one_is_cut_off(report):
    with Replicas() as fleet:
        leader = fleet.led()
        cut = (leader + 1) % 3
        status, _ = fleet.control(0).put({**CANARY, "canary": "v4", "start": 20, "step": 20,
                                          "interval": "2500ms", "min_requests": 50})
        report.equal("started", status, 200)
        time.sleep(HOLDS)

        def share():
            return round(fleet.control(leader).get()["weights"]["v4"], 6)
        with Everybody(fleet, USERS[:50]) as users:
            wait_until(lambda: share() == 0.4, 10)
            time.sleep(1.2)  # it holds, and all have heard of it
            fleet.ways[cut].cut()
            time.sleep(2)
            before = share()
            time.sleep(3)
            report.equal("one step, and no more while one does not hear of it",
                         (before, share()), (0.4, 0.4))
            report.equal("it still answers", ask(fleet.servers[cut], 20), 20)
            fleet.ways[cut].mend()
            report.check("then it goes on", wait_until(
                lambda: fleet.control(leader).get()["state"] == "promoted", 20) is not None,
                fleet.control(leader).get()["summary"])
            time.sleep(HOLDS)
        report.equal("no request failed", users.failed[:3], [])
        back = {user: seen for user, seen in users.seen.items() if len(seen) > 2}
        report.equal("nobody went back and forth", back, {})
        asked = users.answered + 20
        report.equal("counted exactly", fleet.settled(asked, at=leader), asked)


class Stalls(Beside):
    """How long this process got no processor, at most."""

    def __init__(self):
        super().__init__()
        self.longest = 0

    def run(self):
        before = time.monotonic()
        while not self.ending.wait(0.01):
            now = time.monotonic()
            self.longest, before = max(self.longest, now - before), now


def cut_off_before_a_step(report):
    """A step that one does not hear of, since it was cut off a moment before, is put off. That has
    to be said within 0.4 s, so that a machine that stood still tries again."""
    for _ in range(3):
        with Stalls() as stalls:
            failed, back, decided, same = cut_before_a_step(report)
        if not back or stalls.longest < 0.2:
            break
        print(f"  the machine stood still for {stalls.longest:.2f} s: once more", flush=True)
    report.equal("no request failed", failed[:3], [])
    report.equal(f"nobody went back and forth (decided {decided})", back, {})
    report.check("all follow in the end", same)


def cut_before_a_step(report):
    with Replicas() as fleet:
        leader = fleet.led()
        cut = (leader + 1) % 3
        status, _ = fleet.control(0).put({**CANARY, "canary": "v4", "start": 20, "step": 20,
                                          "target": 60, "interval": "2500ms", "min_requests": 50})
        report.equal("started", status, 200)
        time.sleep(HOLDS)

        def share():
            return round(fleet.control(leader).get()["weights"]["v4"], 6)
        with Everybody(fleet, USERS[:50]) as users:
            wait_until(lambda: share() == 0.4, 10, every=0.01)
            time.sleep(2.3)  # 0.2 s before the next
            fleet.ways[cut].cut()
            decided = wait_until(lambda: share() == 0.6, 3)
            time.sleep(3)
            fleet.ways[cut].mend()
            time.sleep(3)
        back = {user: seen for user, seen in users.seen.items() if len(seen) > 2}
        arms = [arms_of(server, USERS) for server in fleet.servers]
        return users.failed, back, decided, arms[0] == arms[1] == arms[2]


def answers_get_lost(report):
    """A replica that does not hear that it was heard says it again; it counts once."""
    with Replicas() as fleet:
        leader = fleet.led()
        deaf = (leader + 1) % 3
        report.equal("started", fleet.control(0).put(SPLIT)[0], 200)
        time.sleep(HOLDS)
        asked = 0
        for _ in range(3):
            fleet.ways[deaf].deaf = True
            asked += ask(fleet.servers[deaf], 100)
            time.sleep(1)
            fleet.ways[deaf].cut()
            fleet.ways[deaf].mend()
            asked += ask(fleet.servers[deaf], 50)
            time.sleep(0.5)
        report.equal("counted exactly", fleet.settled(asked, at=leader), asked)
        time.sleep(0.5)
        report.equal("and not twice", fleet.settled(asked, at=leader), asked)


if __name__ == "__main__":
    Report("fleet").run(one_decides, feedback_anywhere, steps_at_the_same_time,
                        a_start_waits_for_everybody, a_bad_canary,
                        a_leader_is_killed, redis_ends, redis_forgets,
                        a_leader_dies_while_it_removes, redis_is_behind, one_is_cut_off,
                        cut_off_before_a_step, answers_get_lost)
