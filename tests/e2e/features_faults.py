#!/usr/bin/python3
# alone: that a store is away is told in 50 ms, and a stalled one in its budget
"""A feature store that dies, stalls and comes back under load: requests are answered by policy and in
their time, nothing waits for good, and nobody restarts the server."""

import json
import os
import signal
import socket
import threading
import time

from lib.entities import Entities
from lib.folder import descriptors, wait_until
from lib.redis import Redis
from lib.server import Report

NAMES = "names: [age, income]"


def stores(redis, cache="64MiB"):
    return f'feature_stores: [{{name: users, url: "{redis.url}", key: "{{user}}", cache: {cache}}}]\n'


def model(redis, more="", cache="64MiB"):
    return Entities(f"store: users\nentity: user\n{NAMES}\n{more}", stores=stores(redis, cache),
                    patient=False)


def fill(redis, count=200):
    for number in range(count):
        redis.call(["HSET", f"u{number}", "age", number, "income", 1])


class Load:
    """Clients that ask without end; (when, seconds, status, code or ages) of each answer."""

    def __init__(self, m, clients=8, users=200):
        self.m, self.users = m, users
        self.answers, self.lock, self.over = [], threading.Lock(), threading.Event()
        self.threads = [threading.Thread(target=self.ask, args=(n,)) for n in range(clients)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join()

    def ask(self, number):
        connection = self.m.server.connection()
        user = number
        while not self.over.is_set():
            user = (user * 31 + 7) % self.users
            began = time.monotonic()
            connection.request("POST", "/models/m/predict", json.dumps({"entity_id": f"u{user}"}),
                               {"Content-Type": "application/json"})
            answer = connection.getresponse()
            body = json.loads(answer.read())
            code = body["error"]["code"] if answer.status != 200 else body["prediction"] - 1000 - user
            with self.lock:
                self.answers.append((began, time.monotonic() - began, answer.status, code))
        connection.close()

    def since(self, moment):
        with self.lock:
            return [one for one in self.answers if one[0] >= moment]


def wrong(answers):
    """Answers of 200 that are of another user."""
    return [one for one in answers if one[2] == 200 and one[3] != 0]


def codes(answers):
    return {(status, code) for _, _, status, code in answers if status != 200}


def p90(answers):
    return sorted(one[1] for one in answers)[int(len(answers) * 0.9)]


def killed(report):
    """Redis is killed under load, is away for two seconds and comes back."""
    with Redis() as redis:
        fill(redis)
        # A budget that no pause of the machine uses up: all that is told is of the store.
        with model(redis, "ttl: 0s\ntimeout: 2s") as m, Load(m) as load:
            time.sleep(1)
            report.check("before: all answered", codes(load.since(0)) == set(), codes(load.since(0)))
            moment = time.monotonic()
            redis.kill()
            time.sleep(2)
            away = load.since(moment + 0.2)
            report.check("away: by policy", codes(away) == {(503, "store_unavailable")}, codes(away))
            report.check("away: told at once", p90(away) < 0.05, p90(away))
            report.check("the rest goes on", m.server.get("/ready")[0] == 200)
            report.check("counted as open", m.metric('sluice_feature_store_open{store="users"}') == 1)
            redis.start()
            fill(redis)
            report.check("it recovers", wait_until(lambda: m.predict("u5")[0] == 200, 10))
            time.sleep(0.3)
            moment = time.monotonic()
            time.sleep(1)
            back = load.since(moment)
            report.check("back: all answered", len(back) > 50 and codes(back) == set(), codes(back))
            report.equal("nobody got another's features", wrong(load.since(0)), [])


def killed_with(report):
    """The same where defaults, or values from before, are to stand in."""
    with Redis() as redis:
        fill(redis)
        define = "\ndefine: [{name: age, default: 5}, {name: income, default: 5}]"
        with model(redis, "ttl: 0s\ntimeout: 2s\nunavailable: default" + define) as m:
            m.predict("u1")
            redis.kill()
            status, answer = m.predict("u1")
            report.equal("defaults", (status, answer["prediction"]), (200, 1005))
            report.check("and said", "defaults were used" in answer["warnings"][0], answer)
        redis.start()
        fill(redis)
        with model(redis, "ttl: 0s\ntimeout: 2s\nunavailable: stale") as m:
            report.equal("there before", m.predict("u1")[0], 200)
            redis.kill()
            status, answer = m.predict("u1")
            report.equal("from before", (status, answer["prediction"]), (200, 1001))
            report.check("and said", "before their ttl" in answer["warnings"][0], answer)
            report.equal("nobody asked before", m.predict("u2")[1]["error"]["code"],
                         "store_unavailable")
        redis.start()
        fill(redis)
        with model(redis, "ttl: 60s\ntimeout: 2s") as m:
            report.equal("it is fetched", m.predict("u1")[0], 200)
            redis.kill()
            report.equal("what is cached needs no store", m.predict("u1")[1]["prediction"], 1001)


def stalled(report):
    """Redis does not answer for a second: nobody waits longer than the budget."""
    with Redis() as redis:
        fill(redis)
        with model(redis, "ttl: 0s\ntimeout: 60ms") as m, Load(m) as load:
            time.sleep(0.5)
            moment = time.monotonic()
            os.kill(redis.process.pid, signal.SIGSTOP)
            time.sleep(1)
            os.kill(redis.process.pid, signal.SIGCONT)
            during = [one for one in load.since(moment) if one[0] < moment + 1]
            kinds = codes(during)
            report.check("504, then 503", kinds <= {(504, "features_timeout"),
                                                    (503, "store_unavailable")} and kinds, kinds)
            # 60 ms, and what a busy machine of two cores adds to it.
            report.check("the budget is kept", p90(during) < 0.2, p90(during))
            report.check("it recovers", wait_until(lambda: m.predict("u5")[0] == 200, 10))
            report.equal("nobody got another's features", wrong(load.since(0)), [])


def ask_apart(m, entity):
    """The status, over a connection of its own."""
    connection = m.server.connection()
    try:
        connection.request("POST", "/models/m/predict", json.dumps({"entity_id": entity}),
                           {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


def grouped(report):
    """Those that come while a round trip is under way share the next; who asks for nothing of the
    store does not wait, even where all share one I/O thread."""
    with Redis() as redis:
        fill(redis)
        with Entities(f"store: users\nentity: user\n{NAMES}\nttl: 0s\ntimeout: 20s", "--io-threads",
                      "1", stores=stores(redis, "0B")) as m:
            m.predict("u0")
            trips = 'sluice_feature_fetch_seconds_count{store="users"}'
            entities = 'sluice_feature_fetched_entities_total{store="users"}'
            before = m.metric(trips), m.metric(entities)
            os.kill(redis.process.pid, signal.SIGSTOP)
            told = []
            threads = [threading.Thread(target=lambda n=n: told.append(ask_apart(m, f"u{n % 20}")))
                       for n in range(40)]
            for thread in threads:
                thread.start()
            wait_until(lambda: m.metric('sluice_feature_fetches_joined_total{store="users"}') >= 20, 10)
            began = time.monotonic()
            status, _ = m.predict(features=[1, 2], path="/models/plain/predict")
            report.check("others are answered meanwhile", status == 200 and
                         time.monotonic() - began < 5, (status, time.monotonic() - began))
            os.kill(redis.process.pid, signal.SIGCONT)
            for thread in threads:
                thread.join()
            report.equal("all are answered", told, [200] * 40)
            report.equal("each entity was asked for once", m.metric(entities) - before[1], 20)
            # Two are under way at a time; what comes meanwhile goes together.
            trips_now = m.metric(trips) - before[0]
            report.check("in few round trips", trips_now <= 4, trips_now)


def deadline(report):
    """A client's own deadline is the shorter budget."""
    with Redis() as redis:
        fill(redis)
        with model(redis, "ttl: 0s\ntimeout: 10s") as m:
            m.predict("u1")
            os.kill(redis.process.pid, signal.SIGSTOP)
            began = time.monotonic()
            status, _ = m.predict("u2", headers={"X-Request-Timeout-Ms": "80"})
            took = time.monotonic() - began
            os.kill(redis.process.pid, signal.SIGCONT)
            report.equal("504", status, 504)
            report.check("in its time", took < 1, took)


def not_redis(report):
    """Something else listens there: it hangs up, talks nonsense, or says nothing."""
    for what, answer in (("hangs up", None), ("talks HTTP", b"HTTP/1.1 400 Bad Request\r\n\r\n"),
                         ("asks for a password", b"-NOAUTH Authentication required.\r\n"),
                         ("says nothing", b"")):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            class Other:
                url = f"redis://127.0.0.1:{listener.getsockname()[1]}/0"

            def serve(listener=listener, answer=answer):
                kept = []
                while True:
                    try:
                        connection, _ = listener.accept()
                    except OSError:
                        return
                    if answer is None:
                        connection.close()
                        continue
                    kept.append(connection)
                    connection.settimeout(0.2)
                    try:
                        connection.recv(65536)
                        connection.sendall(answer)
                    except OSError:
                        pass

            thread = threading.Thread(target=serve, daemon=True)
            thread.start()
            with model(Other, "timeout: 100ms") as m:
                status, body = m.predict("u1")
                report.check(what, status in (503, 504) and body["error"]["code"] in
                             ("store_unavailable", "bad_store", "features_timeout"), (status, body))
                report.check(f"{what}: no address", "127.0.0.1" not in json.dumps(body), body)
                report.equal(f"{what}: sent features do not need it",
                             m.predict("u1", features={"age": 1, "income": 2})[0], 200)


def ends(report):
    """A server that is ended while requests wait for features answers them and ends."""
    with Redis() as redis:
        fill(redis)
        with model(redis, "ttl: 0s\ntimeout: 30s") as m:
            m.predict("u1")
            os.kill(redis.process.pid, signal.SIGSTOP)
            looked = 'sluice_feature_cache_total{store="users",outcome="miss"}'
            before, told = m.metric(looked), []
            thread = threading.Thread(target=lambda: told.append(ask_apart(m, "u2")))
            thread.start()
            report.check("it has come", wait_until(lambda: m.metric(looked) > before) is not None)
            m.server.signal()
            time.sleep(0.3)
            os.kill(redis.process.pid, signal.SIGCONT)
            thread.join(10)
            report.check("it was answered", told == [200], told)
            report.equal("and the server ended", m.server.wait(10), 0)


def bounded(report):
    """The cache keeps its bound and forgets what nobody asks for; nothing leaks."""
    with Redis() as redis:
        fill(redis, 100)
        with model(redis, "ttl: 1h", cache="1MiB") as m:
            for start in range(0, 40_000, 2000):
                names = [f"nobody{n}" for n in range(start, start + 2000)]
                m.predict(names + ["u1"])
            held = m.metric('sluice_feature_cache_bytes{store="users"}')
            report.check("bytes", held <= 1 << 20, held)
            before = m.metric('sluice_feature_cache_total{store="users",outcome="hit"}')
            report.equal("a known one is still there", m.predict("u1")[0], 200)
            after = m.metric('sluice_feature_cache_total{store="users",outcome="hit"}')
            report.equal("out of the cache", after - before, 1)
            files = descriptors(m.server.pid)
            for _ in range(3):
                redis.kill()
                for _ in range(20):
                    m.predict("nobody at all")
                redis.start()
                wait_until(lambda: m.predict("x" + str(time.monotonic()))[0] == 404, 10)
            report.check("no descriptor is lost", descriptors(m.server.pid) <= files + 2,
                         (files, descriptors(m.server.pid)))


if __name__ == "__main__":
    Report("features_faults").run(killed, killed_with, stalled, grouped, deadline, not_redis, ends, bounded)
