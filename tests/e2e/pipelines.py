#!/usr/bin/python3
"""Pipelines of models against scikit-learn's own, and against BERT's rules of splitting texts.

The members are logistic regressions trained here, as ONNX written byte by byte; what stands before
them in scikit-learn (StandardScaler, OneHotEncoder, CountVectorizer) are steps of the pipeline.
"""

import json
import random
import struct
import subprocess
import unicodedata
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import yaml
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_breast_cancer
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from lib import oip, rpc, tiny_onnx
from lib.folder import LOOKING, Asking, Folder, Suspects, nobody_failed, wait_until
from lib.server import BINARY, Report, Server, environment
from lib.tiny_onnx import FLOAT, INT64, field, floats, node, tensor, whole

warnings.filterwarnings("ignore")
TOLERANCE = 1e-5
CANCER = load_breast_cancer()
CANCER_ROWS = CANCER.data.astype(np.float32)


# ---- Members ----


def value(number, name, dims, datatype=FLOAT):
    sizes = b"".join(field(1, field(2, d) if isinstance(d, str) else field(1, d)) for d in dims)
    return field(number, field(1, name) + field(2, field(1, field(1, datatype) + field(2, sizes))))


def array(name, values):
    values = np.asarray(values, np.float32)
    return tensor(name, values.shape, floats(*values.ravel()))


def weights_of(model):
    """[features, 2] and [2]: a binary regression has one row, that of the second class."""
    weights, bias = model.coef_, model.intercept_
    if len(weights) == 1:
        weights, bias = np.vstack([0 * weights, weights]), np.concatenate([0 * bias, bias])
    return weights.T, bias


def regression(model, name="features"):
    weights, bias = weights_of(model)
    width, classes = weights.shape
    return whole(node("MatMul", [name, "w"], "h") + node("Add", ["h", "b"], "z") +
                 node("Softmax", ["z"], "probabilities") + field(2, "regression") +
                 array("w", weights) + array("b", bias) + value(11, name, ["N", width]) +
                 value(12, "probabilities", ["N", classes]))


def bag_of_words(model):
    """ids and mask [N,L] → the sum of a row of weights for each word, as counts times weights."""
    weights, bias = weights_of(model)
    table = np.vstack([np.zeros((1, weights.shape[1])), weights])  # id 0 is no word
    return whole(node("Gather", ["table", "input_ids"], "found") +
                 node("Cast", ["attention_mask"], "mask",
                      field(5, field(1, "to") + field(3, 1) + field(20, 2))) +
                 node("Unsqueeze", ["mask", "last"], "wide") + node("Mul", ["found", "wide"], "m") +
                 node("ReduceSum", ["m", "one"], "sum",
                      field(5, field(1, "keepdims") + field(3, 0) + field(20, 2))) +
                 node("Add", ["sum", "b"], "z") + node("Softmax", ["z"], "probabilities") +
                 field(2, "bag") + array("table", table) + array("b", bias) +
                 tensor("last", [1], struct.pack("<q", 2), INT64) +
                 tensor("one", [1], struct.pack("<q", 1), INT64) +
                 value(11, "input_ids", ["N", "L"], INT64) +
                 value(11, "attention_mask", ["N", "L"], INT64) +
                 value(12, "probabilities", ["N", len(bias)]))


def put(folder, model, version, graph, files, **more):
    """A version with a graph of its own, which comes last."""
    for name, data in files.items():
        folder.put(model, version, data, name)
    if more:
        folder.yaml(model, yaml.safe_dump(more))
    folder.put(model, version, yaml.safe_dump(graph).encode(), "ensemble.yaml")


def near(got, want):
    got, want = np.asarray(got, float), np.asarray(want, float)
    return got.shape == want.shape and np.max(np.abs(got - want)) <= TOLERANCE


# ---- A chain: StandardScaler and a regression ----


def cancer():
    whole_model = make_pipeline(StandardScaler(), LogisticRegression())
    whole_model.fit(CANCER.data, CANCER.target)
    return whole_model


