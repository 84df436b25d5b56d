#!/usr/bin/python3
"""deploy/docker-compose.yml without containers: its nginx.conf and its prometheus.yml as they are, in
front of three servers at the names and ports that they say. A server drains, another is killed, and
no client sees it."""

# takes: 15 s

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from lib import rpc
from lib.apart import know_hosts, run_apart
from lib.server import ROOT, Report, Server, golden

COMPOSE = ROOT / "deploy/compose"
# Machines of this network, which is the test's own.
HOSTS = {f"sluice-{n}": f"127.0.1.{n}" for n in (1, 2, 3)}
HTTP, GRPC, PROMETHEUS = "127.0.0.1:8000", "127.0.0.1:50051", "127.0.0.1:9090"
ROW = golden("iris.1")[0]


def server(name, **more):
    host = HOSTS[name]
    return Server(http=f"{host}:8000", grpc=f"{host}:50051", management=f"{host}:8002", **more)


@contextlib.contextmanager
def nginx():
    """With the file as it is, but for the address: here servers have the same port beside it."""
    with tempfile.TemporaryDirectory(prefix="e2e-nginx-") as folder:
        os.chmod(folder, 0o755)
        text = (COMPOSE / "nginx.conf").read_text()
        text, count = re.subn(r"listen (\d+)", r"listen 127.0.0.1:\1", text)
        assert count == 2
        (Path(folder) / "nginx.conf").write_text(text)
        (Path(folder) / "logs").mkdir()
        log = Path(folder) / "error.log"
        process = subprocess.Popen(
            ["nginx", "-p", folder, "-c", "nginx.conf", "-e", str(log),
             "-g", f"daemon off; pid {folder}/pid; error_log {log};"])
        try:
            wait_for(lambda: get(HTTP, "/ready")[0] == 200, "nginx")
            yield process
        finally:
            process.terminate()
            process.wait()


@contextlib.contextmanager
def prometheus():
    with tempfile.TemporaryDirectory(prefix="e2e-prometheus-") as folder:
        config = (COMPOSE / "prometheus.yml").read_text()
        (Path(folder) / "prometheus.yml").write_text(config.replace("15s", "500ms"))
        shutil.copy(ROOT / "deploy/prometheus/alerts.yml", folder)
        with open(Path(folder) / "log", "wb") as log:
            process = subprocess.Popen(
                ["prometheus", f"--config.file={folder}/prometheus.yml",
                 f"--storage.tsdb.path={folder}/data", f"--web.listen-address={PROMETHEUS}"],
                stdout=log, stderr=log)
        try:
            yield
        finally:
            process.kill()
            process.wait()


def get(address, path):
    connection = http.client.HTTPConnection(address, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except OSError as error:
        return None, str(error)
    finally:
        connection.close()


def wait_for(true, what, seconds=30):
    until = time.monotonic() + seconds
    while not true():
        if time.monotonic() > until:
            raise RuntimeError(f"waited for {what} in vain")
        time.sleep(0.05)


def predicted(one):
    """How many predictions a server has answered, and how many were not."""
    lines = re.findall(r'^sluice_requests_total\{.*outcome="(\w+)".*\} (\d+)$',
                       get(one.http, "/metrics")[1], re.M)
    return sum(int(number) for outcome, number in lines if outcome == "success")


def refused(one):
    """How many predictions it had no model for."""
    return sum(int(number) for number in re.findall(
        r"^sluice_unserved_requests_total\{.*\} (\d+)$", get(one.http, "/metrics")[1], re.M))


def load(one, model):
    connection = http.client.HTTPConnection(one.management, timeout=10)
    connection.request("POST", f"/v2/repository/models/{model}/load", "{}")
    assert connection.getresponse().status == 200


class Asking(threading.Thread):
    """Asks until it is told to stop; `bad` is whatever was not a right answer."""

    def __init__(self, ask):
        super().__init__()
        self.ask, self.asked, self.bad, self.over = ask, 0, [], threading.Event()

    def run(self):
        while not self.over.is_set():
            try:
                label = self.ask()
            except Exception as error:  # of whatever client it is
                label = f"{type(error).__name__}: {error}"
            self.asked += 1
            if label != ROW["label"]:
                self.bad.append(label)


def over_rest():
    connection = http.client.HTTPConnection(HTTP, timeout=10)
    body = json.dumps({"features": ROW["features"]})

    def ask():
        connection.request("POST", "/models/iris/predict", body,
                           {"Content-Type": "application/json"})
        answer = connection.getresponse()
        data = answer.read()
        return json.loads(data)["label"] if answer.status == 200 else (answer.status, data)
    return ask


# What a client of gRPC says to be asked again where nobody answered: nginx cannot, see nginx.conf.
RETRY = json.dumps({"methodConfig": [{"name": [{}], "retryPolicy": {
    "maxAttempts": 3, "initialBackoff": "0.05s", "maxBackoff": "1s", "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE"]}}]})


def over_grpc():
    call = rpc.predict(rpc.channel(GRPC, ("grpc.service_config", RETRY)))
    request = rpc.prediction_pb2.PredictRequest(features=ROW["features"], model="iris")
    return lambda: call(request, timeout=10).label


