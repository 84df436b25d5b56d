#!/usr/bin/python3
# takes: 70 s
"""scikit-learn's pickles in worker processes: right answers, bad pickles, deaths, limits."""

import contextlib
import functools
import io
import json
import operator
import os
import pickle
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from pathlib import Path
from types import SimpleNamespace

import joblib
import numpy
import pandas
from sklearn import datasets, utils
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.ensemble import (BaggingClassifier, GradientBoostingRegressor, HistGradientBoostingClassifier,
                              IsolationForest, RandomForestClassifier, RandomForestRegressor,
                              VotingClassifier)
from sklearn.cluster import KMeans
from sklearn.feature_extraction import DictVectorizer
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.multioutput import MultiOutputClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import (FunctionTransformer, MinMaxScaler, OneHotEncoder,
                                   StandardScaler)
from sklearn.svm import SVC, LinearSVC

from lib.folder import LOOKING, Asking, Suspects, children, nobody_failed, wait_until
from lib.server import BINARY, Report, Server, command, environment

# A model names it as a user's model names his: by itself.
sys.path.insert(0, str(Path(__file__).resolve().parent / "lib"))
import own_steps  # noqa: E402

ALLOWED = [*LOOKING, "--allow-pickle"]
ONE = "instances: 1\n"


def dumped(model, dump=pickle.dump):
    out = io.BytesIO()
    dump(model, out)
    return out.getvalue()


class Pickles(Suspects):
    """A repository that may run pickles; `put_model` trains nothing, it only writes."""

    def __enter__(self):
        self.put("beside", "v1", 7)
        self.serve(*ALLOWED)
        return self

    def put_model(self, name, model, version="1", yaml=ONE, dump=pickle.dump):
        # One worker each, unless a test is about several: importing scikit-learn takes a second.
        if yaml:
            self.yaml(name, yaml)
        data = model if isinstance(model, bytes) else dumped(model, dump)
        ending = "joblib" if dump is joblib.dump else "pkl"
        return self.put(name, version, data, name=f"model.{ending}")

    def predict(self, name, features, status=200):
        connection = self.server.connection(timeout=60)
        try:
            connection.request("POST", f"/models/{name}/predict",
                               json.dumps({"features": features}))
            answer = connection.getresponse()
            body = json.loads(answer.read())
        finally:
            connection.close()
        if answer.status != status:
            raise RuntimeError(f"{name} answers {answer.status}: {body}")
        return body

    def infer(self, name, rows, dtype="FP64"):
        """The outputs by name, as arrays."""
        connection = self.server.connection(timeout=60)
        tensor = {"name": "features", "datatype": dtype, "shape": list(rows.shape),
                  "data": rows.ravel().tolist()}
        try:
            connection.request("POST", f"/v2/models/{name}/infer", json.dumps({"inputs": [tensor]}))
            answer = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        if "outputs" not in answer:
            raise RuntimeError(f"{name} answers {answer}")
        return {out["name"]: numpy.array(out["data"]).reshape(out["shape"])
                for out in answer["outputs"]}

    def workers(self):
        """Their process ids."""
        return [pid for pid in children(self.server.pid)
                if b"sluice-worker" in cmdline(pid)]