def put_cancer(folder, **batching):
    model = cancer()
    scaler, linear = model[0], model[1]
    # One graph for all versions, with the numbers in it.
    folder.yaml("cancer", yaml.safe_dump({
        "labels": [str(name) for name in CANCER.target_names],
        "inputs": [{"name": str(name)} for name in CANCER.feature_names],
        "batching": batching or {},
        "ensemble": {
            "inputs": [{"name": "features", "type": "FP32", "shape": [-1, 30]}],
            "steps": [
                {"name": "scale", "standardise": {"mean": scaler.mean_.tolist(),
                                                  "scale": scaler.scale_.tolist()},
                 "inputs": {"x": "features"}, "outputs": {"y": "scaled"}},
                {"name": "risk", "model": "risk.onnx", "inputs": {"features": "scaled"},
                 "outputs": {"probabilities": "p"}},
                {"name": "class", "argmax": {"axis": -1}, "inputs": {"x": "p"},
                 "outputs": {"y": "label"}}],
            "outputs": ["label", "p"]}}))
    folder.put("cancer", "1", regression(linear), "risk.onnx")
    folder.put("alone", "1", regression(linear))
    return model


def chain(report):
    with Folder() as folder:
        model = put_cancer(folder)
        server = folder.serve()
        rows = CANCER_ROWS[:60]
        truth = model.predict_proba(rows.astype(float))
        classes = truth.argmax(axis=1)
        rest = oip.Rest(server)
        x = oip.Tensor("features", "FP32", rows.shape, rows.ravel().tolist())
        scaled = model[0].transform(rows.astype(float)).astype(np.float32)
        alone = rest.infer("/v2/models/alone", [oip.Tensor(
            "features", "FP32", scaled.shape, scaled.ravel().tolist())])["probabilities"].values
        for binary in (False, True):
            out = rest.infer("/v2/models/cancer", [x], binary=binary)
            report.check(f"as the member alone, binary {binary}", near(out["p"].values, alone))
            report.check(f"as scikit-learn, binary {binary}", near(out["p"].values, truth.ravel()))
            report.equal(f"labels, binary {binary}", out["label"].values, classes.tolist())
        with rpc.channel(server.grpc) as channel:
            out = oip.grpc_outputs(rpc.Oip(channel).ModelInfer(
                oip.grpc_request("cancer", "", [x]), timeout=20))
            report.check("gRPC", near(out["p"].values, truth.ravel()))
            report.equal("gRPC labels", out["label"].values, classes.tolist())
            answer = rpc.predict(channel)(rpc.prediction_pb2.PredictRequest(
                features=rows[0].tolist(), model="cancer"), timeout=20)
            report.equal("simple gRPC", answer.prediction, classes[0])
        simple(report, rest, rows, truth, model)


def simple(report, rest, rows, truth, model):
    names = [str(name) for name in CANCER.feature_names]
    for row, want in zip(rows[:20], truth):
        for features in (row.tolist(), dict(zip(names, row.tolist()))):
            _, data = rest.call("POST", "/models/cancer/predict", {"features": features})
            answer = json.loads(data)
            best = int(want.argmax())
            report.equal("prediction", answer["prediction"], best)
            report.equal("label", answer["label"], str(CANCER.target_names[best]))
            report.check("confidence", near(answer["confidence"], want[best]), answer)
    metadata = json.loads(rest.call("GET", "/v2/models/cancer")[1])
    report.equal("platform", metadata["platform"], "ensemble")
    report.equal("inputs", [(one["name"], one["datatype"], one["shape"])
                            for one in metadata["inputs"]], [("features", "FP32", [-1, 30])])
    report.equal("outputs", [(one["name"], one["datatype"], one["shape"])
                             for one in metadata["outputs"]],
                 [("label", "INT64", [-1]), ("p", "FP32", [-1, 2])])
    report.equal("a row of a wrong width", rest.status(
        "POST", "/models/cancer/predict", {"features": [1, 2]}), 400)


