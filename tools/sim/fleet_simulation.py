"""Runs a fleet as Redis sees it: replicas in processes of their own, one that leads, and a watch that
measures what Redis does for them.
"""

import dataclasses
import multiprocessing
import os
import socket
import sys
import time

import shared_state
from fleet_replicas import SIMPLE, Followers, Leader
from shared_state import ROOT, Calls

sys.path.insert(0, str(ROOT / "tests/e2e"))
from lib.redis import Redis  # noqa: E402

COUNTS = shared_state.prefix() + "counts"
FORK = multiprocessing.get_context("fork")


@dataclasses.dataclass
class Plan:
    replicas: int = 100
    outcomes: float = 1e4  # a second, all replicas together
    seconds: float = 5.0  # of the fleet, that are measured
    beat: float = shared_state.numbers()["beat"] / 1000
    leader_beat: float = shared_state.numbers()["beat"] / 1000
    stretch: float = 1
    processes: int = 1  # that the replicas are in
    redis: tuple = ()
    pause: float = 0  # seconds in which nobody reads, once it is measured
    back_off: float = 0  # seconds until an event that was not kept is said again; 0: the next beat
    most_waiting: int = 0  # bytes of events; 0: as many as with the server

    @property
    def warm(self):
        """Seconds by the clock until it is measured: all have beaten, the leader has forgotten."""
        return max(1.2, self.beat) * self.stretch


class Watch:
    """Asks Redis how it is, on a connection of its own, whose traffic is not counted."""

    SECTIONS = ("cpu", "stats", "commandstats", "memory")

    def __init__(self, port):
        self.calls = Calls(socket.create_connection(("127.0.0.1", port)))
        self.peak_memory = self.peak_waiting = 0

    def info(self, section):
        lines = self.calls.send("INFO", section).decode().split("\r\n")
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def look(self, leader_calls):
        own = self.calls.bytes
        cpu, stats, commands, memory = (self.info(section) for section in self.SECTIONS)
        # Of the thread that does all the work; what the disk costs is in others.
        used = sum(float(cpu[f"used_cpu_{kind}_main_thread"]) for kind in ("user", "sys"))
        everything = sum(float(cpu[f"used_cpu_{kind}{children}"]) for kind in ("user", "sys")
                         for children in ("", "_children"))
        calls = commands.get("cmdstat_evalsha", "calls=0,usec=0").split(",")
        self.look_at_waiting()
        return {
            "at": time.monotonic(), "cpu": used, "cpu all": everything,
            "in": int(stats["total_net_input_bytes"]), "out": int(stats["total_net_output_bytes"]),
            "programs": int(calls[0].split("=")[1]), "inside": int(calls[1].split("=")[1]) / 1e6,
            "place": self.place, "total": self.total, "leader": leader_calls,
            "own": own, "memory": int(memory["used_memory"]),
        }

    def look_at_waiting(self):
        words = self.calls.send("HMGET", COUNTS, "place", "total", "forgotten")
        self.place, self.total, forgotten = (int(word or 0) for word in words)
        self.peak_waiting = max(self.peak_waiting, self.total - forgotten)
        memory = int(self.info("memory")["used_memory"])
        self.peak_memory = max(self.peak_memory, memory)


def followers_main(pipe, port, first, count, plan, template, columns):
    try:
        followers = Followers(port, first, count, plan, template, columns)
        pipe.send("there")
        seconds = pipe.recv()
        pipe.send(followers.run(seconds))
    except Exception as error:  # to be told by the process that waits
        pipe.send(error)


def leader_main(pipe, port, plan, calls, stop):
    try:
        leader = Leader(port, plan, calls)
        leader.lead()
        pipe.send("there")
        pipe.send(leader.run(stop))
    except Exception as error:  # likewise
        pipe.send(error)


class Worker:
    def __init__(self, target, *arguments):
        self.pipe, other = FORK.Pipe()
        self.process = FORK.Process(target=target, args=(other, *arguments), daemon=True)
        self.process.start()

    def get(self, other=None):
        """What it tells. `other`: what goes wrong there comes first."""
        told = self.pipe.recv()
        if isinstance(told, Exception) and other is not None:
            other.check()
            print(other.log(), end="")
        if isinstance(told, Exception):
            raise told
        return told

    def end(self):
        self.process.terminate()
        self.process.join()


