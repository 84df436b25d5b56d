#!/usr/bin/python3
# takes: 75 s
# alone: it measures how soon everybody has left a bad version
"""deploy/local: `up` starts a fleet and ends all of it, and one round of `proof` holds."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys

from lib.folder import wait_until
from lib.server import ROOT, Report, golden

LOCAL = ROOT / "deploy/local"
ROW = golden("iris.1")[0]


def answers(address):
    """The label that a prediction through this address has, or what was said instead."""
    connection = http.client.HTTPConnection(address, timeout=20)
    try:
        connection.request("POST", "/models/iris/predict", json.dumps({"features": ROW["features"]}),
                           {"Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read().decode()
        return json.loads(text)["label"] if answer.status == 200 else text
    except OSError as error:
        return repr(error)
    finally:
        connection.close()


def lives(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def up(report):
    process = subprocess.Popen([sys.executable, str(LOCAL / "up"), "--replicas", "2"],
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    try:
        said = {}
        for line in process.stdout:
            name, rest = line.strip().split("  ", 1)
            said[name.strip()] = rest
            if name == "folder":
                break
        report.equal("it says where all of them are", list(said),
                     ["nginx", "replica 1", "replica 2", "redis", "s3", "folder"])
        pids = [int(re.search(r"pid (\d+)", rest)[1]) for rest in said.values() if "pid" in rest]
        report.equal("and their processes", len(pids), 5)
        addresses = [re.search(r"http://(\S+)", said[name])[1]
                     for name in ("nginx", "replica 1", "replica 2")]
        report.equal("all answer", [answers(one) for one in addresses], [ROW["label"]] * 3)
        os.kill(pids[1], signal.SIGKILL)
        report.equal("what is killed is started again", process.stdout.readline().strip(),
                     "replica 1 has ended and is started again")
        report.check("and answers", wait_until(lambda: answers(addresses[1]) == ROW["label"], 60)
                     is not None, answers(addresses[1]))
        process.send_signal(signal.SIGTERM)
        report.equal("SIGTERM ends it", process.wait(60), 0)
        report.equal("and all that it has started", [pid for pid in pids if lives(pid)], [])
        report.check("that one too", wait_until(
            lambda: "refused" in answers(addresses[1]), 5) is not None, answers(addresses[1]))
        report.check("its folder is gone", not os.path.exists(said["folder"].strip()))
    finally:
        # By SIGTERM, so that nothing is left where the test failed.
        process.terminate()
        process.wait(60)
        process.stdout.close()


def proof(report):
    """Its own checks are those of this test."""
    done = subprocess.run([sys.executable, str(LOCAL / "proof"), "--minutes", "0.5"], text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False)
    print(done.stdout, flush=True)
    last = re.search(r"^proof: (\d+) passed, (\d+) failed\Z", done.stdout.strip(), re.M)
    if report.check("it came to its end", last, done.returncode):
        report.passed += int(last[1])
        report.failed += int(last[2])
        report.equal("it says so", done.returncode, 1 if int(last[2]) else 0)


if __name__ == "__main__":
    Report("fleet_proof").run(up, proof)
