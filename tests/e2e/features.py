#!/usr/bin/python3
"""Predict from an entity: features out of a real Redis, Feast's layouts in Redis and SQLite as an
independent encoder writes them, and the embedded store; joined, overridden, aged, defaulted; told in
the answer, the log, the metrics and the traces."""

import datetime
import json
import sqlite3
import subprocess
import tempfile
import time
from pathlib import Path

from lib import feast_encoder as feast
from lib import otlp, rpc, tiny_onnx
from lib.entities import Entities
from lib.faults import Web, reply
from lib.folder import wait_until
from lib.redis import Redis
from lib.server import BINARY, Report, environment

NAMES = "names: [age, income]"
NOON = 1795694400  # 2026-11-26T12:00:00Z


def in_redis(redis, key="user:{user_id}", time_field="at"):
    return f"""feature_stores:
  - {{name: users, url: "{redis.url}", key: "{key}", time_field: {time_field}}}
"""


def from_redis(redis, features=NAMES, more="", **options):
    return Entities(f"store: users\nentity: user_id\n{features}", stores=in_redis(redis),
                    more=more, **options)


# --- what an answer says ----------------------------------------------------------------------


def run(arguments):
    return subprocess.run([BINARY, *arguments], capture_output=True, text=True, env=environment(),
                          check=False)


def answers(report):
    with Redis() as redis:
        redis.hset("user:u42", {"age": "41", "income": "2.5", "at": NOON, "other": "x"})
        redis.hset("user:7", {"age": "20", "income": "1e3", "at": NOON + 0.25})
        with from_redis(redis) as m:
            status, answer = m.predict("u42")
            report.equal("it is answered", (status, answer["prediction"]), (200, 1041))
            report.equal("what the model saw", answer["features_used"], {"age": 41, "income": 2.5})
            report.equal("and of when", answer["feature_times"],
                         {"age": "2026-11-26T12:00:00Z", "income": "2026-11-26T12:00:00Z"})
            report.check("nothing to warn of", "warnings" not in answer)
            report.equal("a number is the same entity", m.predict(7)[1]["feature_times"]["age"],
                         "2026-11-26T12:00:00.250Z")
            report.equal("by its key's name", m.used({"user_id": "u42"}), {"age": 41, "income": 2.5})
            status, rows = m.predict(["u42", 7, "u42"])
            report.equal("rows", (rows["prediction"], [r["income"] for r in rows["features_used"]]),
                         ([1041, 1020, 1041], [2.5, 1000, 2.5]))
            report.equal("of one entity in a list", m.predict(["u42"])[1]["prediction"], [1041])
            report.equal("an unknown one", m.used("nobody"), (404, "unknown_entity"))
            message = m.predict(["u42", "nobody"])[1]["error"]["message"]
            report.check("which it is", "'nobody'" in message, message)
            report.equal("a list is the whole row", m.predict("u42", features=[5, 6])[1]["prediction"],
                         1005)
            redis.hset("user:late", {"age": "1", "income": "1"})
            stages = m.predict("late", debug=True)[1]["debug"]["stages_ms"]
            report.check("with debug the time that it waited", stages.get("features", 0) > 0, stages)
            stages = m.predict("late", debug=True)[1]["debug"]["stages_ms"]
            report.check("and none where it did not", "features" not in stages, stages)


def overrides(report):
    with Redis() as redis:
        redis.hset("user:u", {"age": "41", "income": "2.5", "at": NOON})
        with from_redis(redis) as m:
            status, answer = m.predict("u", features={"age": 50})
            report.equal("sent before fetched", answer["features_used"], {"age": 50, "income": 2.5})
            report.equal("and has no time", list(answer["feature_times"]), ["income"])
            report.equal("all sent, nothing fetched", m.used("nobody", features={"age": 1, "income": 2}),
                         {"age": 1, "income": 2})
            report.equal("without an entity", m.predict(features={"age": 1, "income": 2})[0], 200)
            report.equal("one is missing then", m.predict(features={"age": 1})[1]["error"]["code"],
                         "missing_feature")
            report.equal("row by row", [r["age"] for r in m.used(["u", "u"], features=[{}, {"age": 3}])],
                         [41, 3])
            report.equal("for all rows", [r["age"] for r in m.used(["u", "u"], features={"age": 3})],
                         [3, 3])
            report.equal("null is missing", m.used("u", features={"income": None})["income"], None)
            report.equal("a misspelt one", m.used("u", features={"agee": 1}), (400, "unknown_feature"))