def cmdline(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def data_sets():
    return {name: getattr(datasets, f"load_{name}")()
            for name in ("iris", "wine", "digits", "breast_cancer", "diabetes")}


# ---- Right answers ----


def golden(report):
    """Five data sets, several estimators each: the very numbers of scikit-learn."""
    sets = data_sets()
    classifiers = [make_pipeline(StandardScaler(), LogisticRegression()),
                   RandomForestClassifier(10, random_state=1),
                   make_pipeline(StandardScaler(), SVC(probability=True, random_state=1))]
    regressors = [Ridge(), GradientBoostingRegressor(n_estimators=10, random_state=1),
                  RandomForestRegressor(10, random_state=1)]
    models = {}
    for name, data in sets.items():
        few = 2 if name in ("wine", "breast_cancer") else 3
        for number, model in enumerate((regressors if name == "diabetes" else classifiers)[:few]):
            labels = data.target if name != "iris" else data.target_names[data.target]
            models[f"{name}{number}"] = (type(model).__name__, data.data,
                                         fresh(model).fit(data.data, labels))
    with Pickles() as folder:
        for number, (name, (_, _, model)) in enumerate(models.items()):
            folder.put_model(name, model, dump=(pickle.dump, joblib.dump)[number % 2])
        report.check("all are served", folder.settled(models, 60) is not None, folder.models())
        for name, (kind, rows, model) in models.items():
            compare(report, folder, name, f"{name} ({kind})", rows[::7], model)


def fresh(model):
    return pickle.loads(pickle.dumps(model))


def compare(report, folder, name, what, rows, model):
    dtype = "FP32" if type(model).__name__.startswith(("RandomForest", "Gradient")) else "FP64"
    got = folder.infer(name, rows, dtype)
    predicted = model.predict(rows)
    if "label" in got:
        report.equal(f"{what}: labels", got["label"].tolist(), predicted.tolist())
        report.equal(f"{what}: probabilities", got["probabilities"].tolist(),
                     model.predict_proba(rows).tolist())
    else:
        report.equal(f"{what}: values", got["prediction"].tolist(), predicted.tolist())
    row = folder.predict(name, rows[0].tolist())
    if hasattr(model, "classes_"):
        best = model.classes_.tolist().index(predicted[0])
        report.equal(f"{what}: class", row["prediction"], best)
        report.equal(f"{what}: confidence", row["confidence"],
                     model.predict_proba(rows[:1])[0].max())
    else:
        report.equal(f"{what}: value", row["prediction"], predicted[0])


def every_classifier(report):
    """All of scikit-learn's own: where the worker says that the largest probability decides, it
    does. They are asked in this process, by the worker's own code."""
    worker_type, decided = worker_module(), []
    rows, labels = datasets.load_iris(return_X_y=True)
    labels = 2 * labels + 3  # other than their places
    source = numpy.random.default_rng(7)
    asked = numpy.vstack([rows, source.uniform(-30, 60, (400, 4)), numpy.zeros((1, 4))])
    checked = []
    for name, kind in utils.all_estimators("classifier"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                model = kind().fit(rows, labels)
                wanted = model.predict(asked)
            except (TypeError, ValueError):  # of several labels, or not for such numbers
                continue
            worker = loaded(worker_type, model)
            if worker is None:
                continue
            report.equal(f"{name}: labels", labels_of(worker, asked).tolist(), wanted.tolist())
            if worker.decided:
                places, single = largest(model.predict_proba(asked))
                decided += [name] if single.any() else []
                report.equal(f"{name}: is decided by it", worker.labels[places][single].tolist(),
                             wanted[single].tolist())
        checked.append(name)
    report.check("there are many", len(checked) >= 25, checked)
    report.check("many are decided by it, and by one call", len(decided) >= 12, decided)


def largest(scores):
    """Places of each row's largest, and whether it is the only one (engines/largest_label.h)."""
    most = scores.max(axis=1, keepdims=True)
    return scores.argmax(axis=1), numpy.isfinite(most[:, 0]) & ((scores == most).sum(axis=1) == 1)


def worker_module():
    """The worker's class, without its main()."""
    engines = Path(__file__).resolve().parents[2] / "src/engines"
    text = "".join((engines / name).read_text() for name in (
        "worker_channel.py", "sklearn_columns.py", "sklearn_file.py", "sklearn_worker.py"))
    scope = {"__name__": "sklearn_worker"}
    exec(compile(text[:text.rindex("\nmain()")], "sklearn_worker.py", "exec"), scope)
    return scope["Worker"]


def loaded(worker_type, model):
    """None where it answers no labels."""
    worker, out = worker_type(SimpleNamespace(memory=bytearray(100_000))), {"warnings": []}
    worker.model = model
    worker.read_inputs(out)
    worker.read_outputs(out)
    worker.decided = out.get("decided", False)
    return worker if out["outputs"][0]["role"] == "label" else None


def labels_of(worker, rows):
    """What the model says when it is asked for labels alone."""
    worker.answer(rows, len(rows), 0, (1 << 64) - 1)
    return numpy.frombuffer(worker.channel.memory, "<i8", len(rows))


def kinds_of_models(report):
    """Searches, texts, columns of both kinds, frames, several targets, clusters, outliers."""
    iris, diabetes = datasets.load_iris(), datasets.load_diabetes()
    words = ["good film", "bad film", "good good", "awful bad thing"] * 5
    verdicts = ["yes", "no", "yes", "no"] * 5
    colours = numpy.array([["red", "s"], ["blue", "m"], ["red", "l"]] * 4, dtype=object)
    mixed = numpy.array([["red", 1.0, 5.0], ["blue", 2.0, 3.0], ["red", 3.0, 1.0]] * 4,
                        dtype=object)
    targets = [1.0, 2.0, 3.0] * 4
    by_column = ColumnTransformer([("c", OneHotEncoder(handle_unknown="ignore"), [0]),
                                   ("n", StandardScaler(), [1, 2])])
    models = {
        "search": GridSearchCV(make_pipeline(StandardScaler(), MLPClassifier(
            (8,), max_iter=30, random_state=1)), {"mlpclassifier__alpha": [0.1, 1]}, cv=2),
        "text": make_pipeline(TfidfVectorizer(), LogisticRegression()),
        "colours": make_pipeline(OneHotEncoder(handle_unknown="ignore"), Ridge()),
        "mixed": make_pipeline(by_column, Ridge()),
        "twice": Ridge(), "clusters": KMeans(3, n_init=1, random_state=1),
        "outliers": IsolationForest(n_estimators=10, random_state=1), "no-proba": LinearSVC(max_iter=100),
        "sevens": HistGradientBoostingClassifier(max_iter=5),
        "ties": LogisticRegression(), "grudging": LogisticRegression(), "many": LogisticRegression(),
        "in-place": make_pipeline(StandardScaler(copy=False), SVC(probability=True)),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        models["search"].fit(iris.data, iris.target)
        models["text"].fit(words, verdicts)
        models["colours"].fit(colours, targets)
        models["mixed"].fit(mixed, targets)
        models["twice"].fit(diabetes.data, numpy.column_stack([diabetes.target, diabetes.target * 2]))
        models["clusters"].fit(iris.data)
        models["outliers"].fit(iris.data)
        models["no-proba"].fit(iris.data, iris.target)
        models["in-place"].fit(iris.data.copy(), iris.target)
        # Its probabilities for 1 are equal by rounding; its score is above zero.
        for name in ("ties", "grudging"):
            models[name].fit([[0.0], [1.0]], ["no", "yes"])
            models[name].coef_, models[name].intercept_ = numpy.array([[1e-17]]), numpy.zeros(1)
        models["many"].fit([[0.0], [1.0], [2.0]], [0, 1, 2])
        models["many"].classes_ = 7919 * numpy.arange(60_000)
        models["many"].coef_ = numpy.linspace(-1, 1, 60_000)[:, None]
        models["many"].intercept_ = numpy.zeros(60_000)
        models["grudging"].predict = functools.partial(int, "no number")
        models["sevens"].fit(iris.data, numpy.array([7, 2, 5])[iris.target])
    with Pickles() as folder:
        for name, model in models.items():
            folder.put_model(name, model)
        report.check("all are tried", folder.settled(models, 60) is not None, folder.models())
        row = iris.data[100].tolist()
        for name in ("search", "no-proba"):
            report.equal(name, folder.predict(name, row)["prediction"],
                         models[name].predict([row])[0])
        report.equal("no-proba: its confidence", folder.predict("no-proba", row)["confidence"], 1.0)
        got = folder.predict("sevens", row)
        report.equal("sevens", got["label"], str(models["sevens"].predict([row])[0]))
        tied = numpy.array([[1.0], [-1e18], [1e18]])
        report.equal("a tie", largest(models["ties"].predict_proba(tied))[1].tolist(),
                     [False, True, True])
        for rows in (tied, tied[:1], tied[1:2]):
            report.equal(f"{len(rows)} rows with ties", folder.infer("ties", rows)["label"].tolist(),
                         models["ties"].predict(rows).tolist())
        report.equal("the largest decides", folder.predict("grudging", [1e18])["label"], "yes")
        folder.predict("grudging", [1.0], status=500)
        report.equal("and goes on to", folder.predict("grudging", [-1e18])["label"], "no")
        report.equal("many classes", folder.infer("many", tied[:1] * 9)["label"].tolist(),
                     models["many"].predict(tied[:1] * 9).tolist())
        report.equal("in-place", folder.infer("in-place", iris.data)["label"].tolist(),
                     models["in-place"].predict(iris.data.copy()).tolist())
        for text in ("good", "bad thing", "größer"):
            got = folder.predict("text", [text])
            report.equal(f"text '{text}'", (got["label"], got["confidence"]),
                         (models["text"].predict([text])[0],
                          models["text"].predict_proba([text])[0].max()))
        for name, line in (("colours", ["blue", "m"]), ("mixed", ["blue", 2.5, 3.0])):
            report.equal(name, folder.predict(name, line)["prediction"],
                         models[name].predict(numpy.array([line], dtype=object))[0])
        report.equal("twice", folder.predict("twice", diabetes.data[3].tolist())["prediction"],
                     models["twice"].predict(diabetes.data[3:4])[0].tolist())
        for name in ("clusters", "outliers"):
            report.equal(name, folder.predict(name, row)["prediction"],
                         models[name].predict([row])[0])
        folder.predict("no-proba", [None, 1, 1, 1], status=400)
        folder.predict("no-proba", [1, 1], status=400)
        report.equal("nothing is warned of", folder.log_lines("prints"), [])


def as_scikit_learn_says(report):
    """Whatever they are made of: answers are those of predict()."""
    models = unusual_models()
    with own_modules(), Pickles() as folder:
        for name, (model, _) in models.items():
            folder.put_model(name, model)
        report.check("all are tried", folder.settled(models, 120) is not None, folder.models())
        for name, (model, rows) in models.items():
            wanted = model.predict(rows)
            # A column that is dropped at once is none of the model's.
            sent = rows[USED[name]] if name in USED else rows
            table = numpy.array(sent, dtype=object).reshape(len(rows), -1).tolist()
            try:
                got = folder.predict(name, table)
            except RuntimeError as error:
                report.equal(name, str(error), "an answer")
                continue
            if wanted.dtype.kind in "US" or wanted.dtype == numpy.uint64:
                report.equal(name, got["label"], [str(each) for each in wanted.tolist()])
            elif isinstance(getattr(model, "classes_", None), numpy.ndarray) and wanted.ndim == 1:
                places = [model.classes_.tolist().index(each) for each in wanted]
                report.equal(name, got["prediction"], places)
            else:
                report.equal(name, numpy.array(got["prediction"]).tolist(), wanted.tolist())
        report.equal("none is doubted", folder.log_lines("cannot be told"), [])
        folder.put_model("doubtful", columns_that_change_places())
        report.check("what is doubted is tried", folder.settled(["doubtful"]) is not None)
        report.check("and warned of", folder.log_lines("model doubtful", "cannot be told"))


def columns_that_change_places():
    people = pandas.DataFrame({"fare": [1.0, 2.0, 3.0], "sex": ["m", "f", "m"]})
    return make_pipeline(
        FunctionTransformer(own_steps.as_array), ColumnTransformer([
            ("c", OneHotEncoder(handle_unknown="ignore"), [0]), ("n", StandardScaler(), [1])]),
        Ridge()).fit(people, [1.0, 2.0, 3.0])


@contextlib.contextmanager
def own_modules():
    """Modules of the user's own, in a folder that is named relative to the server's."""
    with tempfile.TemporaryDirectory() as scratch:
        os.chmod(scratch, 0o755)  # workers are somebody else
        shutil.copy(own_steps.__file__, scratch)
        os.environ["PYTHONPATH"] = os.path.basename(scratch)
        try:
            with contextlib.chdir(os.path.dirname(scratch)):
                yield
        finally:
            del os.environ["PYTHONPATH"]


USED = {"columns-that-are-dropped": ["age", "fare"], "objects-of-a-frame": ["age", "sex", "ticket"],
        "a-transformer-inside-another": ["fare", "sex"],
        "a-union-of-frames": ["age", "fare", "sex"],
        "a-column-that-passes-through": ["age"], "all-but-what-is-dropped": ["age", "ticket"]}


def unusual_models():
    """{name: (model, rows)}"""
    marks, several = datasets.make_multilabel_classification(150, 5, n_classes=3, random_state=1)
    source = numpy.random.default_rng(7)
    people = pandas.DataFrame({
        "age": source.integers(20, 60, 120), "fare": source.uniform(0, 100, 120),
        "sex": source.choice(["m", "f"], 120), "ticket": source.choice([1, 2, 3], 120)})
    known = numpy.where((people.sex == "m") ^ (people.age > 40), "yes", "no")
    both = numpy.column_stack([people.age, people.fare])
    objects = people[["sex", "ticket"]].to_numpy(dtype=object)
    words, verdicts = ["good film", "bad film", "awful", "fine, good"] * 6, ["y", "n", "n", "y"] * 6
    by_name = ColumnTransformer([("n", StandardScaler(), ["age"]), ("o", MinMaxScaler(), ["fare"])])
    numeric = make_pipeline(SimpleImputer(), StandardScaler())
    text = make_pipeline(SimpleImputer(strategy="most_frequent"),
                         OneHotEncoder(handle_unknown="ignore"))
    mixed = ColumnTransformer([("n", numeric, ["age", "fare"]), ("c", text, ["sex"])])
    strict = ColumnTransformer([("n", StandardScaler(), [0, 1]), ("c", OneHotEncoder(), [-2])])
    logged = make_pipeline(FunctionTransformer(numpy.log1p), LogisticRegression())
    unsorted = LogisticRegression().fit(marks[:, :1], several[:, 0])
    unsorted.classes_ = numpy.array([1, 0])
    trained = [
        ("several labels of a network", MLPClassifier((5,), max_iter=50, random_state=1), marks,
         several),
        ("several labels of a ridge", RidgeClassifier(), marks, several),
        ("numbers by name", make_pipeline(by_name, LogisticRegression()),
         people[["age", "fare"]], known),
        ("mixed", make_pipeline(mixed, LogisticRegression()), people[["age", "fare", "sex"]], known),
        ("mixed, calibrated", CalibratedClassifierCV(make_pipeline(mixed, LinearSVC())),
         people[["age", "fare", "sex"]], known),
        ("mixed, a vote", VotingClassifier([("a", make_pipeline(mixed, LogisticRegression()))],
                                           voting="soft"), people[["age", "fare", "sex"]], known),
        ("mixed, the target scaled", TransformedTargetRegressor(
            make_pipeline(mixed, Ridge()), transformer=StandardScaler()),
         people[["age", "fare", "sex"]], both[:, 0]),
        ("columns that are dropped", make_pipeline(by_name, LogisticRegression()), people, known),
        ("a transformer inside another", make_pipeline(ColumnTransformer([
            ("in", make_pipeline(ColumnTransformer([("o", OneHotEncoder(), ["sex"])])),
             ["sex", "ticket"]), ("n", "passthrough", ["fare"])]), LogisticRegression()),
         people, known),
        ("a union of frames", make_pipeline(FeatureUnion([("a", by_name), ("b", mixed)]),
                                            LogisticRegression()), people, known),
        ("objects of a frame", make_pipeline(ColumnTransformer([
            ("o", OneHotEncoder(), ["sex", "ticket"]), ("n", StandardScaler(), ["age"])]),
            LogisticRegression()), people.astype({"ticket": object}), known),
        ("two targets of known values", make_pipeline(strict, Ridge()), people, both),
        ("objects that are numbers", make_pipeline(OneHotEncoder(handle_unknown="ignore"),
                                                   LogisticRegression()), objects, known),
        ("numbers that are objects", make_pipeline(OneHotEncoder(), LogisticRegression()),
         objects[:, 1:], known),
        ("a frame into a function", logged, people[["age", "fare"]], known),
        ("a function that wants a frame", make_pipeline(FunctionTransformer(
            operator.itemgetter(["age"])), LogisticRegression()), people[["age", "fare"]], known),
        ("a function that adds columns", make_pipeline(FunctionTransformer(functools.partial(
            numpy.pad, pad_width=((0, 0), (0, 2)))), ColumnTransformer(
                [("n", StandardScaler(), [True] + 5 * [False] + [True])]), LogisticRegression()),
         marks, several[:, 0]),
        ("a function that turns columns", make_pipeline(FunctionTransformer(functools.partial(
            numpy.flip, axis=1)), ColumnTransformer([("o", OneHotEncoder(), [0])]),
            LogisticRegression()), people[["age", "ticket"]].to_numpy(), known),
        ("a function that makes texts", make_pipeline(FunctionTransformer(operator.methodcaller(
            "astype", str)), OneHotEncoder(), LogisticRegression()),
         people[["ticket"]].to_numpy(float), known),
        ("a function inside by places", make_pipeline(ColumnTransformer([
            ("f", FunctionTransformer(operator.itemgetter(["age"])), [0, 1]),
            ("c", OneHotEncoder(), [2])]), LogisticRegression()), people[["age", "fare", "sex"]],
         known),
        ("a column that passes through", make_pipeline(ColumnTransformer([
            ("k", "passthrough", ["age"])]), LogisticRegression()), people[["age", "fare"]], known),
        ("all but what is dropped", make_pipeline(ColumnTransformer(
            [("d", "drop", ["sex"])], remainder=StandardScaler()), LogisticRegression()),
         people[["age", "sex", "ticket"]], known),
        ("a width that only names tell", make_pipeline("passthrough", by_name, LogisticRegression()),
         people[["age", "fare"]], known),
        ("words twice", make_pipeline(FeatureUnion([
            ("w", TfidfVectorizer()), ("c", CountVectorizer(analyzer="char"))]),
            LogisticRegression()), words, verdicts),
        ("words, calibrated", CalibratedClassifierCV(make_pipeline(TfidfVectorizer(), LinearSVC())),
         words, verdicts),
        ("a ratio of two columns", make_pipeline(FunctionTransformer(own_steps.with_ratio),
                                                 StandardScaler(), LogisticRegression()),
         people[["age", "fare"]], known),
        ("a logarithm in front of columns", make_pipeline(FunctionTransformer(own_steps.with_log),
                                                          by_name, LogisticRegression()),
         people[["age", "fare"]], known),
        ("a class that divides", make_pipeline(own_steps.Divides(), LogisticRegression()),
         people[["age", "fare"]], known),
        ("columns in another order", make_pipeline(FunctionTransformer(functools.partial(
            pandas.DataFrame, columns=["fare", "age"])), LogisticRegression()),
         people[["age", "fare"]], known),
        ("texts beside a ratio", make_pipeline(FunctionTransformer(own_steps.with_ratio),
                                               ColumnTransformer([
                                                   ("n", StandardScaler(), ["age", "ratio"]),
                                                   ("c", OneHotEncoder(), ["sex"])]),
                                               LogisticRegression()),
         people[["age", "fare", "sex"]], known),
        ("texts in lower case", make_pipeline(ColumnTransformer([
            ("c", make_pipeline(FunctionTransformer(own_steps.lower), OneHotEncoder(
                handle_unknown="ignore")), ["sex"]), ("n", StandardScaler(), ["age"])]),
            LogisticRegression()), people[["age", "sex"]], known),
        ("a function that names numbers", make_pipeline(FunctionTransformer(own_steps.named),
                                                        OneHotEncoder(handle_unknown="ignore"),
                                                        LogisticRegression()),
         people[["ticket"]], known),
        ("words that are cleaned", make_pipeline(FunctionTransformer(own_steps.clean),
                                                 TfidfVectorizer(), LogisticRegression()),
         words, verdicts),
        ("a series that is cleaned", make_pipeline(FunctionTransformer(own_steps.clean_series),
                                                   TfidfVectorizer(), LogisticRegression()),
         pandas.Series(words), verdicts),
        ("words of a column", make_pipeline(FunctionTransformer(operator.itemgetter("text")),
                                            TfidfVectorizer(), LogisticRegression()),
         pandas.DataFrame({"number": range(len(words)), "text": words}), verdicts),
        ("a vote of its own kind", make_pipeline(StandardScaler(), own_steps.Vote(
            [("a", LogisticRegression())])), marks, several[:, 0]),
        ("a vote alone", own_steps.Vote([("a", LogisticRegression())]), marks, several[:, 0]),
        ("words by a class of its own", make_pipeline(own_steps.Stems(), LogisticRegression()),
         words, verdicts),
        ("labels that no INT64 holds", LogisticRegression(), marks,
         numpy.array([1, 2**63 + 5], "u8")[several[:, 0]]),
        ("single precision", KMeans(3, n_init=1, random_state=1), marks.astype("f4"), None),
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        models = {name.replace(" ", "-").replace(",", ""): (clone(model).fit(rows, target), rows[:9])
                  for name, model, rows, target in trained}
    models["unsorted"] = (unsorted, marks[:9, :1])
    return models


# ---- Who may ----


def permission(report):
    model = LogisticRegression(max_iter=200).fit(*datasets.load_iris(return_X_y=True))
    marker = "/tmp/sluice-e2e-never-" + str(os.getpid())
    with Suspects() as folder:
        folder.put("closed", "1", dumped(Runs(f"open({marker!r}, 'w')")), name="model.pkl")
        folder.yaml("opened", "allow_pickle: true\ninstances: 1\n")
        folder.put("opened", "1", dumped(model), name="model.pkl")
        report.check("both are tried", folder.settled(["closed", "opened"]) is not None)
        folder.refused(report, "a pickle", "closed", "1", ["--allow-pickle", "ONNX"])
        report.equal("model.yaml allows one", folder.state("opened", "1"), "ready")
        connection = folder.server.connection()
        connection.request("POST", "/v2/repository/index", "{}")
        listed = {one["name"]: one for one in json.loads(connection.getresponse().read())}
        connection.close()
        report.check("the index says why", "--allow-pickle" in listed["closed"].get("reason", ""),
                     listed["closed"])
        report.check("the log says why", folder.log_lines("model closed", "--allow-pickle"))
        report.check("nothing ran", not os.path.exists(marker))


# ---- Bad pickles ----


class Runs:
    """A pickle that runs this program when it is loaded."""

    def __init__(self, program):
        self.program = program

    def __reduce__(self):
        return exec, (self.program,)


STRAY = f"stray{os.getpid()}"  # what they are called
TWO_CHILDREN = f"""
import ctypes, os, time
ctypes.CDLL(None).prctl(15, b'{STRAY}', 0, 0, 0)
for _ in range(2):
    if os.fork() == 0:
        os.setsid()
        while True: time.sleep(1)
raise ValueError('forked')
"""


def bad_pickles(report):
    good = dumped(Ridge().fit([[0.0], [1.0]], [0.0, 1.0]))
    quick = ONE + "python: {load_timeout: 1s, memory: 512MiB}\n"
    cases = {
        "empty": (b"", "empty"),
        "half": (good[:len(good) // 2], ""),
        "noise": (os.urandom(5000), ""),
        "a-text": (b"garbage\n", "damaged"),
        "zeros": (b"\xff" + bytes(64), "damaged"),
        "dicts": (dumped(make_pipeline(DictVectorizer(), Ridge()).fit([{"a": 1}], [0.0])), "a dict"),
        "a-dict": (pickle.dumps({"a": 1}), "dict"),
        "unfitted": (dumped(make_pipeline(StandardScaler(), Ridge())), "never fitted"),
        "a-class": (pickle.dumps(Ridge), "the class Ridge itself"),
        "texts": (dumped(MultiOutputClassifier(LogisticRegression()).fit(
            [[0.0], [1.0]], [["a", "c"], ["b", "d"]])), "texts"),
        "no-predict": (dumped(StandardScaler().fit([[1.0]])), "no predict"),
        "raises": (dumped(Runs("raise ValueError('no, thank you')")), "no, thank you"),
        "exits": (dumped(Runs("import sys; sys.exit(3)")), "SystemExit"),
        "leaves": (dumped(Runs("import os; os._exit(3)")), "exit status 3"),
        "crashes": (dumped(Runs("import ctypes; ctypes.string_at(0)")), "SIGSEGV"),
        "spins": (dumped(Runs("while True: pass")), "processor"),
        "large": (dumped(Runs("import numpy; numpy.ones(100 << 30, dtype='u1')")), "python.memory"),
        "lists": (dumped(Runs("x = [bytes(1 << 20) for _ in range(100_000)]")), "python.memory"),
        "forks": (dumped(Runs(TWO_CHILDREN)), "forked"),
        "module": (b"cno_such_module\nthing\n.", "no_such_module"),
        "lies": (dumped(Runs("import socket; socket.socket(fileno=3).send(b'x' * 32)")), ""),
        "floods": (dumped(Runs("import os\nfor i in range(30000): os.write(1, b'%d\\n' % i)\n"
                               "raise ValueError('flooded')")), "flooded"),
        "mislabels": (with_class("Mislabels"), "wrongly"),
        "closes": (dumped(Runs("import os\nfor i in range(64):\n try: os.close(i)\n"
                               " except OSError: pass")), ""),
    }
    with Pickles() as folder:
        for name, (data, _) in cases.items():
            folder.put_model(name, data, yaml=quick)
        report.check("all are tried", folder.settled(cases, 60) is not None, folder.models())
        for name, (_, words) in cases.items():
            folder.refused(report, name, name, "1", [words])
        folder.check_health(report, "bad pickles")
        report.check("nothing is left", wait_until(lambda: not folder.workers()) is not None,
                     folder.workers())
        said = folder.log_lines("model floods", "prints")
        report.check("a flood is a few lines", 1 < len(said) < 30, len(said))
        # Without a process namespace what has left the process group cannot be found.
        if not folder.log_lines("a process namespace"):
            report.equal("no stray processes", strays(), [])


def strays():
    """Forked children of workers: they sleep in a session of their own."""
    names = {pid: comm(pid) for pid in os.listdir("/proc") if pid.isdigit()}
    return [pid for pid, name in names.items() if name == STRAY]


def comm(pid):
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def quiet_and_chatty(report):
    """What a model prints is no answer; descriptors 0, 1 and 2 are not the protocol."""
    with Pickles() as folder:
        folder.put_model("chatty", with_class("Chatty"))
        report.check("served", folder.settled(["chatty"]) is not None, folder.models())
        report.equal("state", folder.models()["chatty"]["1"], ("ready", ""))
        for x in range(20):
            report.equal(f"answer {x}", folder.predict("chatty", [x])["prediction"], 2.0 * x)
        said = folder.log_lines("model chatty", "prints")
        report.check("told, a few times", 1 <= len(said) <= 22, len(said))
        folder.check_health(report, "chatty")


def with_class(name):
    """A pickle that brings its class along, as far as a pickle can."""
    return dumped(Brings(CLASSES[name]))


class Brings:
    def __init__(self, program):
        self.program = program

    def __reduce__(self):
        # eval(program) is an instance of a class that type() makes there.
        return eval, (self.program,)


def made(predict, extra=""):
    """An expression for an estimator of one feature whose predict(X) is this expression."""
    return ("(lambda n, os, time: type('Made', (), {'n_features_in_': 1, " + extra +
            "'predict': lambda self, X: " + predict + "})())"
            "(__import__('numpy'), __import__('os'), __import__('time'))")


CLASSES = {
    "Chatty": made("(os.write(1, b'out %d\\n' % int(X[0, 0])), os.write(2, b'err\\n'), "
                   "print('hello'), X[:, 0] * 2)[3]"),
    # 13 ends its process, 14 spins, 15 raises, 16 wants memory.
    "Moody": made("os._exit(13) if (X == 13).any() else "
                  "time.sleep(600) if (X == 14).any() else "
                  "1 / 0 if (X == 15).any() else "
                  "n.ones(100 << 30, dtype='u1')[:1] if (X == 16).any() else X[:, 0] * 2"),
    # Half and half, so that its label is asked for in a second run. 13 ends the process that was
    # asked for its probabilities.
    "Tied": ("(lambda n, os, base: type('LogisticRegression', (base,), {"
             "'__module__': base.__module__, "
             "'predict_proba': lambda self, X: (setattr(self, 'asked', 1), n.full((len(X), 2), .5))[1], "
             "'predict': lambda self, X: os._exit(13) if (X == 13).any() and hasattr(self, 'asked') "
             "else n.full(len(X), 7)})().fit([[0], [1]], [3, 7]))"
             "(__import__('numpy'), __import__('os'), "
             "__import__('sklearn.linear_model').linear_model.LogisticRegression)"),
    # Its process says of a label that it has columns.
    "Mislabels": ("(lambda main, made: (setattr(main.Worker, 'read_outputs', lambda self, out: "
                  "out.update(classes=['a', 'b'], decided=True, outputs=["
                  "dict(name='label', dtype='BYTES', columns=3, role='label'), "
                  "dict(name='probabilities', dtype='FP64', columns=2, role='probabilities')])), "
                  "made)[1])(__import__('__main__'), " + made("X") + ")"),
    "Where": made("n.array([float(os.getuid()), float(len(os.listdir('/sys/class/net'))), "
                  "float(len([f for f in os.listdir('/proc/self/fd')])), "
                  "float('SLUICE_SECRET' in os.environ or 'AWS_SECRET_ACCESS_KEY' in os.environ)])"
                  "[None, :]"),
}


def moods(report):
    """A row that ends its worker costs its own request and nobody else's."""
    with Pickles() as folder:
        folder.put_model("moody", with_class("Moody"),
                         yaml="instances: 2\npython: {run_timeout: 1s, memory: 1GiB}\n")
        report.check("served", folder.settled(["moody"]) is not None, folder.models())
        report.equal("both workers come", wait_until(lambda: len(folder.workers()) == 2) is None,
                     False)
        report.equal("a good row", folder.predict("moody", [3])["prediction"], 6.0)
        raised = folder.predict("moody", [15], status=500)
        report.check("raises", "ZeroDivisionError" in str(raised), raised)
        report.check("memory", "python.memory" in str(folder.predict("moody", [16], status=500)))
        before = set(folder.workers())
        late = folder.predict("moody", [14], status=504)
        report.check("too slow", "run_timeout" in str(late), late)
        report.equal("a good row after it", folder.predict("moody", [4])["prediction"], 8.0)
        dead = folder.predict("moody", [13], status=500)
        report.check("dies", "twice" in str(dead), dead)
        answers = many(folder, "moody", [[x if x != 5 else 13] for x in range(10)])
        wrong = {x: got for x, got in answers.items()
                 if got != ((200, 2.0 * x) if x != 5 else (500, None))}
        report.equal("innocent neighbours", wrong, {})
        report.check("others now", not before & set(folder.workers()), (before, folder.workers()))


def between_two_asks(report):
    """Of equal probabilities the model itself is asked; its process may end just then."""
    with Pickles() as folder:
        folder.put_model("tied", with_class("Tied"))
        report.check("served", folder.settled(["tied"]) is not None, folder.models())
        before = folder.workers()
        for x in (1, 13, 2):
            said = folder.predict("tied", [x])
            report.equal(f"{x}", (said["prediction"], said["confidence"]), (1, 0.5))
        report.check("another worker", set(before) != set(folder.workers()), before)


def many(folder, name, rows):
    """{place: (status, prediction)} of rows that are sent at the same time."""
    out = {}

    def ask(place, row):
        connection = folder.server.connection(timeout=60)
        connection.request("POST", f"/models/{name}/predict", json.dumps({"features": row}))
        answer = connection.getresponse()
        body = json.loads(answer.read())
        out[place] = (answer.status, body.get("prediction"))
        connection.close()

    threads = [threading.Thread(target=ask, args=one) for one in enumerate(rows)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return out


# ---- Deaths, changes, ends ----


def marked(model):
    """A pickle of a classifier whose confidences tell its processes apart: each that loads it adds
    a little of its own."""
    return dumped(Brings("(lambda model, n: (setattr(model, 'intercept_', model.intercept_ + "
                         "n.random.default_rng().random(3) * 1e-6), model)[1])"
                         f"(__import__('pickle').loads({pickle.dumps(model)!r}), "
                         "__import__('numpy'))"))


def killed_under_load(report):
    """kill -9 of workers, again and again: no request fails."""
    model = LogisticRegression(max_iter=200).fit(*datasets.load_iris(return_X_y=True))
    with Pickles() as folder:
        folder.put_model("m", marked(model), yaml="instances: 2\n")
        report.check("served", folder.settled(["m"]) is not None, folder.models())
        folder.ask = lambda name: (lambda got: (200, None, got["confidence"]))(
            folder.predict(name, [5.1, 3.5, 1.4, 0.2]))
        with Asking(folder, "m") as one, Asking(folder, "m") as two, Asking(folder, "m") as three:
            clients = one, two, three
            for kills in range(3):
                # One that is there may still import: it is ready when it has answered.
                answering(report, clients, 2 + kills)
                os.kill(folder.workers()[0], signal.SIGKILL)
            answering(report, clients, 5)
            time.sleep(1)
        for number, asking in enumerate(clients):
            nobody_failed(report, f"client {number}", asking)
        report.check("it is told", folder.log_lines("model m", "started again"))
        version_swap(report, folder, model)


def answering(report, clients, workers):
    """Until so many workers, the dead ones among them, have answered."""
    def seen():
        return {one[2] for asking in clients for one in list(asking.outcomes) if one[0] == 200}
    report.check(f"{workers} have answered",
                 wait_until(lambda: len(seen()) >= workers, 30) is not None, seen())


def version_swap(report, folder, model):
    other = LogisticRegression(max_iter=200, C=0.001).fit(*datasets.load_iris(return_X_y=True))
    row = [5.1, 3.5, 1.4, 0.2]
    with Asking(folder, "m") as asking:
        folder.put_model("m", other, version="2", yaml=None)
        took = wait_until(lambda: folder.predict("m", row)["model_version"] == "2", 20)
        report.check("the new version serves", took is not None, folder.models())
        folder.remove("m", "1")
        wait_until(lambda: "1" not in folder.models()["m"])
    nobody_failed(report, "the swap", asking)
    report.equal("its own answer", folder.predict("m", row)["confidence"],
                 other.predict_proba([row])[0].max())
    report.check("the old workers end",
                 wait_until(lambda: len(folder.workers()) == 2) is not None, folder.workers())


def apart(report):
    """A worker's user, network, descriptors and environment."""
    os.environ["AWS_SECRET_ACCESS_KEY"] = "secret"
    try:
        with Pickles() as folder:
            folder.put_model("where", with_class("Where"))
            report.check("served", folder.settled(["where"]) is not None, folder.models())
            user, networks, descriptors, secret = folder.predict("where", [1])["prediction"]
            missing = folder.log_lines("model where", "run without")
            report.check("a user of its own", user != 0 or missing or os.geteuid() != 0, user)
            report.check("few descriptors", descriptors < 9, descriptors)
            report.equal("no secrets", secret, 0)
            pid = folder.workers()[0]
            status = Path(f"/proc/{pid}/status").read_text()
            report.check("no new privileges", "NoNewPrivs:\t1" in status)
            limits = Path(f"/proc/{pid}/limits").read_text()
            report.check("limits", f"{4 << 30}" in limits, limits)
            if not missing:
                report.check("a network of its own",
                             os.readlink(f"/proc/{pid}/ns/net") != os.readlink("/proc/self/ns/net"))
    finally:
        del os.environ["AWS_SECRET_ACCESS_KEY"]


def ends(report):
    """No worker outlives its server, however that ends."""
    model = Ridge().fit([[0.0], [1.0]], [0.0, 1.0])
    for number in (signal.SIGTERM, signal.SIGKILL):
        with Pickles() as folder:
            folder.put_model("m", model)
            report.check("served", folder.settled(["m"]) is not None, folder.models())
            workers = folder.workers()
            report.equal("one worker", len(workers), 1)
            folder.server.signal(number)
            code = folder.server.wait()
            report.equal(f"exit code after {number.name}", code,
                         0 if number == signal.SIGTERM else -signal.SIGKILL)
            gone = wait_until(lambda: not any(cmdline(pid) for pid in workers))
            report.check(f"gone after {number.name}", gone is not None, workers)


def old_and_absent(report):
    """A pickle of another version of scikit-learn; a Python without it."""
    good = dumped(Ridge().fit([[0.0], [1.0]], [0.0, 1.0]))
    version = good[good.index(b"_sklearn_version"):][:40]
    import sklearn
    ours = sklearn.__version__.encode()
    report.check("the version is in the pickle", ours in version, version)
    with Pickles() as folder:
        folder.put_model("old", good.replace(ours, b"0" * (len(ours) - 2) + b".1"))
        report.check("served", folder.settled(["old"]) is not None, folder.models())
        report.check("warned of", folder.log_lines("model old", "was written by scikit-learn"))
        newer = pickle.dumps(Ridge().fit([[0.0], [1.0]], [0.0, 1.0]), protocol=3)
        newer = newer.replace(b"Ridge", b"Rigid").replace(ours, b"9" * (len(ours) - 2) + b".1")
        folder.put_model("newer", newer)
        wait_until(lambda: folder.state("newer", "1") == "failed", 20)
        for words in ("Rigid", "was written by scikit-learn 9", ".1 and this Python", "--python"):
            report.check(f"what cannot be read, {words}", words in folder.reason("newer", "1"),
                         folder.reason("newer", "1"))
        said = inspected(folder.place("old", "1", "model.pkl"))
        report.check("inspect names the version", "trained_with" in said[1], said)
        private = Path(folder.scratch.name) / "private"
        private.mkdir(mode=0o700)
        (private / "python3").symlink_to("/usr/bin/python3")
        with contextlib.chdir(folder.scratch.name):
            folder.serve(*ALLOWED, "--python", "private/python3")
        report.check("a Python that nobody else may start",
                     wait_until(lambda: folder.state("old", "1") == "ready", 20) is not None,
                     folder.models())
        if os.geteuid() == 0:
            report.check("runs as the server", folder.log_lines("model old", "a user of its own"))
        folder.serve(*ALLOWED, "--python", "/bin/true")
        wait_until(lambda: folder.reason("old", "1") != "", 20)
        report.check("a Python without it", "--python" in folder.reason("old", "1"),
                     folder.models())


def inspected(file):
    """(exit code, stdout, stderr)"""
    return ran("inspect", str(file), "--allow-pickle")


def ran(*words):
    done = subprocess.run([str(BINARY), *words], capture_output=True, text=True, timeout=60,
                          stdin=subprocess.DEVNULL, env=environment())
    return done.returncode, done.stdout, done.stderr


def one_file(report):
    """What a single file warns of is seen by whoever serves it, asks it or looks into it."""
    model = LogisticRegression(max_iter=200).fit(*datasets.load_iris(return_X_y=True))
    import sklearn
    ours = sklearn.__version__.encode()
    with tempfile.TemporaryDirectory() as scratch:
        old, broken = Path(scratch, "old.pkl"), Path(scratch, "broken.pkl")
        old.write_bytes(dumped(model).replace(ours, b"0" * (len(ours) - 2) + b".1"))
        broken.write_bytes(dumped(Runs("print('about to fail'); raise ValueError('on purpose')")))
        row = ["--data", "[5.1, 3.5, 1.4, 0.2]", "--json"]
        code, out, err = ran("predict", str(old), "--allow-pickle", *row)
        report.check("predict warns", code == 0 and "was written by scikit-learn" in err, err)
        report.equal("and answers", json.loads(out)["prediction"], 0)
        code, out, err = inspected(old)
        report.check("inspect warns", code == 0 and "was written by scikit-learn" in err, err)
        for words in (["predict", str(broken), *row], ["inspect", str(broken)],
                      command(broken)[1:]):
            code, _, err = ran(*words, "--allow-pickle")
            report.equal(f"{words[0]}, a broken one: exit code", code, 65)
            report.equal(f"{words[0]}: says why, once", err.count("on purpose"), 1)
            report.check(f"{words[0]}: and what it prints", "about to fail" in err, err)
        with Server(old, extra=["--allow-pickle"]) as server:
            report.check("serve warns", "was written by scikit-learn" in server.stderr(),
                         server.stderr())


def in_one_process(report):
    """What scikit-learn would do by several processes, a worker does by itself."""
    rows, labels = datasets.load_iris(return_X_y=True)
    many = numpy.tile(rows, (100, 1))
    by_column = ColumnTransformer([("a", StandardScaler(), [0, 1]), ("b", MinMaxScaler(), [2, 3])])
    models = {"bagging": BaggingClassifier(n_estimators=4, random_state=1).fit(rows, labels),
              "columns": make_pipeline(by_column, LogisticRegression()).fit(rows, labels)}
    wanted = {name: model.predict(many).tolist() for name, model in models.items()}
    # Only now: this process would start some, too.
    models["bagging"].set_params(n_jobs=2)
    models["columns"][0].set_params(n_jobs=2)
    with Pickles() as folder:
        before = sorted(os.listdir("/dev/shm"))
        for name, model in models.items():
            folder.put_model(name, model)
        report.check("served", folder.settled(models) is not None, folder.models())
        for name, labels in wanted.items():
            report.equal(f"{name}: labels", folder.infer(name, many)["label"].tolist(), labels)
        below = [pid for worker in folder.workers() for pid in children(worker)]
        report.equal("no worker starts others", below, [])
        left = [each for each in os.listdir("/dev/shm")
                if each not in before and each.startswith(("sem.", "joblib"))]
        report.equal("nothing is left in shared memory", left, [])


if __name__ == "__main__":
    Report("sklearn_models").run(golden, every_classifier, kinds_of_models, as_scikit_learn_says,
                                 one_file, in_one_process, permission, bad_pickles, quiet_and_chatty, moods,
                                 between_two_asks, killed_under_load, apart, ends, old_and_absent)