CLIENTS = [("REST", over_rest), ("REST", over_rest), ("gRPC", over_grpc), ("gRPC", over_grpc)]


@contextlib.contextmanager
def asked(report, what, clients=CLIENTS):
    """By clients, all the time that the block lasts."""
    askers = [Asking(over()) for _, over in clients]
    for each in askers:
        each.start()
    try:
        yield askers
    finally:
        for each in askers:
            each.over.set()
        for each in askers:
            each.join()
    for each, (protocol, _) in zip(askers, clients):
        report.check(f"{what}: {protocol}, no failure of {each.asked}",
                     each.asked > 20 and not each.bad, each.bad[:3])


def more(askers, count=40):
    """Until each has asked so often again."""
    wanted = [each.asked + count for each in askers]
    wait_for(lambda: all(each.asked >= number for each, number in zip(askers, wanted)), "answers")


def fleet(report):
    servers = {name: server(name) for name in HOSTS}
    try:
        with nginx(), prometheus():
            everybody_answers(report, servers)
            one_drains(report, servers)
            one_comes_up(report, servers)
            one_is_killed(report, servers)
            paths(report)
            scraped(report)
            nobody_is_left(report, servers)
    finally:
        for one in servers.values():
            one.kill()


def everybody_answers(report, servers):
    with asked(report, "three servers") as askers:
        more(askers)
    for name, one in servers.items():
        report.check(f"{name} has answered", predicted(one) > 10, predicted(one))


def one_drains(report, servers):
    """A rollout: it ends by SIGTERM, and another comes up in its place."""
    with asked(report, "one drains") as askers:
        more(askers)
        servers["sluice-2"].signal()
        report.equal("it ends with 0", servers["sluice-2"].wait(), 0)
        more(askers)


def one_comes_up(report, servers):
    """It answers, but has no models yet, which nginx does not ask; over gRPC its clients hear so."""
    new = server("sluice-2", extra=("--model-control", "explicit"), wait=False)
    servers["sluice-2"] = new
    with asked(report, "one comes up", CLIENTS[:2]) as askers:
        # nginx tries the address again after fail_timeout.
        wait_for(lambda: refused(new) > 500, "it to be asked too early", 120)
        report.equal("it has answered none", predicted(new), 0)
        load(new, "iris")
        wait_for(lambda: predicted(new) > 10, "it to be asked")
        more(askers)


def one_is_killed(report, servers):
    with asked(report, "one is killed") as askers:
        more(askers)
        servers["sluice-3"].signal(signal.SIGKILL)
        servers["sluice-3"].wait()
        more(askers, 100)


def paths(report):
    report.equal("nobody's metrics in particular", get(HTTP, "/metrics")[0], 404)
    report.equal("control is not public", get(HTTP, "/api/models/iris/release")[0], 404)
    connection = http.client.HTTPConnection(HTTP, timeout=10)
    connection.request("POST", "/feedback", b"{}", {"Content-Type": "application/json"})
    answer = connection.getresponse()
    report.check("feedback comes to a server", answer.status == 400
                 and b"request_id" in answer.read(), answer.status)
    # As much as a server takes by itself.
    connection.request("POST", "/models/iris/predict", b" " * (8 << 20),
                       {"Content-Type": "application/json"})
    answer = connection.getresponse()
    answer.read()
    report.equal("a large body comes to a server", answer.status, 400)


def query(expression):
    status, text = get(PROMETHEUS, f"/api/v1/query?query={expression}")
    if status != 200:
        return None
    return {one["metric"].get("instance"): float(one["value"][1])
            for one in json.loads(text)["data"]["result"]}


def nobody_is_left(report, servers):
    """gRPC's own word where there is nobody to ask, not a page of nginx's."""
    for one in servers.values():
        one.kill()
    call = rpc.predict(rpc.channel(GRPC))
    code, said = rpc.failure(call, rpc.prediction_pb2.PredictRequest(features=ROW["features"],
                                                                     model="iris"))
    report.equal("nobody is left, gRPC", (code, said), ("UNAVAILABLE", "no server has answered"))
    report.equal("nobody is left, REST", get(HTTP, "/ready")[0], 502)


def scraped(report):
    """One is gone since one_is_killed."""
    want = {"sluice-1:8000": 1, "sluice-2:8000": 1, "sluice-3:8000": 0}
    seen = []

    def told():
        seen.append(query("up"))
        return seen[-1] == want
    wait_for(told, "Prometheus to see who is up")
    report.equal("who is up", seen[-1], want)
    sums = query('sum%20by%20(instance)%20(sluice_requests_total%7Boutcome="success"%7D)')
    report.check("what each has answered", sums["sluice-1:8000"] > 10, sums)
    rules = json.loads(get(PROMETHEUS, "/api/v1/rules")[1])["data"]["groups"]
    report.check("the alerts are loaded", any(rule["name"] == "SluiceDown"
                                              for group in rules for rule in group["rules"]))


if __name__ == "__main__":
    run_apart()
    know_hosts(HOSTS)
    Report("e2e/deploy_fleet").run(fleet)