def bad_values(report):
    with Redis() as redis:
        redis.hset("user:none", {"age": "41", "at": NOON})
        redis.hset("user:text", {"age": "old", "income": "1", "at": NOON})
        redis.hset("user:empty", {"age": "41", "income": "", "at": "soon"})
        redis.hset("user:huge", {"age": "1e300", "income": "1"})
        redis.call(["SET", "user:string", "x"])
        redis.hset(b"user:\x00\xff:\n", {"age": "3", "income": "4"})
        with from_redis(redis) as m:
            report.equal("a missing feature", m.used("none"), (400, "missing_feature"))
            report.equal("is sent", m.used("none", features={"income": 9})["income"], 9)
            report.equal("a text for a number", m.used("text"), (400, "wrong_type"))
            report.equal("too large", m.used("huge"), (400, "wrong_type"))
            report.equal("another type of key", m.used("string"), (400, "wrong_type"))
            status, answer = m.predict("empty")
            report.equal("an empty one is null", answer["features_used"]["income"], None)
            report.check("and said", "'income' has no value" in answer["warnings"][0], answer)
            report.equal("a time that is none", answer["feature_times"], {})
            report.check("no text of the data in the message",
                         "old" not in m.predict("text")[1]["error"]["message"])
            # What was wrong is right again at once: it was not kept.
            redis.hset("user:text", {"age": "20", "income": "1", "at": NOON})
            report.equal("put right", m.used("text"), {"age": 20, "income": 1})
            for bad in ("", None, True, 1.5, [], [[]], {}, {"x": 1}, "x" * 2000):
                report.equal(f"entity {json.dumps(bad)[:20]}", m.predict(bad)[0] if bad is not None
                             else m.predict(entity_id=None)[0], 400)
            report.equal("10^5 entities", m.used(["none"] * 100_000), (400, "too_many_rows"))
            report.equal("10^4 are answered", m.predict(["text"] * 10_000)[0], 200)
            report.equal("and others too", m.predict("text")[0], 200)


def keys(report):
    """Values of keys that look like others' keys are other entities."""
    with Redis() as redis:
        for user, shop, age in (("a:b", "c", 1), ("a", "b:c", 2), ("a", "b", 3)):
            key = user.replace(":", "\\:") + ":" + shop.replace(":", "\\:")
            redis.hset(key, {"age": age, "income": 1})
        stores = f'feature_stores: "users={redis.url}"\n'
        with Entities("store: users\nentity: [user_id, shop]\n" + NAMES, stores=stores) as m:
            for user, shop, age in (("a:b", "c", 1), ("a", "b:c", 2), ("a", "b", 3), ("a:b", "c", 1)):
                report.equal(f"{user} {shop}", m.used({"shop": shop, "user_id": user}),
                             {"age": age, "income": 1})
            report.equal("a key is missing", m.used({"user_id": "a"}), (400, "bad_entity"))
            report.equal("a key too many", m.used({"user_id": "a", "shop": "b", "x": 1}),
                         (400, "bad_entity"))
            report.equal("no object", m.used("a"), (400, "bad_entity"))


# --- what model.yaml says ---------------------------------------------------------------------


def defaults_and_age(report):
    define = NAMES + """
max_age: 1h
define:
  - {name: income, default: 7}
  - {name: age, max_age: 10d}
"""
    now = int(time.time())
    with Redis() as redis:
        redis.hset("user:fresh", {"age": 1, "income": 2, "at": now})
        redis.hset("user:old", {"age": 1, "income": 2, "at": now - 7200})
        redis.hset("user:none", {"age": 1, "at": now})
        with from_redis(redis, define.replace("10d", "240h")) as m:
            report.check("fresh", "warnings" not in m.predict("fresh")[1])
            warnings = m.predict("old")[1]["warnings"]
            report.check("stale", len(warnings) == 1 and "'income' is older than" in warnings[0],
                         warnings)
            report.equal("a default", m.used("none")["income"], 7)
            m.features("store: users\nentity: user_id\nstale: reject\nunknown: default\n" +
                       define.replace("10d", "240h"))
            wait_until(lambda: m.predict("old")[0] == 422)
            status, answer = m.predict("old")
            report.equal("refused", (status, answer["error"]["code"]), (422, "stale_feature"))
            detail = answer["error"]["details"][0]
            report.equal("with details", (detail["feature"], detail["bounds"]), ("income", [0, 3600]))
            report.equal("unknown, and not every feature has a default", m.used("nobody"),
                         (400, "missing_feature"))
            report.equal("unknown, with what was sent", m.used("nobody", features={"age": 4}),
                         {"age": 4, "income": 7})