class SimulatedLeader:
    """Leads as the server does, as far as Redis sees it. `seen` has what it read."""

    template, columns = SIMPLE, None

    def __init__(self, port, plan):
        self.counter = FORK.Value("L", 0)
        self.stop = FORK.Event()
        self.worker = Worker(leader_main, port, plan, self.counter, self.stop)
        self.worker.get()

    @property
    def calls(self):
        return self.counter.value

    def look(self):
        return {}

    def log(self):
        return ""

    def check(self):
        """Raises what has gone wrong, if it has."""
        if self.worker.pipe.poll():
            self.worker.get()

    def finish(self, said):
        self.stop.set()
        return self.worker.get()

    def end(self):
        self.worker.end()


def simulate(plan, make_leader=SimulatedLeader):
    """What was said, seen and measured, as one table of names."""
    with Redis(*plan.redis) as redis:
        Calls(socket.create_connection(("127.0.0.1", redis.port))).load()
        leader = make_leader(redis.port, plan)
        workers = []
        try:
            for i in range(plan.processes):
                first = plan.replicas * i // plan.processes
                count = plan.replicas * (i + 1) // plan.processes - first
                workers.append(Worker(followers_main, redis.port, first, count, plan,
                                      leader.template, leader.columns))
                workers[-1].get()
            return measure(plan, redis, leader, workers)
        finally:
            for worker in workers:
                worker.end()
            leader.end()


def measure(plan, redis, leader, workers):
    watch = Watch(redis.port)
    base = int(watch.info("memory")["used_memory"])
    for worker in workers:
        worker.pipe.send(plan.warm + plan.seconds * plan.stretch)
    time.sleep(plan.warm)
    before = {**watch.look(leader.calls), **leader.look()}
    end = time.monotonic() + plan.seconds * plan.stretch - 0.1
    while time.monotonic() < end:
        watch.look_at_waiting()
        time.sleep(0.1 * plan.stretch)
    after = {**watch.look(leader.calls), **leader.look()}
    said = [worker.get(leader) for worker in workers]
    together = {name: sum(one[name] for one in said) for name in said[0] if name != "waits"}
    seen = leader.finish(together)
    waits = sorted(wait for one in said for wait in one["waits"])
    change = {name: after[name] - before[name] for name in after}
    passed = change["at"] / plan.stretch
    own = change["own"]  # nearly all of it is what Redis says
    programs = change["programs"]
    return {
        "plan": dataclasses.asdict(plan), "said": together, "seen": seen,
        "left": redis_length(redis),
        "beats/s": (programs - change["leader"]) / passed,
        "events/s": change["place"] / passed,
        "outcomes/s": change["total"] / shared_state.OUTCOME.size / passed,
        "redis cpu": change["cpu"] / passed, "redis cpu all": change["cpu all"] / passed,
        "in/s": change["in"] / passed, "out/s": (change["out"] - own) / passed,
        "µs a program": 1e6 * change["inside"] / programs if programs else 0.0,
        "waiting": watch.peak_waiting, "memory": watch.peak_memory - base,
        "wait p50 ms": 1000 * quantile(waits, 0.5), "wait p99 ms": 1000 * quantile(waits, 0.99),
        "busy": change["cpu"] / change["at"], "load": os.getloadavg()[0],
        **{name: change[name] / passed for name in change if name.startswith("leader ")},
    }


def redis_length(redis):
    """Events that are there still."""
    calls = Calls(socket.create_connection(("127.0.0.1", redis.port)))
    return int(calls.send("XLEN", shared_state.prefix() + "events"))


def quantile(ordered, share):
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def wrong_with(result):
    """What is not as it must be, in words: every event that was said was read, once, in order."""
    said, seen = result["said"], result["seen"]
    out = [f"{name}: {said[name]} were said, {seen[name]} were read"
           for name in ("events", "outcomes") if said[name] != seen.get(name, said[name])]
    if seen["wrong"]:
        out.append(f"not the next of its replica, or not the next place: {seen['wrong']}")
    if result["left"]:
        out.append(f"{result['left']} events were read and not forgotten")
    return out
