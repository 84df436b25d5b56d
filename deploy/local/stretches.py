"""The stretches of a proof: in each one release holds, users ask, something is done to the fleet, and
when nothing is under way any more what clients saw is compared with what the fleet has counted.
"""

import contextlib
import datetime
import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from evidence import GOLDEN, Answer, Asked, Stretch, Tail, expected
from machine import MODELS, call, wait_until

MODEL = "breast_cancer"
FED_BACK = 0.2  # the part of answers that get feedback
SETTLED = 0.8  # seconds until a release that was put holds everywhere
UNSAID = 0.2  # seconds of its answers that a killed replica may not have said
EVERYWHERE = 2.0  # seconds from a decision to take a version back until nobody gets it
# A busy machine is no reason to take a sound version back.
PATIENT = {"latency_slack": "40ms", "min_requests": 100}


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
            self.machine.replicas[killed].process.kill()
            self.machine.replicas[killed].process.wait()
            seen["killed"] = (self.machine.addresses[killed]["http"], time.time())
            time.sleep(3)
            self.machine.begin(killed)
            self.report.check("killed: one decides", self.machine.led() is not None)
            time.sleep(6)  # nginx asks it again after five seconds

    def rolled_out(self, number):
        """A canary of what was uploaded, through to its promotion. Meanwhile a replica cannot reach
        Redis for some seconds."""
        leader, new = self.machine.led(), f"v{self.newest}"
        cut = (leader + 1 + number) % self.machine.count
        who = "it decides" if cut == leader else "a follower"
        release = {"policy": "canary", "stable": self.stable, "canary": new, "start": 20, "step": 40,
                   "interval": "2s", **PATIENT}
        with self.stretch(f"a rollout, and one is cut off ({who})", release, self.rises):
            self.machine.ways[cut].cut()
            time.sleep(0.8)
            before = self.share(new, cut)
            time.sleep(3)
            self.report.equal("cut off: no step while one cannot hear of it", self.share(new, cut),
                              before)
            self.machine.ways[cut].mend()
            done = wait_until(lambda: self.status().get("state") == "promoted", 40)
            self.report.check("rolled out: promoted", done, self.status().get("summary"))
            time.sleep(1.5)
        self.report.equal("rolled out: to all", self.status()["weights"].get(new), 1.0)
        self.stable, self.former = new, self.stable

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
        at = datetime.datetime.fromisoformat(decided["time"].replace("Z", "+00:00")).timestamp()
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

    @staticmethod
    def stays(_, versions):
        return "stayed" if len(versions) <= 1 else None

    @staticmethod
    def rises(release, versions):
        if versions == [release["stable"], release["canary"]]:
            return "moved to the new version with a step"
        return Proof.stays(release, versions)

    @staticmethod
    def taken_back(release, versions):
        if versions == [release["canary"], release["stable"]]:
            return "moved back to stable when it was taken back"
        return Proof.stays(release, versions)

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
        self.counted(stretch, base, bad, seen.get("killed"))
        self.moved(stretch, release, may)

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

    def counted(self, stretch, base, bad, killed):
        given, told = stretch.given(), stretch.told()
        answered = len(stretch.all) - len(stretch.failed())
        arms = self.settled(base, answered, told["taken"])
        requests = sum(arm["requests"] for arm in arms.values())
        rewards = round(sum(arm["rewards"] for arm in arms.values()))
        lost, text = answered - requests, ""
        if killed:
            address, at = killed
            most = stretch.answered_by(address, at - UNSAID, at + 0.05)
            doubled = len(stretch.retried)  # at most: the killed one may have said it as well
            self.report.check("what a killed replica had not said, and no more, is not counted",
                              -doubled <= lost <= most, (lost, most, doubled))
            self.report.check("feedback is unknown for what was not counted, and no more",
                              told["unknown"] <= max(0, lost + doubled), (told, lost, doubled))
            text = f" (lost {lost}; the killed one had answered {most} in its last {UNSAID} s)"
        else:
            self.report.equal("each version's count is exact",
                              {name: arm["requests"] for name, arm in arms.items()},
                              {name: given[name] + (len(stretch.injected()) if name == bad else 0)
                               for name in arms})
            self.report.equal("feedback finds its request", told["unknown"], 0)
        if bad:
            self.report.equal("its failures are counted", arms[bad]["errors"],
                              len(stretch.injected()))
        self.report.equal("feedback counts exactly once", rewards, told["taken"])
        print(f"    answered {answered}, counted {requests}{text}; feedback taken {told['taken']}, "
              f"counted {rewards}, told again {told['told again']}, unknown {told['unknown']}",
              flush=True)
        self.totals.update({"answered": answered, "counted": requests, "feedback taken":
                            told["taken"], "feedback counted": rewards, "lost at kills": lost})

    def moved(self, stretch, release, may):
        sequences = stretch.sequences()
        why = {user: may(release, versions) for user, versions in sequences.items()}
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

    def share(self, version, cut):
        """By a replica that is not cut off."""
        number = (cut + 1) % self.machine.count
        text = call(self.machine.management(number), "GET", f"/api/models/{MODEL}/release")[1]
        return json.loads(text)["weights"][version]

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