def batched(report):
    """Requests of several clients share runs of the whole pipeline, and each gets its own answer."""
    with Folder() as folder:
        model = put_cancer(folder, policy="wait", max_wait="300ms")
        server = folder.serve()
        rows = CANCER_ROWS[:96]
        truth = model.predict_proba(rows.astype(float))

        def ask(first):
            rest, out = oip.Rest(server), []
            for row in rows[first:first + 12]:
                x = oip.Tensor("features", "FP32", [1, 30], row.tolist())
                out.append(rest.infer("/v2/models/cancer", [x])["p"].values)
            return out

        with ThreadPoolExecutor(8) as pool:
            parts = list(pool.map(ask, range(0, 96, 12)))
        report.check("8 clients get their own answers", near(np.concatenate(parts), truth))
        stats = server.get("/v2/models/cancer/stats")[1]["model_stats"][0]
        sizes = {int(one["batch_size"]) for one in stats["batch_stats"]}
        report.check("runs of several rows", max(sizes) > 1, sizes)


# ---- A graph: OneHotEncoder beside numbers ----

COLOURS = ["red", "green", "blue"]


def mixed(unknown):
    """Rows of (colour, a, b), what scikit-learn makes of them, and the pipeline's graph."""
    rng = np.random.default_rng(7)
    rows = [(COLOURS[rng.integers(3)], *rng.normal(5, 3, 2).round(3)) for _ in range(200)]
    target = [int((colour == "red") * 3 + a - b > 1) for colour, a, b in rows]
    table = np.array(rows, dtype=object)
    encoder = OneHotEncoder(categories=[COLOURS],
                            handle_unknown="error" if unknown == "error" else "ignore")
    model = make_pipeline(make_column_transformer((StandardScaler(), [1, 2]), (encoder, [0])),
                          LogisticRegression()).fit(table, target)
    scaler = model[0].named_transformers_["standardscaler"]
    graph = {
        "inputs": ["colour", {"name": "sizes", "columns": ["a", "b"]}],
        "steps": [
            # Written backwards: what reads what says the order.
            {"name": "risk", "model": "risk.onnx", "inputs": "joined"},
            {"name": "joined", "concat": None, "inputs": ["scaled", "colours"]},
            {"name": "colours", "one_hot": {"categories": COLOURS, "unknown": unknown},
             "inputs": "colour"},
            {"name": "scaled", "standardise": "scaler.csv", "inputs": "sizes"}],
        "outputs": ["probabilities"]}
    csv = "mean,scale\n" + "".join(f"{m!r},{s!r}\n" for m, s in zip(scaler.mean_, scaler.scale_))
    return table, model, graph, {"risk.onnx": regression(model[1]), "scaler.csv": csv.encode()}


def tensors(table):
    sizes = table[:, 1:].astype(np.float32)
    return [oip.Tensor("colour", "BYTES", [len(table), 1], list(table[:, 0])),
            oip.Tensor("sizes", "FP32", sizes.shape, sizes.ravel().tolist())]


def graph(report):
    with Folder() as folder:
        wait = {"policy": "wait", "max_wait": "300ms"}
        table, model, steps, files = mixed("error")
        put(folder, "strict", "1", steps, files, batching=wait)
        _, lenient, steps, files = mixed("zeros")
        put(folder, "lenient", "1", steps, files)
        server = folder.serve()
        rest = oip.Rest(server)
        truth = model.predict_proba(table)
        for binary in (False, True):
            out = rest.infer("/v2/models/strict", tensors(table), binary=binary)
            report.check(f"as scikit-learn, binary {binary}",
                         near(out["probabilities"].values, truth.ravel()))
        odd = table[:3].copy()
        odd[1, 0] = "mauve"
        out = rest.infer("/v2/models/lenient", tensors(odd))["probabilities"].values
        report.check("unknown: zeros", near(out, lenient.predict_proba(odd).ravel()))
        try:
            rest.infer("/v2/models/strict", tensors(odd))
            report.check("unknown: error", False, "answered")
        except oip.RestError as error:
            report.equal("unknown: error", error.status, 400)
            report.check("which says what and where", all(word in error.text for word in (
                "step 'colours'", "'mauve'", "3 categories")), error.text)
            report.equal("once", error.text.count("step '"), 1)
        with rpc.channel(server.grpc) as channel:
            infer = rpc.Oip(channel).ModelInfer
            code, text = rpc.failure(infer, oip.grpc_request("strict", "", tensors(odd)))
            report.equal("over gRPC", (code, "mauve" in text), ("INVALID_ARGUMENT", True))
        one_bad_row(report, server, table, truth)