def on_demand(report):
    features = """names: [utilisation, days]
define:
  - {name: utilisation, ratio: [balance, limit], default: -1}
  - {name: days, age: since}
  - {name: balance, from: bal}
"""
    buckets = """names: [band, gain]
define:
  - {name: band, bucket: amount, edges: [10, 100]}
  - {name: gain, difference: [logged, paid]}
  - {name: logged, log: amount}
"""
    since = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=3)
    with Redis() as redis:
        redis.hset("user:u", {"bal": 50, "limit": 200, "since": since.isoformat(), "paid": 1,
                              "at": NOON})
        redis.hset("user:zero", {"bal": 50, "limit": 0, "since": "2026-01-01", "paid": 1})
        with from_redis(redis, features) as m:
            used = m.used("u")
            report.equal("a ratio", used["utilisation"], 0.25)
            report.check("an age", abs(used["days"] - 3) < 0.01, used)
            report.equal("its time is that of what it is made of",
                         m.predict("u")[1]["feature_times"]["utilisation"], "2026-11-26T12:00:00Z")
            report.equal("through zero is the default", m.used("zero")["utilisation"], -1)
            report.equal("of what is sent", m.used("u", features={"balance": 100})["utilisation"], 0.5)
            report.equal("sent itself", m.used("u", features={"utilisation": 9})["utilisation"], 9)
        with from_redis(redis, buckets) as m:
            used = m.used("u", features={"amount": 100})
            report.equal("a bucket", used["band"], 2)
            report.check("a difference of a logarithm", abs(used["gain"] - 3.60517) < 1e-5, used)
            report.equal("what it is made of is missing", m.used("u"), (400, "missing_feature"))


def types(report):
    """What model.yaml says that a value is, whatever it looks like."""
    with Redis() as redis:
        redis.hset("user:u", {"age": "true", "income": "2026-11-26T12:00:00Z"})
        define = NAMES + "\ndefine: [{name: age, type: boolean}, {name: income, type: time}]"
        with from_redis(redis, define) as m:
            report.equal("a truth value and a time", m.used("u"), {"age": 1, "income": NOON - 64})
        with from_redis(redis, NAMES) as m:
            report.equal("else numbers are wanted", m.used("u"), (400, "wrong_type"))


def mistakes_in_yaml(report):
    with Redis() as redis:
        for features, word in (("names: [a, b, c]", "takes 2"),
                               (NAMES + "\ndefine: [{name: age, ratio: [age, income]}]", "itself"),
                               (NAMES + "\ndefine: [{name: x, log: age}]", "used by nothing")):
            with Entities("store: users\n" + features, stores=in_redis(redis, "{entity_id}"),
                          more="") as m:
                report.check(word, word in m.reason("m", "v1"), m.reason("m", "v1"))
        with Entities("store: nowhere\n" + NAMES) as m:
            report.check("no such store", "there is no feature store 'nowhere'" in m.reason("m", "v1"),
                         m.reason("m", "v1"))
        with Entities("store: users\n" + NAMES, stores=in_redis(redis, "user:{user}")) as m:
            report.check("the key's template", "user" in m.reason("m", "v1"), m.reason("m", "v1"))
    for features, words in (("names: [a, a]", "given twice"), ("ttl: soon", "duration"),
                            ("define: [{name: a, ratio: [b]}]", "two features"),
                            ("define: [{name: a, log: b, age: b}]", "two ways"),
                            ("stale: perhaps", "choices"), ("nmes: [a]", "did you mean 'names'"),
                            ("names: []", "names is empty"),
                            ("names: [a]\n  define: [{name: a, log: a}]", "made of itself"),
                            ("names: [a]\n  define: [{name: b, log: a}]", "used by nothing"),
                            ("names: [a]\n  define: [{name: a, entity: [b]}]", "features.entity")):
        with tempfile.TemporaryDirectory() as scratch:
            file = Path(scratch, "model.yaml")
            file.write_text(f"features:\n  {features}\n")
            told = run(["config", "check", file])
            report.check(f"config check: {features}", told.returncode == 65 and
                         ":2:" in told.stderr + told.stdout and words in told.stderr + told.stdout,
                         told)


