#!/usr/bin/python3
"""Splits: who gets which version, that everybody keeps his, and what is refused."""

import hashlib
import json
import math
import tempfile
import time
from collections import Counter
from pathlib import Path

from lib import oip, rpc
from lib.folder import LOOKING, wait_until
from lib.release import (ARMS, ROW, Control, Pipe, Split, arms_of, at_once, code, message, request,
                         told, user_clients, versions, words)
from lib.server import Report

# A count that chance puts outside of so many standard deviations: once in two million.
SIGMAS = 5


def near(count, of, share):
    """Whether chance explains it."""
    expected = of * share
    # A few of many have a longer tail above than the bell that the rest is measured by.
    more = 3 if 0 < expected < 10 else 1
    return abs(count - expected) <= SIGMAS * math.sqrt(expected * (1 - share)) + more


def names(count, prefix="user"):
    return [f"{prefix}-{i}" for i in range(count)]


def refused(report):
    """Each mistake is told in words, and changes nothing."""
    with Split() as folder:
        control = folder.control
        control.split(v1=0.5, v2=0.5)
        before = control.get()

        def weights(text):
            return '{"policy":"split","weights":' + text + "}"

        for what, body, status, said in (
                ("a sum of 0.9", weights('{"v1":0.5,"v2":0.4}'), 400, "0.9"),
                ("a sum of 1.1", weights('{"v1":0.6,"v2":0.5}'), 400, "1.1"),
                ("a sum just too far off", weights('{"v1":0.500003,"v2":0.5}'), 400, "sum"),
                ("negative", weights('{"v1":-0.5,"v2":1.5}'), 400, "-0.5"),
                ("above 1", weights('{"v1":1.5}'), 400, "1.5"),
                ("NaN is no JSON", weights('{"v1":NaN,"v2":0.5}'), 400, "JSON"),
                ("Infinity is no JSON", weights('{"v1":Infinity}'), 400, "JSON"),
                ("too large a number", weights('{"v1":1e999}'), 400, ""),
                ("null", weights('{"v1":null,"v2":1}'), 400, ""),
                ("true", weights('{"v1":true}'), 400, "true"),
                ("a text", weights('{"v1":"half","v2":0.5}'), 400, "half"),
                ("a list", weights("[0.5,0.5]"), 400, "list"),
                ("no weights", weights("{}"), 400, "weights"),
                ("a version twice", weights('{"v1":0.5,"v1":0.5}'), 400, "twice"),
                ("an unknown version", weights('{"v1":0.5,"v9":0.5}'), 404, "v9"),
                ("a bad name", weights('{"v1":0.5,"../v2":0.5}'), 400, ""),
                ("an unknown key", '{"policy":"split","weigths":{"v1":1}}', 400, "'weights'"),
                ("another policy's key", '{"policy":"split","weights":{"v1":1},"stable":"v1"}', 400,
                 "stable"),
                ("an unknown policy", '{"policy":"spilt","weights":{"v1":1}}', 400, "split"),
                ("no policy", '{"weights":{"v1":1}}', 400, "policy"),
                ("an unknown assignment",
                 '{"policy":"split","weights":{"v1":1},"assignment":"md5"}', 400, "seed"),
                ("a list as release", "[]", 400, "object"),
                ("not JSON", "{", 400, "JSON")):
            got, text = message(control.put(body))
            report.check(f"{what}: {status}", got == status and said in text, (got, text))
        report.equal("an unknown model", Control(folder.server, "nobody").put(
            {"policy": "split", "weights": {"v1": 1}})[0], 404)
        report.equal("GET of an unknown model",
                     control.call("GET", "/api/models/nobody/release")[0], 404)
        report.equal("nothing has changed", control.get(), before)
        for off in (9e-7, -9e-7):
            report.equal(f"a sum off by {off}", control.put(
                {"policy": "split", "weights": {"v1": 0.5 + off, "v2": 0.5}})[0], 200)
        report.equal("not on the public port", folder.server.get("/api/models/m/release")[0], 404)
        report.equal("POST is not PUT",
                     control.call("POST", "/api/models/m/release", {})[0], 405)


def by_chance(report):
    with Split() as folder:
        shares = {"v1": 0.7, "v2": 0.2, "v3": 0.1, "v4": 0.0}
        folder.control.split(**shares)
        count = 6000
        drawn = Counter(versions(folder.server, [request()] * count))
        sticky = Counter(arms_of(folder.server, names(count)).values())
        for version, share in shares.items():
            report.check(f"{version} by chance", near(drawn[version], count, share), drawn)
            report.check(f"{version} of users", near(sticky[version], count, share), sticky)
        report.check("all are counted", wait_until(lambda: sum(
            arm["requests"] for arm in folder.control.get()["arms"].values()) == 2 * count, 2)
            is not None, folder.control.get()["arms"])
        status = folder.control.get()
        report.check("no alarm of the sample ratio", not status["sample_ratio"]["alarm"], status)
        with Pipe(folder.server) as pipe:
            answers = pipe.ask([request(user_id=name) for name in names(200)])
        wrong = [body for _, body in answers
                 if body["prediction"] != 0.5 + code(body["model_version"])]
        report.equal("the version that is named is the one that answers", wrong, [])