def one_bad_row(report, server, table, truth):
    """One of several requests that share a run cannot be answered: the others are."""
    def ask(i):
        row = table[i:i + 1].copy()
        if i == 3:
            row[0, 0] = "mauve"
        try:
            answer = oip.Rest(server).infer("/v2/models/strict", tensors(row))
            return 200, answer["probabilities"].values
        except oip.RestError as error:
            return error.status, error.text

    for _ in range(3):
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(ask, range(8)))
        report.equal("the bad one", answers.pop(3)[0], 400)
        report.equal("its neighbours", {status for status, _ in answers}, {200})
        report.check("with their own answers", near(
            [values for _, values in answers], np.delete(truth[:8], 3, axis=0)))


# ---- Texts ----

TEXTS = ["the service was great and the food was great", "great food, friendly people!",
         "I loved it: great coffee", "lovely place, friendly service", "terrible food, never again",
         "the service was slow and rude", "awful coffee and rude people", "slow, slow, slow!",
         "Never again: awful place", "The food was cold and the people rude"]
MOODS = [1, 1, 1, 1, 0, 0, 0, 0, 0, 0]


def words(report):
    model = make_pipeline(CountVectorizer(), LogisticRegression()).fit(TEXTS, MOODS)
    vocabulary = {word: int(place) + 1 for word, place in model[0].vocabulary_.items()}
    steps = {"steps": [
        {"vocabulary": {"file": "words.json", "unknown": "", "pad": 0, "max_length": 32}},
        {"name": "mood", "model": "mood.onnx"}]}
    with Folder() as folder:
        put(folder, "mood", "1", steps, {"words.json": json.dumps(vocabulary).encode(),
                                         "mood.onnx": bag_of_words(model[1])},
            labels=["bad", "good"])
        server = folder.serve()
        asked = TEXTS + ["GREAT great Great", "nothing known here", "", "r\u00fcde caf\u00e9, great"]
        truth = model.predict_proba(asked)
        rest = oip.Rest(server)
        x = oip.Tensor("text", "BYTES", [len(asked), 1], asked)
        for binary in (False, True):
            out = rest.infer("/v2/models/mood", [x], binary=binary)["probabilities"].values
            report.check(f"as scikit-learn, binary {binary}", near(out, truth.ravel()), out)
        with rpc.channel(server.grpc) as channel:
            infer = rpc.Oip(channel).ModelInfer
            for raw in (False, True):
                out = oip.grpc_outputs(infer(oip.grpc_request("mood", "", [x], raw), timeout=20))
                report.check(f"gRPC, raw {raw}", near(out["probabilities"].values, truth.ravel()))
        _, data = rest.call("POST", "/models/mood/predict", {"features": ["Great food!"]})
        answer, want = json.loads(data), model.predict_proba(["Great food!"])[0]
        report.equal("simple REST", answer["label"], "good")
        report.check("its confidence", near(answer["confidence"], want.max()), answer)


def bert_words(text):
    """BasicTokenizer of BERT's own code, with lower case and without accents."""
    spaced = ""
    for c in text:
        if c in " \t\n\r" or unicodedata.category(c) == "Zs":
            spaced += " "
        elif c == "\ufffd" or unicodedata.category(c)[0] == "C":
            continue
        elif any(first <= ord(c) <= last for first, last in (
                (0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0xF900, 0xFAFF), (0x20000, 0x2A6DF))):
            spaced += f" {c} "
        else:
            spaced += c
    for word in spaced.split():
        word = "".join(c for c in unicodedata.normalize("NFD", "".join(c.lower() for c in word))
                       if unicodedata.category(c) != "Mn")
        part = ""
        for c in word:
            ascii_sign = ord(c) < 128 and c.isprintable() and not c.isalnum()
            if not ascii_sign and unicodedata.category(c)[0] != "P":
                part += c
                continue
            if part:
                yield part
            yield c
            part = ""
        if part:
            yield part


def bert_ids(text, ids, length):
    """WordpieceTokenizer of BERT's own code, framed, cut and padded as BertTokenizer does."""
    out = []
    for word in bert_words(text):
        pieces, start = [], 0
        while start < len(word) and len(word) <= 100:
            end = len(word)
            while end > start and ("##" if start else "") + word[start:end] not in ids:
                end -= 1
            if end == start:
                pieces = None
                break
            pieces.append(ids[("##" if start else "") + word[start:end]])
            start = end
        out += pieces if pieces else [ids["[UNK]"]]
    out = [ids["[CLS]"], *out[:length - 2], ids["[SEP]"]]
    return out + [ids["[PAD]"]] * (length - len(out))


