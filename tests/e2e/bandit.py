#!/usr/bin/python3
# takes: 40 s
"""Bandits: rewards in every form move the traffic to the best arm; feedback is taken once, late, in
any order, and across restarts."""

import json
import random
import shutil
import time
from collections import Counter

from lib import oip, rpc
from lib.arms import ARMS, LEARNS, Arms, feedback, learn
from lib.folder import Folder, wait_until
from lib.release import Control, Pipe, message, request
from lib.server import MODELS, Report, golden

RATES = {"v1": 0.2, "v2": 0.8, "v3": 0.4}


def algorithms(report):
    chance = random.Random(1)

    def bernoulli(version):
        return int(chance.random() < RATES[version])

    def gaussian(version):
        return 100 * RATES[version] - 50 + chance.gauss(0, 5)

    for what, more, reward in (
            ("epsilon_greedy", {"algorithm": "epsilon_greedy", "epsilon": 0.1}, bernoulli),
            ("epsilon_greedy with decay",
             {"algorithm": "epsilon_greedy", "epsilon": 0.5, "decay": 0.05}, bernoulli),
            ("ucb1", {"algorithm": "ucb1"}, bernoulli),
            ("thompson", {"algorithm": "thompson"}, bernoulli),
            ("thompson, gaussian", {"algorithm": "thompson", "rewards": "gaussian"}, gaussian),
            ("the default", {}, bernoulli)):
        with Arms() as folder:
            folder.start(**more)
            before = folder.control.get()["weights"]
            report.check(f"{what}: all arms begin with something",
                         min(before.values()) > 0 and abs(sum(before.values()) - 1) < 1e-6, before)
            learn(report, folder, what, reward)
            drawn, arms = folder.selected(), folder.arms()
            print(f"  {what}: {drawn}")
            report.check(f"{what}: the best arm has most", drawn["v2"] > 0.5 and
                         drawn["v2"] > max(drawn["v1"], drawn["v3"]), drawn)
            report.check(f"{what}: no arm is forgotten",
                         min(folder.control.get()["weights"].values()) >= 0.01 - 1e-9,
                         folder.control.get()["weights"])
            check_arms(report, what, arms)


def check_arms(report, what, arms):
    """count, avg_reward, selection_rate and interval belong together."""
    report.equal(f"{what}: the arms", sorted(arms), ARMS)
    for name, arm in arms.items():
        low, high = arm["interval"]
        report.check(f"{what}: {name}'s interval is about its mean",
                     arm["rewards"] == 0 or low <= arm["avg_reward"] <= high, arm)
        report.check(f"{what}: {name} was asked as often as rewarded, or more",
                     arm["count"] >= arm["rewards"], arm)
    total = sum(arm["count"] for arm in arms.values())
    report.check(f"{what}: the rates are those of the counts", all(
        abs(arm["selection_rate"] - arm["count"] / total) < 1e-9 for arm in arms.values()), arms)
    report.check(f"{what}: v2 is known to be best", arms["v2"]["avg_reward"] ==
                 max(arm["avg_reward"] for arm in arms.values()), arms)
    report.check(f"{what}: and best known", arms["v2"]["interval"][1] -
                 arms["v2"]["interval"][0] <= min(
                     arm["interval"][1] - arm["interval"][0] for arm in arms.values()), arms)


def without_pending(arms):
    return {name: {key: value for key, value in arm.items() if key != "pending"}
            for name, arm in arms.items()}


def exact(report):
    """Counts and means are those of what was told, whatever the order; every reward counts once."""
    with Arms() as folder:
        folder.start()
        asked = folder.predict(600)
        chance = random.Random(2)
        told = [{"request_id": id, "reward": chance.choice((0, 0.25, 0.5, 1))} for id, _ in asked]
        version_of = dict(asked)
        chance.shuffle(told)
        time.sleep(1.2)  # late
        answers = folder.feed(*told[:500])
        report.equal("taken", {status for status, _ in answers}, {200})
        report.check("it says whose reward it was", all(
            body["model_version"] == version_of[each["request_id"]]
            for each, (_, body) in zip(told, answers)), answers[:2])
        arms = folder.arms()
        for version in ARMS:
            rewards = [each["reward"] for each in told[:500]
                       if version_of[each["request_id"]] == version]
            report.equal(f"{version}: how often it was asked", arms[version]["count"],
                         sum(each == version for _, each in asked))
            report.equal(f"{version}: how many rewards", arms[version]["rewards"], len(rewards))
            report.check(f"{version}: their mean", not rewards or abs(
                arms[version]["avg_reward"] - sum(rewards) / len(rewards)) < 1e-9, arms)
        pending = sum(folder.control.get()["feedback"]["pending"])
        report.equal("the others are waited for", pending, 100)
        again = folder.feed(*told[:500])
        report.equal("told twice", {status for status, _ in again}, {409})
        report.equal("which changes nothing", without_pending(folder.arms()),
                     without_pending(arms))
        time.sleep(LEARNS)
        report.equal("so many are waited for, by arm",
                     sum(arm["pending"] for arm in folder.arms().values()), 100)
        report.equal("the rest", {status for status, _ in folder.feed(*told[500:])}, {200})