def every_protocol(report):
    with Split() as folder, rpc.channel(folder.server.grpc) as channel:
        folder.control.split(v1=0.25, v2=0.25, v3=0.25, v4=0.25)
        users = [*names(100), "a b", "42", "x" * 256, "#1&=?"]
        expected = arms_of(folder.server, users)
        report.equal("all arms are met", set(expected.values()), set(ARMS))
        for how, ask in user_clients(folder.server, channel).items():
            got = {user: told(ask, user) for user in users}
            wrong = {user: answer for user, answer in got.items() if answer != expected[user]}
            report.equal(f"{how}: the same arms", wrong, {})
        report.equal("a number is its text",
                     versions(folder.server, [request(user_id=42)]), [expected["42"]])
        tfserving = oip.Rest(folder.server)
        _, data = tfserving.call("POST", "/v1/models/m:predict", {"instances": [[0.5, 0]]},
                                 {"X-User-Id": users[0]})
        report.equal("TensorFlow Serving", json.loads(data)["predictions"][0][0],
                     0.5 + code(expected[users[0]]))
        bad_users(report, folder, channel)


def bad_users(report, folder, channel):
    stubs, rest = rpc.Oip(channel), oip.Rest(folder.server)
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [0.5, 0.0]}
    simple = rpc.prediction_pb2.PredictRequest(features=[0.5, 0], model="m")
    for what, user in (("empty", ""), ("257 bytes", "u" * 257)):
        with Pipe(folder.server) as pipe:
            field, header = pipe.ask([request(user_id=user),
                                      request(headers={"X-User-Id": user})])
        report.equal(f"{what} field", field[0], 400)
        report.equal(f"{what} header", header[0], 400)
        report.equal(f"{what} OIP parameter", rest.status(
            "POST", "/v2/models/m/infer", {"inputs": [tensor], "parameters": {"user_id": user}}),
            400)
        ask = oip.grpc_request("m", "", [ROW])
        ask.parameters["user_id"].string_param = user
        report.equal(f"{what} OIP gRPC parameter", rpc.failure(stubs.ModelInfer, ask)[0],
                     "INVALID_ARGUMENT")
        report.equal(f"{what} metadata", rpc.failure(
            rpc.predict(channel), simple, metadata=[("x-user-id", user)])[0], "INVALID_ARGUMENT")
    simple.user_id = "u" * 257
    report.equal("257 bytes, gRPC field", rpc.failure(rpc.predict(channel), simple)[0],
                 "INVALID_ARGUMENT")
    status, body = Pipe(folder.server).ask([request(user_id=["u"])])[0]
    report.equal(f"a list as user: {body}", status, 400)


def moves(report, what, before, after, shrunk, grown, share):
    """Only from arms that shrink to arms that grow, and no more than must."""
    moved = [(before[user], after[user]) for user in before if before[user] != after[user]]
    wrong = [move for move in moved if move[0] not in shrunk or move[1] not in grown]
    report.equal(f"{what}: nobody else moves", wrong, [])
    report.check(f"{what}: no more than must", near(len(moved), len(before), share),
                 f"{len(moved)} of {len(before)}, where {share} should")


def monotone(report):
    with Split() as folder:
        users = names(5000)

        def now(**weights):
            folder.control.split(**weights)
            return arms_of(folder.server, users)

        arms = now(v1=0.95, v2=0.05)
        for share, before in ((0.1, 0.05), (0.5, 0.1), (0.2, 0.5), (0.2001, 0.2), (0.6, 0.2001),
                              (1.0, 0.6), (0.3, 1.0)):
            after = now(v1=1 - share, v2=share)
            up = share > before
            moves(report, f"v2 from {before} to {share}", arms, after,
                  {"v1"} if up else {"v2"}, {"v2"} if up else {"v1"}, abs(share - before))
            arms = after
        report.equal("the same weights again: nobody moves", now(v1=0.7, v2=0.3), arms)
        report.equal("in another order, too", now(v2=0.3, v1=0.7), arms)
        report.equal("and with an arm of nothing", now(v1=0.7, v2=0.3, v3=0), arms)
        after = now(v1=0.4, v2=0.3, v3=0.3)
        moves(report, "a third arm", arms, after, {"v1"}, {"v3"}, 0.3)
        moves(report, "the third arm goes", after, now(v1=0.5, v2=0.5), {"v3"}, {"v1", "v2"}, 0.3)