def odd_texts(count):
    """Letters, signs, spaces and controls of many scripts, in words of a few."""
    rng = random.Random(20240607)
    blocks = [(0x20, 0x7E)] * 6 + [(0xA0, 0x17F), (0x370, 0x3FF), (0x400, 0x4FF), (0x900, 0x97F),
                                   (0x2000, 0x206F), (0x3000, 0x30FF), (0x4E00, 0x4FFF),
                                   (0xAC00, 0xACFF), (0x1F600, 0x1F64F)]

    def letter():
        while True:
            c = chr(rng.randint(*rng.choice(blocks)))
            # One character's lower case is one character but for this one.
            if unicodedata.category(c) != "Cn" and c != "\u0130":
                return c
    return ["".join(letter() if rng.random() < 0.85 else rng.choice(" \t\n")
                    for _ in range(rng.randint(0, 40))) for _ in range(count)]


def wordpiece(report):
    texts = odd_texts(400) + ["Unwanted running, h\u00e9llo!", "w" * 101, "\u535a\u63a8 don't"]
    letters = sorted({c for text in texts for word in bert_words(text) for c in word})
    known = letters[::2] + [f"##{c}" for c in letters[::3]] + ["run", "##ning", "un", "##want",
                                                              "##ed", "##wa", "hello", "don"]
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *dict.fromkeys(known)]
    ids = {token: place for place, token in enumerate(tokens)}
    steps = {"steps": [{"vocabulary": {"file": "vocab.txt", "split": "wordpiece",
                                       "max_length": 24}}],
             "outputs": ["input_ids", "attention_mask", "token_type_ids"]}
    with Folder() as folder:
        put(folder, "bert", "1", steps, {"vocab.txt": "\n".join(tokens).encode() + b"\n"})
        rest = oip.Rest(folder.serve())
        x = oip.Tensor("text", "BYTES", [len(texts), 1], texts)
        out = rest.infer("/v2/models/bert", [x], binary=True)
        got = np.array(out["input_ids"].values).reshape(len(texts), 24)
        want = np.array([bert_ids(text, ids, 24) for text in texts])
        wrong = [(text, g.tolist(), w.tolist()) for text, g, w in zip(texts, got, want)
                 if g.tolist() != w.tolist()]
        report.check("403 texts as BERT has them", not wrong, f"{len(wrong)}, {wrong[:1]}")
        mask = np.array(out["attention_mask"].values).reshape(got.shape)
        report.check("the mask says where rows end", np.array_equal(mask, want != 0))
        report.equal("types", set(out["token_type_ids"].values), {0})


# ---- What cannot be served ----


def suspects(report):
    linear = LogisticRegression().fit([[0, 0], [1, 1]], [0, 1])
    two = [{"name": "x", "type": "FP32", "shape": [-1, 2]}]
    member = {"name": "risk", "model": "risk.onnx"}
    bad = {
        "circle": ({"inputs": two, "steps": [
            {"name": "a", "concat": None, "inputs": ["x", "b"]},
            {"name": "b", "softmax": None, "inputs": "a"}]}, ["circle", "'a' → 'b' → 'a'"]),
        "widths": ({"inputs": [{"name": "x", "type": "FP32", "shape": [-1, 3]}],
                    "steps": [member]}, ["step 'risk'", "FP32 [N,2]", "'x' is FP32 [N,3]"]),
        "types": ({"inputs": two, "steps": [{"name": "whole", "cast": "INT32"}, member]},
                  ["step 'risk'", "FP32 [N,2]", "'whole' is INT32 [N,2]"]),
        "absent": ({"steps": [{"model": "absent.onnx"}]}, ["step 'absent'", "'absent.onnx'"]),
        "outside": ({"steps": [{"model": "../../beside/v1/model.onnx"}]}, ["leads outside"]),
        "absolute": ({"steps": [{"model": "/home/bob/secret/m.onnx"}]}, ["absolute path"]),
        "damaged": ({"steps": [{"model": "damaged.onnx"}]}, ["step 'damaged'"]),
        "pickle": ({"steps": [{"model": "model.pkl"}]}, ["step 'model'", "'model.pkl'"]),
        "misspelt": ({"steps": [{"name": "s", "standardize": "x.json"}]},
                     ["'standardize'", "did you mean 'standardise'?"]),
        "nothing": ({}, ["steps"]),
    }
    with Suspects() as folder:
        for name, (graph_, _) in bad.items():
            put(folder, name, "v1", graph_, {"risk.onnx": regression(linear),
                                             "damaged.onnx": b"no model at all",
                                             "model.pkl": b"cos\nsystem\n(S'true'\ntR."})
        folder.settled(list(bad))
        for name, (_, words_) in bad.items():
            folder.refused(report, name, name, words=words_)
        folder.check_health(report, "broken pipelines")