def refused(report):
    with Arms() as folder:
        folder.start()
        id, _ = folder.predict(1)[0]
        # It is noticed at the next look at what was answered.
        wait_until(lambda: sum(arm["pending"] for arm in folder.arms().values()) == 1, 5)
        before = folder.arms()
        for what, body, expected in (
                ("an unknown id", {"request_id": "nobody", "reward": 1}, 404),
                ("another model", {"request_id": id, "reward": 1, "model": "other"}, 404),
                ("an unknown model", {"request_id": id, "reward": 1, "model": "nobody"}, 404),
                ("no id", {"reward": 1}, 400),
                ("an empty id", {"request_id": "", "reward": 1}, 400),
                ("a number as id", {"request_id": 7, "reward": 1}, 400),
                ("nothing told", {"request_id": id}, 400),
                ("a text as reward", {"request_id": id, "reward": "good"}, 400),
                ("null as reward", {"request_id": id, "reward": None}, 400),
                ("NaN", {"raw": f'{{"request_id":"{id}","reward":NaN}}'}, 400),
                ("too large a number", {"raw": f'{{"request_id":"{id}","reward":1e999}}'}, 400),
                ("2.0", {"request_id": id, "reward": 2.0}, 400),
                ("-1", {"request_id": id, "reward": -1}, 400),
                ("a class where there are none", {"request_id": id, "true_label": "good"}, 400),
                ("a list", {"raw": "[]"}, 400), ("not JSON", {"raw": "{"}, 400)):
            status, body = folder.feed(body)[0]
            report.check(f"{what}: {expected} with a reason",
                         status == expected and body["error"]["message"], (status, body))
        report.equal("nothing has changed", folder.arms(), before)
        report.equal("GET /feedback", folder.server.get("/feedback")[0], 405)
        report.equal("it can still be told",
                     folder.feed({"request_id": id, "reward": 1})[0][0], 200)
        report.equal("on the management port, too", folder.control.call(
            "POST", "/feedback", {"request_id": folder.predict(1)[0][0], "reward": 1})[0], 200)
        named = json.loads(oip.Rest(folder.server).call(
            "POST", "/models/m/versions/v1/predict", {"features": [0.5, 0]})[1])["request_id"]
        report.equal("of a version that was named",
                     folder.feed({"request_id": named, "reward": 1})[0][0], 404)
        other = Control(folder.server, "other")
        report.equal("no bandit there", other.bandit()[0], 404)
        report.equal("no such model", Control(folder.server, "nobody").bandit()[0], 404)
        bad_specs(report, folder.control)


def bad_specs(report, control):
    # What was asked last is counted a moment after it was answered.
    before = control.get()
    while (now := (time.sleep(0.3), control.get())[1]) != before:
        before = now
    for what, more, expected in (
            ("one arm", {"arms": ["v1"]}, 400), ("no arms", {"arms": []}, 400),
            ("an arm twice", {"arms": ["v1", "v1"]}, 400), ("unknown", {"arms": ["v1", "v9"]}, 404),
            ("algorithm", {"algorithm": "luck"}, 400), ("epsilon of 2", {"epsilon": 2}, 400),
            ("epsilon of -1", {"epsilon": -0.1}, 400), ("no ttl", {"reward_ttl": "0s"}, 400),
            ("rewards", {"rewards": "gold"}, 400), ("min_share", {"min_share": 0.9}, 400),
            ("a shadow among the arms", {"shadow": ["v1"]}, 400),
            ("unknown key", {"algoritm": "ucb1"}, 400)):
        status, text = message(control.put({"policy": "bandit", "arms": ARMS, **more}))
        report.check(f"{what}: {expected} with a reason", status == expected and text,
                     (status, text))
    report.equal("it runs on as it was", control.get(), before)


def which_rewards(report):
    """0 to 1 for ucb1 and Bernoulli rewards, any number for the others."""
    for more, unit in (({"algorithm": "ucb1"}, True), ({"algorithm": "thompson"}, True),
                       ({"algorithm": "epsilon_greedy"}, False),
                       ({"algorithm": "thompson", "rewards": "gaussian"}, False)):
        with Arms() as folder:
            folder.start(**more)
            for reward, inside in ((0, True), (1, True), (0.5, True), (1.0001, False),
                                   (-0.0001, False), (2.0, False), (-1, False), (1e6, False)):
                id, _ = folder.predict(1)[0]
                status, body = folder.feed({"request_id": id, "reward": reward})[0]
                report.equal(f"{more}: {reward}: {body}", status,
                             200 if inside or not unit else 400)


