#!/usr/bin/python3
"""Shadow versions that hang, fail, crash, answer NaN or something else: no user notices, and what
they did is told by GET /api/models/m/shadow."""

import argparse
import http.client
import json
import os
import signal
import threading
import time

from lib import oip, tiny_onnx
from lib.folder import Folder, children, descriptors, wait_until
from lib.server import Report

FAULTS = "m/v2: delay=5s; m/v3: errors=1; m/v4: nan=1; m/v7: crash=1"
CLIENTS = 4
# What a busy machine may do to a p99 by itself; a request that waited for a shadow would take 5 s.
GENEROUS_FACTOR, GENEROUS_MS = 20, 500
PREDICTED, ERRORS = "num_predictions", "errors"


class Shadows(Folder):
    """Model m: v1 answers users; v2 hangs, v3 fails, v4 answers NaN, v5 agrees, v6 does not, v7
    crashes."""

    def __init__(self):
        super().__init__()
        for number in range(1, 8):
            self.put("m", f"v{number}", tiny_onnx.model(1007 if number == 6 else 1000))
        # The others are loaded when a release wants them.
        self.yaml("m", "versions: [v1]\n")
        self.serve("--poll", "200ms", "--inject-faults", FAULTS)

    def manage(self, method, path, body=None):
        connection = http.client.HTTPConnection(self.server.management, timeout=60)
        try:
            headers = {"Content-Type": "application/json"} if body is not None else {}
            connection.request(method, path, json.dumps(body) if body is not None else None, headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def shadow(self, *versions):
        status, text = self.manage("PUT", "/api/models/m/release", {"shadow": list(versions)})
        if status not in (200, 201, 202):
            raise RuntimeError(f"the release API answers {status}: {text}")
        listed = wait_until(lambda: list(self.told().get("versions", {})) == sorted(versions), 30)
        if listed is None:
            raise RuntimeError(f"the shadows are not {versions}: {self.told()}")

    def told(self, model="m"):
        return json.loads(self.manage("GET", f"/api/models/{model}/shadow")[1])

    def keeper(self):
        """The process that starts those of shadows."""
        return next(pid for pid, (name, _) in children(self.server.pid).items()
                    if name == "sluice-probe")

    def hosts(self):
        """Processes that run shadows, and the states of all of the keeper's."""
        return [pid for pid, (name, state) in children(self.keeper()).items()
                if name == "sluice-host" and state != "Z"]

    def zombies(self):
        return [name for parent in (self.server.pid, self.keeper())
                for name, state in children(parent).values() if state == "Z"]

    def restarted(self, times):
        """Until the only shadow's process has ended so often, and runs once more."""
        def running():
            self.ask()
            process = next(iter(self.told()["versions"].values()))["process"]
            return process["ended"] == times and process["state"] == "running"
        return wait_until(running, 60, every=0.05) is not None and self.predicted_more()

    def predicted_more(self, seconds=60):
        """Asks until the only shadow has been compared once more."""
        before = self.told()[PREDICTED]
        def more():
            self.ask()
            return self.told()[PREDICTED] > before
        return wait_until(more, seconds, every=0.05) is not None

    def all_seen(self, requests, rows=500):
        """Of the only shadow, once it has seen to so many requests of so many rows."""
        def done():
            one = self.told()
            return one[PREDICTED] / rows + one[ERRORS] + one["dropped"] == requests
        wait_until(done, 30)
        return self.told()

    def settled(self, asked):
        """What is told once each shadow has seen to all that was asked; None where that is never."""
        def done():
            out = self.told()["versions"].values()
            return all(one[PREDICTED] + one[ERRORS] + one["dropped"] == asked for one in out)
        return self.told() if wait_until(done, 30) is not None else None


class Load:
    """So many clients that ask for so long; each answer is checked."""

    def __init__(self, folder, seconds):
        self.folder, self.seconds = folder, seconds
        self.took, self.wrong, self.lock = [], [], threading.Lock()
        threads = [threading.Thread(target=self.ask, args=(i,)) for i in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def ask(self, number):
        x, took, wrong = number / 8, [], []
        body = json.dumps({"features": [x, 0]})
        connection = self.folder.server.connection()
        until = time.monotonic() + self.seconds
        while time.monotonic() < until:
            began = time.perf_counter()
            connection.request("POST", "/models/m/predict", body)
            answer = connection.getresponse()
            text = answer.read()
            took.append(1000 * (time.perf_counter() - began))
            told = json.loads(text)
            good = (answer.status == 200 and told["model_version"] == "v1" and
                    told["prediction"] == 1000 + x)
            if not good:
                wrong.append(text)
        connection.close()
        with self.lock:
            self.took += took
            self.wrong += wrong

    def quantile(self, q):
        return sorted(self.took)[int(q * (len(self.took) - 1))]


def show(what, load):
    print(f"  {what}: {len(load.took)} answers, p50 {load.quantile(0.5):.3f} ms, "
          f"p99 {load.quantile(0.99):.3f} ms, most {max(load.took):.1f} ms", flush=True)


def hanging(report, seconds):
    """p99 with and without a shadow that sleeps for 5 s in each run."""
    with Shadows() as folder:
        folder.ask()
        Load(folder, 0.5)  # warm
        without = Load(folder, seconds)
        show("without a shadow", without)
        folder.shadow("v2")
        beside = Load(folder, seconds)
        show("with one that sleeps 5 s", beside)
        again = folder.told()
        for load in (without, beside):
            report.check("every answer is v1's, and right", load.took and not load.wrong,
                         f"{len(load.wrong)} of {len(load.took)}, such as {load.wrong[:1]}")
        one = again["versions"]["v2"]
        seen = again[PREDICTED] + again[ERRORS] + again["dropped"] + one["waiting"]
        report.check("each request is accounted for", len(beside.took) - seen in (0, 1),
                     f"{len(beside.took)} asked, {seen} seen to; one may be running")
        report.check("what found no room was dropped", one["dropped_by"]["full"] > 0, one)
        report.check("no more than 256 wait", one["waiting"] <= 256, one)
        limit = GENEROUS_FACTOR * without.quantile(0.99) + GENEROUS_MS
        report.check("users do not wait for it", beside.quantile(0.99) < limit,
                     f"p99 {beside.quantile(0.99)} ms, {limit} ms at most")
        folder.server.signal()
        report.equal("it ends while the shadow hangs", folder.server.wait(), 0)


def crashing(report, seconds):
    """p99 with and without a shadow whose every run ends its process."""
    with Shadows() as folder:
        folder.ask()
        Load(folder, 0.5)  # warm
        without = Load(folder, seconds)
        show("without a shadow", without)
        folder.shadow("v7")
        beside = Load(folder, seconds)
        show("with one that crashes", beside)
        for load in (without, beside):
            report.check("every answer is v1's, and right", load.took and not load.wrong,
                         f"{len(load.wrong)} of {len(load.took)}, such as {load.wrong[:1]}")
        report.equal("the server lives", folder.server.process.poll(), None)

        def given_up():
            folder.ask()
            one = folder.told()["versions"]["v7"]
            # Its errors are counted by an idle thread, a moment after.
            return one["process"]["state"] == "given_up" and \
                one[ERRORS] >= one["process"]["ended"]
        report.check("it is given up", wait_until(given_up, 300, every=0.05), folder.told())
        one = folder.told()["versions"]["v7"]
        report.equal("nothing was predicted", one[PREDICTED], 0)
        report.equal("five crashes", (one[ERRORS], one["process"]["ended"]), (5, 5))
        report.equal("how", one["process"]["last_end"], "the engine crashed (SEGV)")
        report.check("what came meanwhile was dropped", one["dropped_by"]["down"] > 0, one)
        report.equal("it is in the log", len(folder.log_lines("v7", "5 times in a row")), 1)
        report.equal("and what users get is not", folder.ask(), (200, "v1", 1000.0))
        # It is an idle process that has yet to be gone when it has been heard of.
        wait_until(lambda: not folder.hosts() and not folder.zombies(), 20)
        report.equal("nothing is left of it", (folder.hosts(), folder.zombies()), ([], []))
        folder.server.signal()
        report.equal("it ends", folder.server.wait(), 0)


def killed(report, _):
    """A shadow's process that somebody kills is started again; all of them end with the server."""
    with Shadows() as folder:
        report.equal("none before it is wanted", folder.hosts(), [])
        folder.shadow("v5")
        report.check("it is compared", folder.predicted_more(), folder.told())
        before, times = descriptors(folder.server.pid), 10
        for number in range(1, times + 1):
            # One that was killed has closed what the server listens to before it is gone.
            if not report.check("one process", wait_until(lambda: len(folder.hosts()) == 1,
                                                           10) is not None,
                                folder.hosts()):
                return
            hosts = folder.hosts()
            os.kill(hosts[0], signal.SIGKILL)
            report.check("it is started again", folder.restarted(number), folder.told())
            report.check("it is another one", folder.hosts() != hosts, hosts)
        one = folder.told()
        report.equal("each is counted", one["versions"]["v5"]["process"]["ended"], times)
        report.equal("its answers are the same", (one["agreement_rate"], one["max_difference"]),
                     (1, 0))
        report.equal("no zombies", folder.zombies(), [])
        # Of what is open for a moment, such as a poll's, some may be there or not.
        report.check("no descriptors are left", descriptors(folder.server.pid) < before + times / 2,
                     f"{before}, then {descriptors(folder.server.pid)}")
        hosts = folder.hosts()
        folder.server.signal(signal.SIGKILL)
        folder.server.wait()
        gone = wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in hosts), 20)
        report.check("they end with a server that is killed", gone is not None, hosts)

        folder.serve("--poll", "200ms", "--inject-faults", FAULTS)
        folder.shadow("v2", "v5")
        report.check("two processes", wait_until(
            lambda: folder.ask() and len(folder.hosts()) == 2, 60, every=0.05), folder.told())
        hosts = folder.hosts()
        folder.server.signal()
        report.equal("it ends", folder.server.wait(), 0)
        gone = wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in hosts), 20)
        report.check("they end with a server that ends", gone is not None, hosts)