def new_version(report):
    """A broken graph leaves the version that runs as it is; one that works takes over."""
    files = {"risk.onnx": regression(LogisticRegression().fit([[0, 0], [1, 1]], [0, 1]), "x")}
    steps = [{"name": "risk", "model": "risk.onnx"}, {"name": "class", "argmax": None}]
    with Folder() as folder:
        put(folder, "m", "v1", {"steps": steps}, files)
        folder.serve(*LOOKING)
        with Asking(folder) as asking:
            put(folder, "m", "v2", {"steps": [*steps, {"argmax": None, "inputs": "nowhere"}]},
                files)
            wait_until(lambda: folder.state("m", "v2") == "failed", 20)
            report.equal("the broken one", folder.state("m", "v2"), "failed")
            report.check("says why", "'nowhere'" in folder.reason("m", "v2"),
                         folder.reason("m", "v2"))
            report.equal("the old one answers", folder.ask()[:2], (200, "v1"))
            put(folder, "m", "v2", {"steps": steps}, files)
            took = wait_until(lambda: folder.ask()[1] == "v2", 20)
            report.check("repaired, it takes over", took is not None)
            # A member is a part of its version: when it changes, the version does.
            changed = LogisticRegression().fit([[0, 0], [1, 1]], [1, 0])
            folder.put("m", "v2", regression(changed, "x"), "risk.onnx")
            took = wait_until(lambda: folder.ask(x=9.0)[2] == -9.0, 20)
            report.check("a new member is noticed", took is not None, folder.ask(x=9.0))
        nobody_failed(report, "all the time", asking)


# ---- Where its files lie ----


STEPS = yaml.safe_dump({"steps": [{"model": "parts/a.onnx"}]})


def place(path, text=None, code=None):
    """A file that is there at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    hidden = path.with_name(".next")
    hidden.write_bytes(tiny_onnx.model(code) if text is None else text.encode())
    hidden.rename(path)


def layouts(report):
    """A member that comes last, below its version, in a directory without versions."""
    with Folder() as folder:
        models = {"version": folder.path / "version" / "1", "alone": folder.path / "alone"}
        folder.put("other", "1", 1)
        folder.serve(*LOOKING)
        for model, path in models.items():
            place(path / "ensemble.yaml", STEPS)
        for model, path in models.items():
            took = wait_until(lambda: folder.state(model, "1") == "failed", 20)
            report.check(f"{model}: a member is missing", took is not None, folder.models())
            for code in (2, 3):
                place(path / "parts" / "a.onnx", code=code)
                took = wait_until(lambda: folder.ask(model) == (200, "1", code), 20)
                report.check(f"{model}: member {code} is noticed", took is not None,
                             (folder.ask(model), folder.models()))
    with Folder() as folder:
        place(folder.path / "risk.ensemble.yaml",
              yaml.safe_dump({"steps": [{"standardise": "scaler.json"}, {"model": "a.onnx"}],
                              "inputs": [{"name": "x", "type": "FP32", "shape": [-1, 2]}]}))
        place(folder.path / "scaler.json", json.dumps({"mean": [0, 0], "scale": [1, 1]}))
        place(folder.path / "a.onnx", code=1)
        folder.serve(*LOOKING)
        report.equal("a flat directory's models", sorted(folder.models()), ["a", "risk"])
        place(folder.path / "a.onnx", code=2)
        took = wait_until(lambda: folder.ask("risk") == (200, "1", 2), 20)
        report.check("its member is noticed", took is not None, folder.models())


def one_file(report):
    """A version's file keeps both names and the guards of model.yaml, as a plain model does."""
    guards = {"guard": {"bounds": "reject"}, "inputs": [{"name": "a", "bounds": [0, 10]},
                                                        {"name": "b"}]}
    with Folder() as folder:
        put(folder, "m", "v1", {"steps": [{"model": "a.onnx"}]}, {"a.onnx": tiny_onnx.model(5)},
            **guards)
        file = folder.path / "m" / "v1" / "ensemble.yaml"
        folder.server = Server(file, extra=LOOKING)
        report.equal("its names", folder.ask(), (200, "v1", 5))
        report.equal("its guard", folder.ask(x=100)[0], 422)
        folder.stop()
        code, out, err = sluice("predict", file.parent.parent / "model.yaml", "--data", "[1, 2]",
                                "--json")
        answer = json.loads(out or "{}")
        report.equal("named by model.yaml", (code, answer.get("model"), answer.get(
            "model_version")), (0, "m", "v1")) or print(err)