# --- Feast --------------------------------------------------------------------------------------

TYPED = [("string", "u42", "string"), ("int32", -7, "int32"), ("int64", 2**40 + 1, "int64")]


def feast_redis(report):
    with Redis() as redis:
        for kind, value, _ in TYPED:
            key, fields = feast.redis_hash("shop", [("driver", kind, value)],
                                           {"stats:age": ("int64", 41), "stats:income": ("float", 2.5)},
                                           NOON)
            redis.hset(key, fields)
        stores = f'feature_stores: [{{name: users, url: "feast+{redis.url}", project: shop}}]\n'
        for _, value, kind in TYPED:
            features = f"""store: users
entity: {{name: driver, type: {kind}}}
names: [age, income]
define: [{{name: age, from: "stats:age"}}, {{name: income, from: "stats:income"}}]
"""
            with Entities(features, stores=stores) as m:
                status, answer = m.predict(value)
                report.equal(f"Feast in Redis by {kind}",
                             (status, answer.get("features_used"), answer.get("feature_times")),
                             (200, {"age": 41, "income": 2.5},
                              {"age": "2026-11-26T12:00:00Z", "income": "2026-11-26T12:00:00Z"}))
                report.equal("unknown", m.predict(99 if kind != "string" else "99")[0], 404)
                if kind != "string":
                    report.equal("no integer", m.used("x"), (400, "bad_entity"))
                status, shown = m.control(f"/api/features/users/{value}")
                report.equal("shown", (status, shown["features"]),
                             (200, {"stats:age": 41, "stats:income": 2.5}))


def feast_values(report):
    """Every type of value that a number can come from; 32-bit floats have 24 bits of a time."""
    kinds = [("int32", 5, 5), ("int64", 5, 5), ("double", 0.5, 0.5), ("float", 0.5, 0.5),
             ("bool", True, 1), ("string", "5", 5), ("unix_timestamp", NOON, NOON - 64), ("null", None, None)]
    with Redis() as redis:
        for number, (kind, value, _) in enumerate(kinds):
            key, fields = feast.redis_hash("p", [("id", "int64", number)],
                                           {"v:age": (kind, value), "v:income": ("double", 1)}, NOON)
            redis.hset(key, fields)
        key, fields = feast.redis_hash("p", [("id", "int64", 90)],
                                       {"v:age": ("double_list", [1, 2]), "v:income": ("double", 1)}, NOON)
        redis.hset(key, fields)
        redis.hset(feast.redis_hash("p", [("id", "int64", 91)], {}, NOON)[0],
                   {feast.redis_field("v:age"): b"\xff\xff\xff", feast.redis_field("v:income"): b"\x29"})
        stores = f'feature_stores: [{{name: users, url: "feast+{redis.url}", project: p}}]\n'
        with Entities("""store: users
entity: {name: id, type: int64}
names: [age, income]
define: [{name: age, from: "v:age"}, {name: income, from: "v:income"}]
""", stores=stores) as m:
            for number, (kind, _, seen) in enumerate(kinds):
                used = m.used(number)
                report.equal(kind, used["age"] if isinstance(used, dict) else used, seen)
            report.equal("a list is no number", m.used(90), (400, "wrong_type"))
            report.equal("garbage", m.used(91), (400, "wrong_type"))


class FeastFile:
    """Feast's online store in SQLite: a table for each view."""

    def __init__(self, path, project="shop"):
        self.path, self.project = path, project

    def write(self, view, keys, values, at=datetime.datetime(2026, 11, 26, 12)):
        """`values`: feature -> (kind, value)."""
        with sqlite3.connect(self.path) as database:
            database.execute(
                f"CREATE TABLE IF NOT EXISTS {self.project}_{view} (entity_key BLOB, feature_name TEXT, "
                "value BLOB, event_ts timestamp, created_ts timestamp, "
                "PRIMARY KEY(entity_key, feature_name))")
            database.executemany(
                f"INSERT INTO {self.project}_{view} VALUES (?, ?, ?, ?, NULL)",
                [(feast.entity_key(keys), name, feast.encode_value(*value), at.isoformat(" "))
                 for name, value in values.items()])
        database.close()

    @property
    def stores(self):
        return (f'feature_stores: [{{name: users, url: "feast+sqlite:{self.path}", '
                f'project: {self.project}}}]\n')