def ask_times(folder, times, x=0.5):
    return [folder.ask(x=x) for _ in range(times)]


def differing(report, _):
    """What fails, answers NaN, agrees and disagrees is told apart."""
    with Shadows() as folder:
        report.equal("no shadow", folder.manage("GET", "/api/models/m/shadow")[0], 404)
        report.equal("why", folder.told()["error"]["code"], "no_shadow")
        report.equal("no model", folder.told("x")["error"]["code"], "unknown_model")
        folder.shadow("v3", "v4", "v5", "v6")
        asked = 40
        # One by one: each is seen to before the next, so that none finds the queue full or waits.
        answers = []
        for number in range(asked):
            answers += ask_times(folder, 1)
            folder.settled(number + 1)
        report.equal("users get v1", answers, [(200, "v1", 1000.0)] * asked)
        told = folder.settled(asked)
        if not report.check("all are seen to", told is not None, folder.told()):
            return
        report.equal("the first of them is at the top", told[ERRORS],
                     told["versions"]["v3"][ERRORS])
        fails, nan, same, other = (told["versions"][f"v{number}"] for number in range(3, 7))
        late = [one["dropped"] for one in (fails, nan, same, other)]
        print(f"  dropped, by version: {late}")
        report.equal("v3 fails", fails[ERRORS], asked - fails["dropped"])
        report.equal("v4 is no number", nan["not_finite"], nan[PREDICTED])
        report.equal("v4 agrees with nothing", nan["agreement_rate"], 0)
        report.equal("v5 agrees", (same["agreement_rate"], same["max_difference"]), (1, 0))
        report.equal("v5 has no worst", same["worst"], [])
        report.equal("v6 differs", (other["agreement_rate"], other["mean_difference"],
                                    other["max_difference"]), (0, 7, 7))
        report.equal("v6: Kolmogorov-Smirnov", other["kolmogorov_smirnov"]["distance"], 1)
        worst = other["worst"]
        report.equal("ten are kept", len(worst), 10)
        report.equal("with inputs", worst[0]["inputs"], {"x": [0.5, 0]})
        report.equal("and what both said", (worst[0]["primary"], worst[0]["shadow"]),
                     ("1000.5", "1007.5"))
        report.check("and whose it was", worst[0]["request_id"], worst[0])
        metrics = folder.manage("GET", "/metrics")[1]
        line = f'sluice_shadow_disagreements_total{{model="m",version="v6"}} {other[PREDICTED]}'
        report.check("metrics", line in metrics.splitlines(), line)
        report.equal("the log tells of v3 once", folder.server.stderr().count("fails, which no"), 1)