def four_arms(report):
    with Split() as folder:
        users, arms, last = names(5000), None, None
        for weights in ((0.4, 0.3, 0.2, 0.1), (0.3, 0.3, 0.2, 0.2), (0.25, 0.25, 0.25, 0.25),
                        (0.1, 0.2, 0.3, 0.4), (0.4, 0.3, 0.2, 0.1), (0.0, 0.5, 0.5, 0.0),
                        (0.25, 0.25, 0.25, 0.25)):
            folder.control.split(**dict(zip(ARMS, weights)))
            after = arms_of(folder.server, users)
            shares = Counter(after.values())
            report.check(f"the shares {weights}", all(
                near(shares[arm], len(users), share) for arm, share in zip(ARMS, weights)), shares)
            if arms:
                change = {arm: new - old for arm, new, old in zip(ARMS, weights, last)}
                moves(report, f"to {weights}", arms, after,
                      {arm for arm in ARMS if change[arm] < -1e-9},
                      {arm for arm in ARMS if change[arm] > 1e-9},
                      sum(max(0, each) for each in change.values()))
            arms, last = after, weights


def seeds_arm(user, weights):
    """The seed's own lines."""
    place = (int(hashlib.md5(user.encode()).hexdigest(), 16) % 10000) / 10000.0
    cumulative = 0
    for version, weight in weights.items():
        cumulative += weight
        if place < cumulative:
            return version
    return list(weights)[0]


def at_borders(weights):
    """Users whose md5 is where one arm ends and the next begins."""
    borders, cumulative = set(), 0
    for weight in weights.values():
        cumulative += round(weight * 10000)
        borders |= {cumulative - 1, cumulative % 10000}
    slots = ((user, int(hashlib.md5(user.encode()).hexdigest(), 16) % 10000)
             for user in names(60000, "border"))
    return [user for user, slot in slots if slot in borders]


def seed_assignment(report):
    with Split() as folder:
        for weights in ({"v1": 0.9, "v2": 0.1}, {"v1": 0.1, "v2": 0.2, "v3": 0.7},
                        {"v1": 0.7, "v2": 0.2, "v3": 0.1},
                        {"v1": 0.3, "v2": 0.3, "v3": 0.3, "v4": 0.1},
                        {"v2": 0.3, "v1": 0.7}):
            status, body = folder.control.put(
                {"policy": "split", "assignment": "seed", "weights": weights})
            report.equal(f"{weights}", (status, body.get("assignment")), (200, "seed"))
            users = names(3000) + ["Zoë", "日本", "a b", "x" * 256] + at_borders(weights)
            got = arms_of(folder.server, users)
            wrong = {user: (got[user], seeds_arm(user, weights)) for user in users
                     if got[user] != seeds_arm(user, weights)}
            report.check(f"{weights}: as the seed assigns", not wrong, f"{len(wrong)} of "
                         f"{len(users)} differ (got, expected), such as {list(wrong.items())[:3]}")


def independent(report):
    with Split() as folder:
        users = names(4000)
        folder.control.split(v1=0.5, v2=0.5)
        other = Control(folder.server, "other")
        other.split(v1=0.5, v2=0.5)
        first, second = arms_of(folder.server, users), arms_of(folder.server, users, "other")
        both = sum(first[user] == second[user] for user in users)
        report.check("two models: independent", near(both, len(users), 0.5), both)
        report.equal("removed", folder.control.delete()[0], 200)
        folder.control.split(v1=0.5, v2=0.5)
        again = arms_of(folder.server, users)
        both = sum(first[user] == again[user] for user in users)
        report.check("a new release: other guinea pigs", near(both, len(users), 0.5), both)
        report.equal("the other model's stay", arms_of(folder.server, users, "other"), second)


