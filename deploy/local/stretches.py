"""The stretches of a proof: in each one release holds, users ask, something is done to the fleet, and
when nothing is under way any more what clients saw is compared with what the fleet has counted.
"""

import contextlib
import datetime
import json
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from evidence import GOLDEN, Answer, Asked, Stretch, Tail, expected
from machine import MODELS, call, wait_until

MODEL = "breast_cancer"
FED_BACK = 0.2  # the part of answers that get feedback
SETTLED = 1.8  # seconds until a release that was put holds everywhere
UNSAID = 0.2  # seconds of its answers that a killed replica may not have said
BEAT = 0.1  # seconds from one beat of a replica's to the next
EVERYWHERE = 2.0  # seconds from a decision to take a version back until nobody gets it
STEP = 4  # seconds
PRESENT = 0.7  # FleetLink::kPresent, and what a beat takes on a busy machine
EARLY = "went back and forth: a replica that starts has not loaded all versions"
MISSED = "went back and forth: a replica was cut off just before a step"
# A busy machine is no reason to take a sound version back.
PATIENT = {"latency_slack": "40ms", "min_requests": 100}


def seconds_of(entry):
    """When it was decided, since 1970."""
    return datetime.datetime.fromisoformat(entry["time"].replace("Z", "+00:00")).timestamp()