def feast_sqlite(report):
    """Two views of two entities, keys of every type, and every type of value."""
    with tempfile.TemporaryDirectory() as scratch:
        file = FeastFile(Path(scratch, "online_store.db"))
        file.write("users", [("user_id", "string", "u42")], {"age": ("int64", 41)})
        file.write("shops", [("shop", "int32", 3)], {"income": ("double", 2.5)})
        with Entities("""store: users
entity: [user_id, {name: shop, type: int32}]
names: [age, income]
define:
  - {name: age, from: "users:age", entity: [user_id]}
  - {name: income, from: "shops:income", entity: [shop]}
""", stores=file.stores) as m:
            status, answer = m.predict({"user_id": "u42", "shop": 3})
            report.equal("Feast in SQLite, two views of two entities",
                         (status, answer.get("features_used"), answer.get("feature_times")),
                         (200, {"age": 41, "income": 2.5},
                          {"age": "2026-11-26T12:00:00Z", "income": "2026-11-26T12:00:00Z"}))
            report.equal("one of them unknown", m.used({"user_id": "u42", "shop": 4}),
                         (404, "unknown_entity"))
            told = m.control("/api/features/users/user_id=u42,shop=3")
            report.equal("shown by both kinds of keys", (told[0], told[1].get("features")),
                         (200, {"users:age": 41, "shops:income": 2.5}))
        for kind, value, told in TYPED:
            file.write(f"by_{kind}", [("driver", kind, value)],
                       {"age": ("float", 41), "income": ("int32", 2)})
            features = f"""store: users
entity: {{name: driver, type: {told}}}
names: [age, income]
define: [{{name: age, from: "by_{kind}:age"}}, {{name: income, from: "by_{kind}:income"}}]
"""
            with Entities(features, stores=file.stores) as m:
                report.equal(f"Feast in SQLite by {kind}", m.used(value), {"age": 41, "income": 2})
        # Shown as they are; a number and lists of bits have no other writing in JSON.
        shown = [("string", "gold", "gold"), ("bytes", b"raw", "raw"), ("int32", -1, -1),
                 ("int64", 2**53 + 1, 2**53 + 1), ("double", 0.1, 0.1), ("float", 0.5, 0.5),
                 ("bool", True, True), ("unix_timestamp", NOON, NOON), ("null", None, None),
                 ("string_list", ["a", "b"], ["a", "b"]), ("bytes_list", [b"x"], ["x"]),
                 ("int32_list", [1, 2], [1, 2]), ("int64_list", [3], [3]),
                 ("double_list", [0.5], [0.5]), ("float_list", [0.25], [0.25]),
                 ("bool_list", [True, False], [1, 0]), ("unix_timestamp_list", [NOON], [NOON])]
        file.write("all", [("entity_id", "string", "every")],
                   {f"a_{kind}": (kind, value) for kind, value, _ in shown})
        with Entities("""store: users
names: [age, income]
define: [{name: age, from: "all:a_int32"}, {name: income, from: "all:a_double"}]
""", stores=file.stores) as m:
            told = m.control("/api/features/users/every")[1]["features"]
            for kind, _, want in shown:
                report.equal(f"shown: {kind}", told.get(f"all:a_{kind}", "nothing"), want)