# ---- Commands ----


def sluice(*arguments):
    done = subprocess.run([str(BINARY), *map(str, arguments)], capture_output=True, text=True,
                          timeout=60, env=environment())
    return done.returncode, done.stdout, done.stderr


def commands(report):
    with Folder() as folder:
        put(folder, "m", "v1", {"steps": [{"name": "soft", "softmax": None}, {"argmax": None}],
                                "inputs": [{"name": "x", "columns": ["a", "b"]}]}, {})
        file = folder.path / "m" / "v1" / "ensemble.yaml"
        code, out, err = sluice("inspect", file, "--json")
        report.equal("inspect", code, 0) or print(err)
        shown = json.loads(out)
        report.equal("its engine", shown["engine"], "ensemble")
        report.equal("its steps", (shown["steps"], shown["step 1"], shown["step 2"]),
                     (2, "soft: softmax", "argmax: argmax"))
        report.equal("its columns", shown["columns"], ["a", "b"])
        shown = json.loads(sluice("inspect", folder.path / "m", "--json")[1] or "{}")
        report.equal("inspect of its directory", (shown.get("engine"), shown.get("columns")),
                     ("ensemble", ["a", "b"]))
        code, out, err = sluice("predict", file, "--data", "[0.25, 3]", "--json")
        report.equal("predict", (code, json.loads(out or "{}").get("prediction")), (0, 1))
        report.equal("config check", sluice("config", "check", file)[0], 0)
        code, _, err = sluice("compress", file, "--method", "dynamic-int8", "--evaluate", file,
                              "--output", folder.path / "smaller")
        report.check("compress", code != 0 and "this is a pipeline" in err, (code, err))
        broken = folder.path / "model.yaml"
        broken.write_text("ensemble:\n  steps:\n  - {name: a, standardize: 1}\n")
        code, _, err = sluice("config", "check", broken)
        report.check("config check of a mistake", code == 65 and
                     "model.yaml:3:15: unknown key 'standardize'; did you mean 'standardise'?" in err,
                     (code, err))
        # A graph for all versions, of which one has not the file.
        put(folder, "all", "1", {"steps": [{"standardise": "s.csv"}]}, {"s.csv": b"mean\n1\n"})
        graph_of_all = (folder.path / "all" / "1" / "ensemble.yaml").rename(
            folder.path / "all" / "model.yaml")
        graph_of_all.write_text("ensemble:\n  steps:\n  - {name: s, standardise: s.csv}\n")
        report.equal("config check with files", sluice("config", "check", graph_of_all)[0], 0)
        folder.put("all", "2", b"mean\n1\n", "t.csv")
        told = sluice("config", "check", graph_of_all)
        report.check("config check of a version without its file", told[0] == 65 and
                     "model.yaml:3:5: version '2': step 's': the file 's.csv' cannot be opened"
                     in told[2], told)


if __name__ == "__main__":
    Report("pipelines").run(chain, batched, graph, words, wordpiece, suspects, new_version,
                            layouts, one_file, commands)
