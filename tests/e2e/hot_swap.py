#!/usr/bin/python3
"""Versions come, change, break and go at full load: no request fails, no answer is wrong.

`hot_swap.py --minutes 10 --every 1.0` is the long proof; without arguments it takes some 20 s.
"""

import argparse
import os
import random
import shutil
import statistics
import time

from lib import tiny_onnx
from lib.folder import POLL, TAKEOVER, Folder, children, descriptors, wait_until
from lib.server import Report
from lib.swap_load import STEP, Ledger, Load

# Bytes that the server may have more at the end than at the beginning, both without load.
GROWTH = 16 << 20
MOST_VERSIONS = 5
SETTLE_EACH = 6
FEWEST = 5  # generations that are to be seen, however long that takes
CONFIGS = ["", "warmup: 2\n", "versions: {latest: 2}\n", "versions: {latest: 1}\n", "NAMED",
           "batching: {max_batch_size: 4}\n", "versions: all\n", "loading: {ttl: 1s}\n",
           "loading: lazy\n"]
BROKEN = ["versions: [", "versions: {newest: 2}\n", "warmup: lots\n", "\x00\x01", "- 1\n- 2\n"]


class Version:
    """`file`: the generation that lies there, None where it is broken; `maybe`: what may run."""

    def __init__(self):
        self.file, self.maybe, self.there = None, set(), False