def feast_http(report):
    """Feast's feature server, in both shapes of its answers."""
    known = {1001: (41, 2.5), 1002: (20, None)}
    for by_feature in (True, False):
        asked = []

        def answer(handler, by_feature=by_feature, asked=asked):
            body = json.loads(handler.body)
            asked.append(body)
            ids = body["entities"]["driver"]
            names = ["driver", *[name.replace(":", "__") for name in body["features"]]]
            columns = [ids, *[[known.get(one, (None, None))[i] for one in ids] for i in range(2)]]
            states = [["PRESENT"] * len(ids),
                      *[["NOT_FOUND" if one not in known else
                         "PRESENT" if known[one][i] is not None else "NULL_VALUE" for one in ids]
                        for i in range(2)]]
            times = [["2026-11-26T12:00:00Z"] * len(ids)] * 3
            parts = [columns, states, times]
            if not by_feature:
                parts = [list(map(list, zip(*part))) for part in parts]
            results = [{"values": v, "statuses": s, "event_timestamps": t} for v, s, t in zip(*parts)]
            reply(handler, json.dumps({"metadata": {"feature_names": names},
                                       "results": results}).encode(), kind="application/json")

        with Web(answer) as server:
            stores = f'feature_stores: [{{name: users, url: "feast+{server.url}"}}]\n'
            with Entities("""store: users
entity: {name: driver, type: int64}
names: [age, income]
define: [{name: age, from: "stats:age"}, {name: income, from: "stats:income"}]
""", stores=stores) as m:
                what = "by feature" if by_feature else "by entity"
                rows = m.predict([1001, 1002, 1001])
                report.equal(f"Feast over HTTP, {what}", (rows[0], rows[1].get("features_used")),
                             (200, [{"age": 41, "income": 2.5}, {"age": 20, "income": None},
                                    {"age": 41, "income": 2.5}]))
                report.equal("of when", rows[1]["feature_times"][0]["age"], "2026-11-26T12:00:00Z")
                report.equal("one question for all, each once",
                             [sorted(one["entities"]["driver"]) for one in asked], [[1001, 1002]])
                report.equal("unknown", m.used(7), (404, "unknown_entity"))


# --- who else sees it ---------------------------------------------------------------------------


def imported(report):
    """Tables of every kind; Parquet is what `sluice batch` makes of the CSV."""
    rows = [("u1", 1, 0.5), ("u2", 2**53 + 1, 1.5)]
    with tempfile.TemporaryDirectory() as state:
        csv, lines = Path(state, "users.csv"), Path(state, "users.jsonl")
        csv.write_text("user_id,age,income\n" + "".join(f"{u},{a},{i}\n" for u, a, i in rows))
        lines.write_text("".join(json.dumps({"user_id": u, "age": a, "income": i}) + "\n"
                                 for u, a, i in rows))
        folder = Path(state, "sum", "1")
        folder.mkdir(parents=True)
        (folder / "model.onnx").write_bytes(tiny_onnx.model(0))
        run(["batch", "--model", folder.parent, "--input", csv, "--output", csv.with_suffix(".parquet"),
             "--columns", "age,income"])
        for number, file in enumerate((csv, lines, csv.with_suffix(".parquet"))):
            told = run(["features", "import", file, "--entity", "user_id", "--state-dir", state,
                        "--store", f"s{number}", "--columns", "age,income", "--json"])
            report.check(f"import {file.suffix}", told.returncode == 0, told)
            got = run(["features", "get", "u2", "--state-dir", state, "--store", f"s{number}", "--json"])
            report.equal(f"all of it, exactly: {file.suffix}", json.loads(got.stdout)["features"],
                         {"age": 2**53 + 1, "income": 1.5})


def embedded(report):
    with tempfile.TemporaryDirectory() as state:
        table = Path(state, "users.csv")
        table.write_text("user_id,age,income,at\nu42,41,2.5,2026-11-26 12:00:00\nü,20,,2026-11-26\n")
        with Entities(NAMES, "--state-dir", state) as m:
            report.equal("nothing yet", m.used("u42"), (404, "unknown_entity"))
            told = run(["features", "import", table, "--entity", "user_id", "--time", "at",
                        "--state-dir", state])
            report.equal("imported", told.returncode, 0)
            wait_until(lambda: m.predict("u42")[0] == 200, 10)
            report.equal("and served, without a restart", m.used("u42"), {"age": 41, "income": 2.5})
            report.equal("a null", m.used("ü")["income"], None)
            status, shown = m.control("/api/features/default/u42")
            report.equal("shown", (status, shown),
                         (200, {"store": "default", "entity": "u42",
                                "features": {"age": 41, "income": 2.5},
                                "feature_times": {"age": "2026-11-26T12:00:00Z",
                                                  "income": "2026-11-26T12:00:00Z"}, "problems": {}}))
            report.equal("nobody", m.control("/api/features/default/nobody")[0], 404)
            report.equal("no such store", m.control("/api/features/nowhere/u42")[0], 404)
            got = run(["features", "get", "u42", "--state-dir", state, "--json"])
            report.equal("sluice features get", json.loads(got.stdout)["features"],
                         {"age": 41, "income": 2.5})