class Load:
    """load.py, as long as the block lasts."""

    def __init__(self, machine, rate):
        self.log = machine.folder / "answers.log"
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("load.py")), machine.front, MODEL,
             str(GOLDEN / "breast_cancer.v1.jsonl"), str(self.log), str(rate), str(FED_BACK)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def say(self, words):
        self.process.stdin.write(words + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().strip()
        if answer != "done":
            raise RuntimeError(f"the load generator does not work: {answer!r}")

    def end(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


class Proof:
    def __init__(self, machine, report, rate):
        self.machine, self.report, self.load = machine, report, Load(machine, rate)
        self.answers = Tail(self.load.log)
        self.asked = Tail(machine.folder / "nginx/access.log")
        self.golden = expected()
        self.stable, self.former, self.newest = "v1", "v2", 2
        self.turn, self.totals, self.moves = 0, Counter(), Counter()
        self.slowest = 0.0
        self.chance = random.Random(1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.load.end()

    # --- what is done --------------------------------------------------------------------------

    def redis_is_killed(self):
        """And is back three seconds later. Meanwhile new versions are uploaded."""
        with self.stretch("redis is killed", self.split(), self.stays):
            self.upload()
            time.sleep(2)
            self.machine.redis.kill()
            time.sleep(3)
            self.machine.redis.start()
            self.report.check("redis: one decides again", self.machine.led() is not None)
            time.sleep(2)

    def replica_is_killed(self, number):
        """The one that decides, or another, in turns."""
        leader = self.machine.led()
        killed = leader if number % 2 == 0 else (leader + 1) % self.machine.count
        who = "the one that decides is killed" if killed == leader else "a follower is killed"
        with self.stretch(who, self.split(), self.stays) as seen:
            time.sleep(2)
            seen["killed"], at = self.machine.addresses[killed]["http"], time.time()
            self.machine.replicas[killed].process.kill()
            self.machine.replicas[killed].process.wait()
            seen["alive"], seen["gone"] = at, time.time() + 0.05  # of nginx, to write it down
            # First it is back before nginx asks it again, which is after five seconds; then not always.
            time.sleep(0.5 if number == 0 else self.chance.uniform(0.5, 4.5))
            self.machine.begin(killed)
            seen["ready"] = time.time()
            seen["beat"] = self.machine.last_beat(seen["gone"])
            self.report.check("killed: one decides", self.machine.led() is not None)
            time.sleep(max(3, at + 9 - time.time()))

    def rolled_out(self, number):
        """A canary of what was uploaded, through to its promotion. Meanwhile a replica cannot reach
        Redis for some seconds."""
        # One that was killed is waited for until it is held to be gone.
        all_there = wait_until(lambda: self.status()["fleet"]["replicas"] == self.machine.count, 60)
        self.report.check("rolled out: all replicas are there", all_there)
        leader, new = self.machine.led(), f"v{self.newest}"
        cut = (leader + 1 + number) % self.machine.count
        who = "the one that decides" if cut == leader else "a follower"
        release = {"policy": "canary", "stable": self.stable, "canary": new, "start": 20, "step": 40,
                   "interval": f"{STEP}s", **PATIENT}
        with self.stretch(f"a rollout, and {who} is cut off", release, self.rises) as seen:
            # First where no step comes soon, then at any time.
            self.wait_in_step(*((0.4, STEP - 1.2) if number == 0 else
                                (self.chance.uniform(0.4, STEP), 2 * STEP)))
            seen["cut"] = self.cut_off(cut, new)
            done = wait_until(lambda: self.status().get("state") == "promoted", 40)
            self.report.check("rolled out: promoted", done, self.status().get("summary"))
            time.sleep(1.5)
        self.report.equal("rolled out: to all", self.status()["weights"].get(new), 1.0)
        self.stable, self.former = new, self.stable

    def wait_in_step(self, since, until):
        """Until the canary has been at its step for so long."""
        def at():
            return since <= self.status()["summary"]["in_step_ms"] / 1000 <= until
        self.report.check("rolled out: the moment to cut one off", wait_until(at, 20))

    def cut_off(self, cut, new):
        """One replica, from Redis, for four seconds. When."""
        self.machine.ways[cut].cut()
        at = time.time()
        time.sleep(1)  # a step that was decided before it was missed holds by now
        before = self.status()["weights"][new]
        time.sleep(3)
        self.report.equal("cut off: no step while one cannot hear of it",
                          self.status()["weights"][new], before)
        self.machine.ways[cut].mend()
        return at

    def bad_one(self, bad):
        """A canary of a bad version, until it is taken back."""
        release = {"policy": "canary", "stable": self.stable, "canary": bad, "start": 30,
                   "interval": "120s", **PATIENT}
        with self.stretch(f"a bad version ({bad})", release, self.taken_back, bad) as seen:
            self.load.say("direct " + ",".join(one["http"] for one in self.machine.addresses))
            back = wait_until(lambda: self.status().get("state") == "rolled_back", 40)
            self.report.check("bad: taken back", back, self.status().get("summary"))
            time.sleep(EVERYWHERE + 1)
        self.everywhere(bad, seen["stretch"])

    def everywhere(self, bad, stretch):
        """How long the bad version still answered after the decision: at each replica, asked directly
        all the time, and through nginx."""
        decided = [entry for entry in self.status()["history"] if entry["decision"] == "rollback"][-1]
        at = seconds_of(decided)
        kinds = {f"replica {n + 1}": f"d{n}-" for n in range(self.machine.count)} | {"nginx": "p"}
        after = {name: round(stretch.last(bad, kind) - at, 3) for name, kind in kinds.items()}
        asked = {name: sum(one.kind == kind and one.sent > at for one in stretch.all)
                 for name, kind in kinds.items()}
        print(f"    {decided['reason']}")
        print("    the last request that it got, seconds after the decision: " + ", ".join(
            f"{name} {seconds:.2f} (asked {asked[name]} times since)"
            for name, seconds in after.items()), flush=True)
        self.report.check("bad: back everywhere in time",
                          all(seconds <= EVERYWHERE for seconds in after.values()), after)
        self.report.check("bad: everybody was asked", all(asked.values()), asked)
        self.slowest = max(self.slowest, *after.values())

    # --- how users may move --------------------------------------------------------------------

    def stays(self, _, versions, __):
        return "stayed" if len(versions) <= 1 else None

    def rises(self, release, versions, seen):
        stable, canary = release["stable"], release["canary"]
        if versions == [stable, canary]:
            return "moved to the new version with a step"
        # The one that decides takes a step while each replica was heard in the last half second. One
        # that was cut off since does not hear of the step: until it is back, who is moved by that step
        # goes from replica to replica and so from version to version.
        if self.missed_a_step(seen) and set(versions) == {stable, canary} and versions[0] == stable:
            return MISSED
        return self.stays(release, versions, seen)

    def missed_a_step(self, seen):
        return any(entry["decision"] == "step" and "cut" in seen and
                   0 <= seconds_of(entry) - seen["cut"] < PRESENT
                   for entry in seen["status"]["history"])

    def taken_back(self, release, versions, seen):
        if versions == [release["canary"], release["stable"]]:
            return "moved back to stable when it was taken back"
        return self.stays(release, versions, seen)

    # --- a stretch -----------------------------------------------------------------------------

    @contextlib.contextmanager
    def stretch(self, name, release, may, bad=None):
        self.put(release)
        time.sleep(SETTLED)
        base, seen = self.status(), {}
        began = time.monotonic()
        self.load.say("go")
        yield seen
        self.load.say("stop")
        took = time.monotonic() - began
        time.sleep(0.2)  # nginx writes a moment after it answers
        stretch = Stretch([Answer(json.loads(line)) for line in self.answers.lines()],
                          [Asked(line) for line in self.asked.lines()])
        seen["stretch"] = stretch
        print(f"  {name}: {took:.1f} s", flush=True)
        self.nobody_failed(stretch, bad)
        self.counted(stretch, base, bad, seen)
        self.moved(stretch, release, may, seen)

    def nobody_failed(self, stretch, bad):
        failed, wrong = stretch.failed(), stretch.wrong(self.golden, (bad,))
        self.report.check("requests were made", len(stretch.all) > 100, len(stretch.all))
        self.report.equal("no request failed", failed[:5], [])
        self.report.equal("every answer is its version's", wrong[:5], [])
        self.report.equal("no feedback failed", stretch.not_told()[:5], [])
        self.report.check("only a bad version fails", bad or not stretch.injected())
        retried = Counter(" then ".join(one.statuses) for one in stretch.retried)
        text = ", ".join(f"{count}: {statuses}" for statuses, count in retried.items())
        print(f"    {len(stretch.all)} requests, failed {len(failed)}, asked of another replica by "
              f"nginx {len(stretch.retried)}" + (f" ({text})" if text else ""), flush=True)
        self.totals.update({"requests": len(stretch.all), "failed": len(failed), "wrong": len(wrong),
                            "retried": len(stretch.retried),
                            "failed as a bad version does": len(stretch.injected())})

    def counted(self, stretch, base, bad, seen):
        given, told = stretch.given(), stretch.told()
        answered = len(stretch.all) - len(stretch.failed())
        arms = self.settled(base, answered, told["taken"])
        requests = sum(arm["requests"] for arm in arms.values())
        rewards = round(sum(arm["rewards"] for arm in arms.values()))
        lost, text = answered - requests, ""
        if "killed" in seen:
            # Where the machine was too busy for its beats, what it had answered since the last one.
            silent = max(0.0, seen["alive"] - seen["beat"])
            unsaid = len(stretch.answered_by(
                seen["killed"], seen["alive"] - max(UNSAID, silent + BEAT), seen["gone"]))
            doubled = len(stretch.retried)  # at most: the killed one may have said it as well
            early = len(self.before_ready(stretch, seen))
            self.report.check("what a killed replica had not said, and no more, is not counted",
                              -doubled <= lost <= unsaid + early, (lost, unsaid, doubled, early))
            self.report.check("feedback is unknown for what was not counted, and no more",
                              told["unknown"] <= max(0, lost + doubled), (told, lost, doubled))
            text = (f" (lost {lost}; the killed one, which had last spoken {silent:.2f} s before, had "
                    f"answered {unsaid} in its last {max(UNSAID, silent + BEAT):.2f} s, and {early} "
                    f"before it was ready again)")
        else:
            self.report.equal("each version's count is exact",
                              {name: arm["requests"] for name, arm in arms.items()},
                              {name: given[name] + (len(stretch.injected()) if name == bad else 0)
                               for name in arms})
            self.report.equal("feedback finds its request", told["unknown"], 0)
        if bad:
            self.report.equal("its failures are counted", arms[bad]["errors"],
                              len(stretch.injected()))
        if not self.report.equal("feedback counts exactly once", rewards, told["taken"]):
            print(f"    {Counter(str(one.what) for one in stretch.feedback)}")
        print(f"    answered {answered}, counted {requests}{text}; feedback taken {told['taken']}, "
              f"counted {rewards}, told again {told['told again']}, unknown {told['unknown']}",
              flush=True)
        self.totals.update({"answered": answered, "counted": requests, "feedback taken":
                            told["taken"], "feedback counted": rewards, "lost at kills": lost})

    @staticmethod
    def before_ready(stretch, seen):
        """What it answered when it was started again and had not loaded all: a version that it has not
        yet is answered by another, which then does not count. nginx does not ask whether it is ready."""
        if "killed" not in seen:
            return set()
        return stretch.answered_by(seen["killed"], seen["gone"], seen["ready"])

    def moved(self, stretch, release, may, seen):
        sequences = stretch.sequences()
        seen["status"] = self.status()
        why = {user: may(release, versions, seen) for user, versions in sequences.items()}
        for user, versions in stretch.sequences(self.before_ready(stretch, seen)).items():
            if why[user] is None and may(release, versions, seen):
                why[user] = EARLY
        back = {user: sequences[user] for user, reason in why.items() if reason is None}
        self.report.equal("nobody went back and forth", dict(list(back.items())[:5]), {})
        moves = Counter(reason or "WENT BACK AND FORTH" for reason in why.values())
        print("    users: " + ", ".join(f"{count} {reason}" for reason, count in moves.items()),
              flush=True)
        self.moves.update(moves)

    def settled(self, base, requests, rewards):
        """What each arm has counted since `base`, once all is counted or nothing comes any more."""
        def arms():
            status = self.status()
            # A release that replaced another of its kind may go on counting.
            old = base["arms"] if base["revision"] <= status["revision"] else {}
            return {name: {what: arm.get(what, 0) - old.get(name, {}).get(what, 0)
                           for what in ("requests", "errors", "rewards")}
                    for name, arm in status["arms"].items()}
        last, since = arms(), time.monotonic()
        while time.monotonic() - since < 2 and (
                sum(arm["requests"] for arm in last.values()) != requests or
                sum(arm["rewards"] for arm in last.values()) != rewards):
            time.sleep(0.1)
            now = arms()
            if now != last:
                last, since = now, time.monotonic()
        return last

    # --- the fleet's control -------------------------------------------------------------------

    def call(self, method, body=None):
        """Any replica may be asked: the next one each time, and another where it is not there or
        cannot tell."""
        for _ in range(200):
            self.turn += 1
            status, text = call(self.machine.management(self.turn % self.machine.count), method,
                                f"/api/models/{MODEL}/release", body)
            if status == 200:
                found = json.loads(text)
                if method != "GET" or found.get("fleet", {}).get("connected", True):
                    return found
            # Nobody decides at the moment, or the version has not been found yet.
            elif status not in (None, 404, 409, 503):
                raise RuntimeError(f"{method} release: {status} {text}")
            time.sleep(0.1)
        raise RuntimeError(f"{method} release: {status} {text}")

    def put(self, release):
        return self.call("PUT", release)

    def status(self):
        return self.call("GET")

    def split(self):
        return {"policy": "split", "weights": {self.stable: 0.5, self.former: 0.5}}

    def upload(self):
        """The next version, a copy of the model that now is not stable; the first time the bad ones
        too, which are copies of v1."""
        s3, onnx = self.machine.s3, "v1/model.onnx"
        if self.newest == 2:
            for version in ("v901", "v903", "v905"):
                s3.put(f"{MODEL}/{version}/model.onnx", (MODELS / MODEL / onnx).read_bytes())
        self.newest += 1
        source = onnx if self.newest % 2 else "v2/model.json"
        file = MODELS / MODEL / source
        s3.put(f"{MODEL}/v{self.newest}/{file.name}", file.read_bytes())

    def summary(self):
        print("\nIn all:")
        for what, count in self.totals.items():
            print(f"  {what:32} {count}")
        for what, count in self.moves.items():
            print(f"  users, by release: {what:45} {count} "
                  f"({100 * count / sum(self.moves.values()):.2f} %)")
        print(f"  slowest way back of a bad version: {self.slowest:.2f} s after the decision", flush=True)