def labels(report):
    """`true_label` with the request, later, and as the name of a class."""
    rows = golden("breast_cancer.v1")[:60]
    with Folder() as folder:
        shutil.copytree(MODELS / "breast_cancer", folder.path / "breast_cancer")
        server = folder.serve()
        control = Control(server, "breast_cancer")
        report.equal("started", control.put({"policy": "bandit", "arms": ["v1", "v2"]})[0], 200)

        def ask(**more):
            with Pipe(server) as pipe:
                out = pipe.ask([request("breast_cancer", row["features"], **more)
                                for row in rows])
            time.sleep(0.03)  # as in lib/arms.py
            return [body for _, body in out]

        def told(bodies, right):
            with Pipe(server) as pipe:
                out = pipe.ask([feedback(request_id=body["request_id"], true_label=right(body))
                                for body in bodies])
            return [(status, body.get("reward")) for status, body in out]

        def sums():
            arms = control.bandit()[1].values()
            return (sum(arm["rewards"] for arm in arms),
                    round(sum(arm["rewards"] * arm["avg_reward"] for arm in arms), 6))

        with_it = ask(true_label=1)
        right = sum(body["prediction"] == 1 for body in with_it)
        wait_until(lambda: sums()[0] == 60, 5)
        report.equal("in the request", sums(), (60, right))
        report.equal("and not once more", {status for status, _ in told(
            with_it, lambda body: 1)}, {409})
        report.equal("later, right", set(told(ask(), lambda body: body["prediction"])),
                     {(200, 1.0)})
        report.equal("later, wrong", set(told(ask(), lambda body: 1 - body["prediction"])),
                     {(200, 0.0)})
        report.equal("the sums", sums(), (180, right + 60))
        named = ask()
        with Pipe(server) as pipe:
            out = pipe.ask([feedback(model="breast_cancer", request_id=body["request_id"],
                                     true_label=body["label"]) for body in named])
        report.equal("by the class's name", {(status, body.get("reward")) for status, body in out},
                     {(200, 1.0)})
        report.equal("without the model, where there is only one",
                     set(told(ask(), lambda body: body["label"])), {(200, 1.0)})
        with Pipe(server) as pipe:
            status, body = pipe.ask([feedback(model="breast_cancer", true_label="unclear",
                                              request_id=ask()[0]["request_id"])])[0]
        report.check("no such class", status == 400 and "malignant" in str(body), (status, body))


def every_protocol(report):
    """Feedback finds a request by its id, whatever it came by."""
    with Arms() as folder, rpc.channel(folder.server.grpc) as channel:
        folder.start()
        rest = oip.Rest(folder.server)
        tensor = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [0.5, 0.0]}
        rest.call("POST", "/v2/models/m/infer", {"id": "oip-rest", "inputs": [tensor]})
        rest.call("POST", "/v1/models/m:predict", {"instances": [[0.5, 0]]},
                  {"X-Request-Id": "tfserving"})
        rest.call("POST", "/models/m/predict", {"features": [0.5, 0], "request_id": "field"})
        rest.call("POST", "/models/m/predict", {"features": [0.5, 0]}, {"X-Request-Id": "header"})
        rpc.predict(channel)(rpc.prediction_pb2.PredictRequest(
            features=[0.5, 0], model="m", request_id="simple-grpc"), timeout=20)
        rpc.Oip(channel).ModelInfer(oip.grpc_request(
            "m", "", [oip.Tensor("x", "FP32", [1, 2], [0.5, 0.0])], id="oip-grpc"), timeout=20)
        for id in ("oip-rest", "tfserving", "field", "header", "simple-grpc", "oip-grpc"):
            status, body = folder.feed({"request_id": id, "reward": 1})[0]
            report.equal(f"{id}: {body}", status, 200)


def straight_away(report):
    """Whoever has the answer can tell what it was worth, on any connection."""
    with Arms() as folder:
        folder.start()
        statuses = Counter()
        # Some of them belong to other threads of the server than the first.
        others = [Pipe(folder.server) for _ in range(8)]
        with Pipe(folder.server) as one:
            for i in range(3000):
                id = one.ask([request()])[0][1]["request_id"]
                told = others[i % 8].ask([feedback(request_id=id, reward=1)])
                statuses[told[0][0]] += 1
        report.equal("all is taken", dict(statuses), {200: 3000})


def too_late(report):
    with Arms() as folder:
        folder.start(reward_ttl="1s")
        asked = folder.predict(20)
        report.equal("in time", folder.feed({"request_id": asked[0][0], "reward": 1})[0][0], 200)
        time.sleep(1.3)
        status, body = folder.feed({"request_id": asked[1][0], "reward": 1})[0]
        report.check("after reward_ttl", status in (404, 410), (status, body))
        time.sleep(2)
        statuses = {status for status, _ in folder.feed(
            *({"request_id": id, "reward": 1} for id, _ in asked))}
        report.check("and long after", statuses <= {404, 409, 410} and statuses, statuses)
        arms = folder.arms()
        report.equal("one reward", sum(arm["rewards"] for arm in arms.values()), 1)
        report.equal("none is waited for", sum(folder.control.get()["feedback"]["pending"]), 0)
        folder.start(reward_ttl="1s", default_reward=0)
        had = sum(arm["rewards"] for arm in folder.arms().values())
        folder.predict(30)
        report.check("what does not come is worth the default", wait_until(
            lambda: sum(arm["rewards"] for arm in folder.arms().values()) == had + 30, 8)
            is not None, folder.arms())


if __name__ == "__main__":
    Report("bandit").run(algorithms, exact, refused, which_rewards, labels, every_protocol,
                         straight_away, too_late)