def watched(report):
    with Redis() as redis, tempfile.TemporaryDirectory() as scratch, otlp.Collector() as collector:
        redis.hset("user:u42", {"age": "41", "income": "2.5", "at": NOON})
        log = Path(scratch, "predictions.jsonl")
        with Entities(f"store: users\nentity: user_id\n{NAMES}", "--prediction-log", str(log),
                      "--otlp-endpoint", collector.url, "--trace-sample", "1",
                      stores=in_redis(redis)) as m:
            m.predict("u42", request_id="r1")
            m.predict(["u42", "u42"], request_id="r2", features=[{}, {"age": 1}])
            m.predict(features=[3, 4], request_id="r3")
            spans = collector.wait(3)
            names = sorted(one.name for span in spans for one in collector.children(span)
                           if one.name == "features")
            report.equal("a span for those that fetched", names, ["features", "features"])
            with rpc.channel(m.server.grpc) as channel:
                Request = rpc.prediction_pb2.PredictRequest
                one = rpc.predict(channel)(Request(model="m", entity_id="u42"))
                report.equal("gRPC", (one.prediction, json.loads(one.features_used)["age"]), (1041, 41))
                rows = rpc.predict(channel)(Request(model="m", entity_ids=["u42", "u42"],
                                                    named_features={"age": 2}))
                report.equal("gRPC, rows", list(rows.predictions), [1002, 1002])
            hits = m.metric('sluice_feature_cache_total{store="users",outcome="hit"}')
            report.check("hits are counted", hits >= 3, hits)
            report.equal("one round trip",
                         m.metric('sluice_feature_fetch_seconds_count{store="users"}'), 1)
            report.check("the stage has its time",
                         m.metric('sluice_request_seconds_count{model="m",version="v1",'
                                  'stage="features"}') >= 4)
            report.equal("the stores are listed", m.control("/api/features")[1]["stores"][0]["store"],
                         "users")
            m.server.signal()
            m.server.wait()
            lines = {line["request_id"]: line for line in map(json.loads, log.read_text().splitlines())}
            at = "2026-11-26T12:00:00Z"
            report.equal("the log: whose, what, of when",
                         {k: lines["r1"].get(k) for k in ("entity_id", "features", "features_used",
                                                          "feature_times")},
                         {"entity_id": "u42", "features": [41, 2.5],
                          "features_used": {"age": 41, "income": 2.5},
                          "feature_times": {"age": at, "income": at}})
            report.equal("rows", (lines["r2"]["entity_id"], lines["r2"]["feature_times"][1]),
                         (["u42", "u42"], {"income": at}))
            report.check("nothing where nothing was fetched", "features_used" not in lines["r3"])


def guarded(report):
    """Guards see what the model sees; a cached answer is one of the same features."""
    with Redis() as redis:
        redis.hset("user:u", {"age": 300, "income": 1})
        more = "inputs: [{name: age, bounds: [0, 120]}, {name: income}]\ncache: {}\n"
        with from_redis(redis, NAMES + "\nttl: 0s", more=more) as m:
            report.equal("a fetched value is out of bounds", m.used("u"), (422, "bounds"))
            redis.hset("user:u", {"age": 30, "income": 1})
            report.equal("then it is not", m.predict("u", cache_key="k")[1]["prediction"], 1030)
            redis.hset("user:u", {"age": 31, "income": 1})
            answer = m.predict("u", cache_key="k")[1]
            report.equal("no answer of other features", (answer["prediction"], answer["features_used"]["age"]),
                         (1031, 31))


def versions(report):
    """The chosen version gets the same features; a release works as ever."""
    with Redis() as redis:
        redis.hset("user:u", {"age": 30, "income": 1})
        more = "release: {policy: split, weights: {v1: 0.5, v2: 0.5}}\n"
        with from_redis(redis, versions=2, more=more) as m:
            answers = {(a["model_version"], a["prediction"]) for a in
                       (m.predict("u")[1] for _ in range(60))}
            report.equal("both versions", answers, {("v1", 1030), ("v2", 2030)})
            report.equal("one by name", m.predict("u", path="/models/m/versions/v1/predict")[1]
                         ["prediction"], 1030)


if __name__ == "__main__":
    Report("features").run(answers, overrides, bad_values, keys, defaults_and_age, on_demand,
                           types, mistakes_in_yaml, feast_redis, feast_values, feast_sqlite,
                           feast_http, imported, embedded, watched, guarded, versions)