def picked(report):
    """X-Sluice-Version, where it is allowed."""
    with Split() as folder, rpc.channel(folder.server.grpc) as channel:
        folder.control.split(v1=1.0, v2=0.0)
        header = {"X-Sluice-Version": "v3"}
        rest, infer = oip.Rest(folder.server), rpc.Oip(channel).ModelInfer
        tensor = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [0.5, 0.0]}
        simple = rpc.prediction_pb2.PredictRequest(features=[0.5, 0], model="m")

        def asked(version):
            meta = [("x-sluice-version", version)]
            return {
                "REST": lambda: versions(folder.server, [request(
                    headers={"X-Sluice-Version": version})])[0],
                "OIP REST": lambda: json.loads(rest.call(
                    "POST", "/v2/models/m/infer", {"inputs": [tensor]},
                    {"X-Sluice-Version": version})[1])["model_version"],
                "simple gRPC": lambda: rpc.predict(channel)(
                    simple, timeout=20, metadata=meta).model_version,
                "OIP gRPC": lambda: infer(oip.grpc_request("m", "", [ROW]), timeout=20,
                                          metadata=meta).model_version}

        for how, ask in asked("v3").items():
            report.equal(f"{how}: the version that is asked for", ask(), "v3")
        for how, ask in asked("v2").items():
            report.equal(f"{how}: an arm", ask(), "v2")
        rest.call("POST", "/models/m/versions/v2/predict", {"features": [0.5, 0]})
        time.sleep(0.1)  # whatever is counted would be by now
        requests = {name: arm["requests"] for name, arm in folder.control.get()["arms"].items()}
        report.equal("those are no evidence", requests, {"v1": 0, "v2": 0})
        with Pipe(folder.server) as pipe:
            status, body = pipe.ask([request(headers={"X-Sluice-Version": "v9"})])[0]
        report.check("an unknown one", status == 404 and "v9" in str(body), (status, body))
        report.equal("… by gRPC", rpc.failure(infer, oip.grpc_request("m", "", [ROW]),
                                              metadata=[("x-sluice-version", "v9")])[0],
                     "NOT_FOUND")
        forbidden(report, folder, header)


def forbidden(report, folder, header):
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch, "sluice.yaml")
        file.write_text("version_header: false\n")
        server = folder.serve(*LOOKING, "--config", str(file))
        with Pipe(server) as pipe, rpc.channel(server.grpc) as channel:
            status, body = pipe.ask([request(headers=header)])[0]
            report.equal(f"REST refuses: {body}", status, 403)
            report.equal("without it all is well", pipe.ask([request()])[0][0], 200)
            report.equal("gRPC refuses", rpc.failure(
                rpc.Oip(channel).ModelInfer, oip.grpc_request("m", "", [ROW]),
                metadata=[("x-sluice-version", "v3")])[0], "PERMISSION_DENIED")


def revisions(report):
    with Split() as folder:
        control = folder.control
        body = {"policy": "split", "weights": {"v1": 0.5, "v2": 0.5}}
        first = control.put(body)[1]["revision"]
        report.equal("GET has it", control.get()["revision"], first)
        second = control.put(body, if_match=first)[1]["revision"]
        report.check("each change has a revision of its own", second > first, (first, second))
        before = control.get()
        report.equal("an old If-Match", control.put(body, if_match=first)[0], 409)
        report.equal("an old revision", control.put({**body, "revision": first})[0], 409)
        report.equal("one that is still to come", control.put({**body, "revision": second + 1})[0],
                     409)
        report.equal("two that contradict",
                     control.put({**body, "revision": second}, if_match=first)[0], 400)
        report.equal("no number", control.put({**body, "revision": "x"})[0], 400)
        report.equal("a promotion of an old one",
                     control.act("promote", version="v1", revision=first)[0], 409)
        report.equal("a removal of an old one", control.delete(if_match=first)[0], 409)
        report.equal("nothing has changed", control.get(), before)
        for turn in range(20):
            now = control.get()["revision"]
            mine = [{**body, "weights": {"v1": share, "v2": 1 - share}} for share in (0.25, 0.75)]
            answers = at_once(*(lambda each=each: control.put(each, if_match=now)
                                for each in mine))
            won = [i for i, answer in enumerate(answers) if answer[0] == 200]
            report.check(f"two at once, {turn}: one wins", sorted(
                status for status, _ in answers) == [200, 409], answers)
            if len(won) == 1:
                report.equal("and it is his", control.get()["weights"], mine[won[0]]["weights"])
        deleted(report, control, body)


def deleted(report, control, body):
    last = control.get()
    report.equal("removed", control.delete(if_match=last["revision"])[0], 200)
    now = control.get()
    report.equal("the newest takes the traffic", now["weights"], {"v4": 1.0})
    report.check("the decisions are still told", "remove" in words(now), now["history"])
    report.equal("there is nothing left to remove", control.delete()[0], 404)
    report.equal("or to promote", control.act("promote", version="v1")[0], 404)
    report.equal("an old revision starts nothing",
                 control.put(body, if_match=last["revision"])[0], 409)
    again = control.put(body)[1]["revision"]
    report.check("revisions are never used twice", again > last["revision"],
                 (again, last["revision"]))


if __name__ == "__main__":
    Report("release_split").run(refused, by_chance, every_protocol, monotone, four_arms,
                                seed_assignment, independent, picked, revisions)