class Swapper:
    """Changes the repository, and knows what has to answer once it has come to rest."""

    def __init__(self, folder, ledger, seed):
        self.folder, self.ledger, self.random = folder, ledger, random.Random(seed)
        self.versions, self.newest, self.generation = {}, 1, 0
        self.config = ""
        self.done = dict.fromkeys(("add", "replace_in_place", "replace_by_rename", "truncate",
                                   "random_bytes", "remove", "configure", "break_config"), 0)
        self.takeovers, self.settled, self.decks = [], set(), {}

    # --- the steps ---

    def data(self, number):
        self.generation = self.generation % (STEP - 1) + 1
        return self.generation, tiny_onnx.model(number * STEP + self.generation,
                                                ballast=self.random.choice([0, 0, 100_000]))

    def good(self, number, generation):
        version = self.versions.setdefault(number, Version())
        version.file, version.there = generation, True
        version.maybe.add(generation)

    def file(self, number):
        return self.folder.path / "m" / f"v{number}" / "model.onnx"

    def existing(self, least=1):
        return [n for n, v in self.versions.items() if v.there and n >= least]

    def add(self):
        """A whole directory at once, or one that is filled while it is looked at."""
        self.newest += 1
        generation, data = self.data(self.newest)
        self.ledger.place(self.newest, generation)
        if self.random.random() < 0.5:
            hidden = self.folder.path / "m" / ".new"
            hidden.mkdir()
            (hidden / "model.onnx").write_bytes(data)
            hidden.rename(self.folder.path / "m" / f"v{self.newest}")
        else:
            self.file(self.newest).parent.mkdir()
            self.write_slowly(self.newest, data)
        self.good(self.newest, generation)
        while len(self.existing()) > MOST_VERSIONS:
            self.remove()

    def write_slowly(self, number, data):
        """Half of it, then the rest; sometimes so late that the half is taken for all."""
        with open(self.file(number), "wb") as out:
            out.write(data[:len(data) // 2])
            out.flush()
            time.sleep(self.random.choice([0.01, 0.1, 2.5 * POLL]))
            out.write(data[len(data) // 2:])

    def replace_in_place(self):
        number = self.random.choice(self.existing())
        generation, data = self.data(number)
        self.ledger.place(number, generation)
        self.write_slowly(number, data)
        self.good(number, generation)

    def replace_by_rename(self):
        number = self.random.choice(self.existing())
        generation, data = self.data(number)
        self.ledger.place(number, generation)
        self.folder.put("m", f"v{number}", data)
        self.good(number, generation)

    def break_file(self, change):
        numbers = self.existing(least=2)
        if not numbers:
            return self.add()
        number = self.random.choice(numbers)
        change(self.file(number))
        self.versions[number].file = None

    def truncate(self):
        def cut(file):
            size = file.stat().st_size
            os.truncate(file, self.random.choice([0, 1, size // 3, size - 1]) if size else 0)
        self.break_file(cut)

    def random_bytes(self):
        self.break_file(lambda file: file.write_bytes(self.random.randbytes(3000)))

    def remove(self):
        numbers = self.existing(least=2)
        if not numbers:
            return self.add()
        number = self.random.choice(numbers)
        if self.random.random() < 0.5:
            self.folder.remove("m", f"v{number}")
        else:
            hidden = self.folder.path / "m" / ".old"
            (self.folder.path / "m" / f"v{number}").rename(hidden)
            shutil.rmtree(hidden)
        self.versions[number].there = False

    def configure(self):
        self.config = self.deal("configs", CONFIGS)
        if self.config == "NAMED":
            named = sorted({1, max(self.existing()), self.random.choice(self.existing())})
            self.config = "versions:\n" + "".join(f"- v{number}\n" for number in named)
        if self.random.random() < 0.5:
            return self.folder.yaml("m", self.config)
        # Written on in its place: the beginning of a list is a list.
        with open(self.folder.path / "m" / "model.yaml", "w") as out:
            out.write(self.config[:self.config.rfind("- ")])
            out.flush()
            time.sleep(self.random.choice([0.02, 0.1]))
            out.write(self.config[self.config.rfind("- "):])

    def break_config(self):
        """It is mended with the next step: nothing new is served meanwhile."""
        (self.folder.path / "m" / "model.yaml").write_text(self.deal("broken", BROKEN))
        time.sleep(self.random.choice([0.05, 0.3]))
        self.folder.yaml("m", self.config)

    def deal(self, kind, cards):
        """Each card once before any comes again, so that a short run has them all."""
        deck = self.decks.setdefault(kind, [])
        if not deck:
            deck += self.random.sample(cards, len(cards))
        return deck.pop()

    def step(self):
        name = self.deal("steps", list(self.done))
        getattr(self, name)()
        self.done[name] += 1

    # --- what has to be ---

    def chosen(self):
        numbers = sorted(self.existing())
        if "latest" in self.config:
            return numbers[-int(self.config.split("latest: ")[1][0]):]
        if "- v" in self.config:
            return [n for n in numbers if f"- v{n}\n" in self.config]
        return numbers

    def allowed(self):
        """Codes that may answer at rest: of the newest version that is good, or of a newer one
        that was good when it was loaded and is broken since."""
        out = set()
        for number in reversed(self.chosen()):
            version = self.versions[number]
            if version.file is not None:
                return out | {number * STEP + version.file}
            out |= {number * STEP + generation for generation in version.maybe}
        return None  # no good one is wanted: what ran before goes on

    def settle(self, report):
        """Waits until the newest good version answers."""
        allowed = self.allowed()
        if allowed is None:
            return
        last = []

        def answered():
            last[:] = self.folder.ask()
            return last[0] == 200 and int(last[2]) in allowed
        took = wait_until(answered, every=0.005)
        if took is None:
            report.check("the newest good version takes over", False,
                         f"expected {sorted(allowed)}, got {last} under {self.config!r}: "
                         f"{self.folder.models()['m']}")
        else:
            report.passed += 1
            self.takeovers.append(took)
            self.settled.add(int(last[2]))
        # Only what is there and good is known to run; older ones too have had the time.
        time.sleep(2 * POLL)
        for number, version in self.versions.items():
            if not version.there:
                version.maybe.clear()
            elif version.file is not None and number in self.chosen() and took is not None:
                version.maybe |= {version.file}

    def tidy(self, report):
        """Back to where it began: version v1 alone."""
        self.folder.yaml("m", "")
        self.config = ""
        for number in self.existing(least=2):
            self.folder.remove("m", f"v{number}")
            self.versions[number].there = False
        self.replace_by_rename()
        self.settle(report)


def settled_descriptors(pid):
    """Once they stay the same: what clients have closed, the server closes a moment later."""
    seen = []

    def same():
        seen.append(descriptors(pid))
        return len(seen) >= 15 and len(set(seen[-15:])) == 1
    wait_until(same, 5)
    return seen[-1]


def small_again(report, folder, swapper, before):
    """Memory, descriptors and processes are what they were. Freed memory goes back to the system
    with a model that ends, at most every five seconds; so one more is swapped then."""
    server = folder.server
    limit = before["rss"] + GROWTH
    if server.rss_bytes() > limit:
        time.sleep(5.5)
        swapper.replace_by_rename()
        wait_until(lambda: server.rss_bytes() <= limit, seconds=3)
    now = server.rss_bytes()
    print(f"  RSS {before['rss'] / 1e6:.1f} MB at first, {now / 1e6:.1f} MB at the end")
    report.check(f"at most {GROWTH >> 20} MiB more", now <= limit, f"{before['rss']} to {now}")
    wait_until(lambda: descriptors(server.pid) <= before["fds"] + 3, 5)
    count = descriptors(server.pid)
    report.check("no descriptors left open", count <= before["fds"] + 3,
                 f"{before['fds']} to {count}")
    probes = children(server.pid)
    report.check("one child, no zombie", [v[0] for v in probes.values()] == ["sluice-probe"] and
                 all(v[1] != "Z" for v in probes.values()), probes)
    trials = [child for keeper in probes for child in children(keeper)]
    report.equal("no trial left over", trials, [])
    server.signal()
    report.equal("exit code", server.wait(), 0)
    gone = wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in probes), 5)
    report.check("the keeper ended too", gone is not None)


def swaps(report, seconds, every, seed):
    ledger = Ledger()
    with Folder() as folder:
        swapper = Swapper(folder, ledger, seed)
        folder.put("beside", "v1", STEP)
        folder.yaml("m", "")
        ledger.place(1, 0)
        folder.put("m", "v1", STEP)
        swapper.good(1, 0)
        server = folder.serve()
        with Load(server, ledger):
            time.sleep(0.7)
        before = {"rss": server.rss_bytes(), "fds": settled_descriptors(server.pid)}
        began = time.monotonic()
        with Load(server, ledger):
            while time.monotonic() < began + seconds or (
                    len(swapper.settled) < FEWEST and time.monotonic() < began + 10 * seconds):
                next_step = time.monotonic() + every
                swapper.step()
                if sum(swapper.done.values()) % SETTLE_EACH == 0:
                    swapper.settle(report)
                time.sleep(max(0, next_step - time.monotonic()))
            swapper.tidy(report)
        took = time.monotonic() - began
        print(f"  {ledger.answers()} answers in {took:.0f} s, of gRPC "
              f"{ledger.answers('simple_grpc') + ledger.answers('oip_grpc')}; "
              f"{len(ledger.codes())} generations of {len(swapper.versions)} versions seen")
        print(f"  {sum(swapper.done.values())} steps: " +
              ", ".join(f"{count} {name}" for name, count in swapper.done.items()))
        if swapper.takeovers:
            print(f"  takeover after the last step: median "
                  f"{statistics.median(swapper.takeovers):.2f} s, most "
                  f"{max(swapper.takeovers):.2f} s, allowed {TAKEOVER} s")
        report.check("no request failed, no answer was wrong", not ledger.wrong,
                     f"{sum(ledger.wrong.values())}: {ledger.wrong.most_common(5)}")
        report.check("every kind of client was answered", all(
            ledger.answers(kind) > 0 for kind in ("rest", "simple_grpc", "oip_grpc")))
        report.check("new generations were seen", len(ledger.codes()) >= FEWEST, ledger.codes())
        small_again(report, folder, swapper, before)
        report.check("no path in the log", str(folder.path) not in server.stderr())


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=0.2, help="how long to change things")
    parser.add_argument("--every", type=float, default=0.25, help="seconds between two changes")
    parser.add_argument("--seed", type=int, default=None, help="repeats a run's changes")
    arguments = parser.parse_args()
    seed = arguments.seed if arguments.seed is not None else random.randrange(1 << 30)
    print(f"  --seed {seed}", flush=True)

    def hot_swap(report):
        swaps(report, 60 * arguments.minutes, arguments.every, seed)
    Report("hot_swap").run(hot_swap)


if __name__ == "__main__":
    main()