def tensors(report, _):
    """The Open Inference Protocol's requests are asked again too. Binary tensors lie in the receive
    buffer, which is gone with the answer: what is compared must have been copied before."""
    with Shadows() as folder:
        folder.shadow("v6")
        rest = oip.Rest(folder.server)
        rows = 500
        tensor = oip.Tensor("x", "FP32", [rows, 2], [number / 8 for number in range(2 * rows)])
        want = [1000 + value for value in tensor.values[::2]]
        for _ in range(5):
            for binary in (True, False):
                out = rest.infer("/v2/models/m", [tensor], binary=binary)
                report.equal("answered by v1", out["y"].values, want)
        one = folder.all_seen(10)
        report.check("rows are compared", one[PREDICTED] == rows * (10 - one["dropped"]), one)
        report.equal("no errors", one[ERRORS], 0)
        if one[PREDICTED]:
            report.equal("each by 7", (one["mean_difference"], one["max_difference"]), (7, 7))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3, help="of load, with and without")
    seconds = parser.parse_args().seconds

    def with_seconds(test):
        def run(report):
            test(report, seconds)
        run.__name__ = test.__name__
        return run
    Report("shadow").run(*(with_seconds(test) for test in (hanging, crashing, killed, differing, tensors)))


if __name__ == "__main__":
    main()
