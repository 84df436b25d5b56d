"""The program of a worker: unpickles one scikit-learn model and predicts with it.

It runs in the user's own Python (3.9 or later), started by Sluice. worker_channel.py stands in front
of it and says what the descriptors are. What the model prints goes to 1 and 2, which Sluice logs;
neither is part of the protocol.
"""
import ctypes
import gc
import json
import os
import pickle
import re
import struct
import sys
import warnings
import zlib

# Classifiers of scikit-learn whose `predict` answers the class of the largest probability, or of
# the largest score of which the probability is a rising function. Where one probability is larger
# than all others, that is the answer: Sluice finds it, and asks for labels where two are equal,
# perhaps by rounding. SVC(probability=True) is none: its probabilities are fitted apart, by
# cross-validation, and may prefer another class.
ARGMAX = set("""AdaBoostClassifier BaggingClassifier BernoulliNB CalibratedClassifierCV CategoricalNB
    ComplementNB DecisionTreeClassifier ExtraTreeClassifier ExtraTreesClassifier GaussianNB
    GradientBoostingClassifier HistGradientBoostingClassifier KNeighborsClassifier LabelPropagation
    LabelSpreading LinearDiscriminantAnalysis LogisticRegression LogisticRegressionCV MLPClassifier
    MultinomialNB QuadraticDiscriminantAnalysis RandomForestClassifier SGDClassifier""".split())
# They turn whatever they get into 32-bit floats themselves.
SINGLE = {kind + role for role in ("Classifier", "Regressor") for kind in (
    "DecisionTree", "ExtraTree", "RandomForest", "ExtraTrees", "GradientBoosting")}
CATEGORICAL = {"OneHotEncoder", "OrdinalEncoder", "TargetEncoder"}
TEXT = {"CountVectorizer", "TfidfVectorizer", "HashingVectorizer"}


class Refusal(Exception):
    """Why this model cannot be served."""


def own_class(estimator):
    """The name of a class of scikit-learn's own; empty for everybody else's."""
    kind = type(estimator)
    return kind.__name__ if kind.__module__.split(".")[0] == "sklearn" else ""


def inner(estimator, which):
    """The estimator that does the first or the last step, inside pipelines and searches."""
    while True:
        if own_class(estimator) == "Pipeline":
            steps = [step for _, step in estimator.steps if step not in (None, "passthrough")]
            if not steps:
                return estimator
            estimator = steps[which]
        elif own_class(estimator) and hasattr(estimator, "best_estimator_"):
            estimator = estimator.best_estimator_
        elif which == -1 and own_class(estimator) == "StackingClassifier":
            estimator = estimator.final_estimator_
        else:
            return estimator


def decided_by_probability(estimator):
    last = inner(estimator, -1)
    if own_class(last) == "VotingClassifier":
        return last.voting == "soft"
    return own_class(last) in ARGMAX


def is_text(values):
    return all(getattr(each, "dtype", None) is not None and each.dtype.kind in "OUS"
               for each in values)


def column_kinds(estimator, count):
    """'text' or 'number' for each column that the first step takes."""
    first = inner(estimator, 0)
    if own_class(first) in CATEGORICAL and hasattr(first, "categories_"):
        return ["text" if is_text([each]) else "number" for each in first.categories_]
    kinds = ["number"] * count
    if own_class(first) != "ColumnTransformer":
        return kinds
    names = list(getattr(first, "feature_names_in_", []))
    for _, step, columns in first.transformers_:
        if step in ("drop", "passthrough"):
            continue
        places = numpy.arange(count)
        if isinstance(columns, (str, int)):
            columns = [columns]
        if isinstance(columns, slice):
            if any(isinstance(end, str) for end in (columns.start, columns.stop)):
                raise Refusal("it chooses columns by a slice of names; export it to ONNX")
            columns = list(places[columns])
        columns = [names.index(each) if isinstance(each, str) else each for each in columns]
        columns = list(places[numpy.asarray(columns, dtype=None if columns else int)])
        inside = (["text"] * len(columns) if own_class(inner(step, 0)) in TEXT
                  else column_kinds(step, len(columns)))
        for place, kind in zip(columns, inside):
            if kind == "text":
                kinds[place] = kind
    return kinds


class Worker:
    def __init__(self, channel):
        self.channel = channel

    def load(self):
        """Answers what the model takes and gives, for the C++ side's signature."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            self.model = read_model()
        said = [str(each.message) for each in caught]
        if not hasattr(self.model, "predict"):
            raise Refusal(f"the file holds a {type(self.model).__name__}, which has no predict")
        versions = re.findall(r"from version (\S+) when using version", "\n".join(said))
        out = {
            "estimator": describe(self.model), "sklearn": sklearn.__version__,
            "python": "%d.%d.%d" % sys.version_info[:3],
            "trained_with": versions[0] if versions else "",
            "warnings": [] if versions else said[:3],
        }
        self.read_inputs(out)
        self.read_outputs(out)
        # Said once for each request otherwise, of every model that was fitted on a DataFrame.
        warnings.filterwarnings("ignore", message="X does not have valid feature names")
        return out

    def read_inputs(self, out):
        width = getattr(self.model, "n_features_in_", None)
        names = [str(name) for name in getattr(self.model, "feature_names_in_", [])]
        if width is None and own_class(inner(self.model, 0)) in TEXT:
            self.take, self.kinds = self.take_documents, ["text"]
        else:
            self.kinds = column_kinds(self.model, int(width or 0))
            self.width = int(width) if width is not None else -1
            self.take = self.take_table if "text" in self.kinds else self.take_numbers
        single = self.take == self.take_numbers and own_class(self.model) in SINGLE
        self.dtype = numpy.dtype("<f4" if single else "<f8")
        self.frame = self.take == self.take_table and self.needs_frame(names)
        out["columns"] = names if len(names) == (width or 0) else []
        out["numbers"] = "FP32" if single else "FP64"
        out["width"] = -1 if width is None else int(width)
        out["kinds"] = self.kinds if "text" in self.kinds else []

    def needs_frame(self, names):
        """One that was fitted on a DataFrame finds its columns by their names."""
        if not names or own_class(inner(self.model, 0)) != "ColumnTransformer":
            return None
        try:
            import pandas
        except ImportError:
            raise Refusal("it was fitted on a DataFrame and chooses columns by their names, for "
                          "which this Python lacks pandas") from None
        return lambda columns: pandas.DataFrame(dict(zip(names, columns)), columns=names)

    def read_outputs(self, out):
        classes = getattr(self.model, "classes_", None)
        out["classes"], out["outputs"] = [], []
        if sklearn.base.is_classifier(self.model) and isinstance(classes, numpy.ndarray):
            if classes.ndim == 1 and not self.is_multilabel():
                return self.read_classes(classes, out)
        self.answer = self.predict_values
        sample = self.try_values()
        if sample.dtype.kind not in "fiub" or sample.ndim > 2:
            raise Refusal("a prediction of it is neither a number nor a list of numbers")
        whole = sample.dtype.kind != "f"
        self.values = numpy.dtype("<i8" if whole else "<f8")
        self.columns = sample.shape[1] if sample.ndim == 2 else 0
        out["outputs"] = [{"name": "prediction", "dtype": "INT64" if whole else "FP64",
                           "columns": self.columns, "role": "value"}]

    def is_multilabel(self):
        return bool(getattr(inner(self.model, -1), "multilabel_", False))

    def read_classes(self, classes, out):
        kind = classes.dtype.kind
        if kind == "f" and numpy.all(classes == classes.astype("i8")):
            kind = "i"
        self.names_classes = kind not in "iu"
        labels = classes if self.names_classes else classes.astype("i8")
        out["classes"] = [str(label) for label in labels.tolist()]
        self.classes = classes
        self.labels = numpy.arange(len(classes)) if self.names_classes else labels
        out["outputs"] = [{"name": "label", "dtype": "BYTES" if self.names_classes else "INT64",
                           "columns": 0, "role": "label"}]
        self.answer = self.predict_label
        if hasattr(self.model, "predict_proba"):
            self.answer = self.predict_wanted
            out["decided"] = bool(decided_by_probability(self.model))
            out["outputs"].append({"name": "probabilities", "dtype": "FP64",
                                   "columns": len(classes), "role": "probabilities"})

    def try_values(self):
        """One prediction, to see its form. What zeros are refused by is taken to give numbers."""
        width = max(1, len(self.kinds) if self.take != self.take_numbers else self.width)
        try:
            if self.take == self.take_documents:
                return numpy.asarray(self.model.predict([""]))
            if self.take == self.take_table:
                columns = [["" if kind == "text" else 0.0] for kind in self.kinds]
                return numpy.asarray(self.model.predict(self.table(columns, 1)))
            return numpy.asarray(self.model.predict(numpy.zeros((1, width), self.dtype)))
        except (ValueError, TypeError, KeyError):
            return numpy.zeros(1)

    def take_numbers(self, rows, width):
        return numpy.ndarray((rows, width), self.dtype, self.channel.memory)

    def column(self, place, rows):
        """One column of a table: where it lies is said at the front of the memory."""
        memory = self.channel.memory
        start = struct.unpack_from("=Q", memory, 8 * place)[0]
        if self.kinds[place] == "number":
            return numpy.frombuffer(memory, "<f8", rows, start)
        ends = numpy.frombuffer(memory, "<u8", rows + 1, start).tolist()
        return [str(memory[a:b], "utf-8", "replace") for a, b in zip(ends, ends[1:])]

    def take_documents(self, rows, _):
        return self.column(0, rows)

    def take_table(self, rows, _):
        return self.table([self.column(i, rows) for i in range(len(self.kinds))], rows)

    def table(self, columns, rows):
        if self.frame:
            return self.frame(columns)
        out = numpy.empty((rows, len(columns)), dtype=object)
        for place, column in enumerate(columns):
            out[:, place] = column
        return out

    def write(self, place, dtype, values):
        data = numpy.asarray(values, dtype).tobytes()
        self.channel.memory[place:place + len(data)] = data

    def check(self, values, shape):
        if values.shape != shape:
            raise RuntimeError(f"a prediction has the shape {values.shape} instead of {shape}")
        return values

    def predict_values(self, table, rows, place, _):
        values = numpy.asarray(self.model.predict(table))
        if self.columns == 1 and values.ndim == 1:
            values = values.reshape(rows, 1)
        shape = (rows, self.columns) if self.columns else (rows,)
        self.write(place, self.values, self.check(values, shape))

    def predict_label(self, table, rows, place, _):
        # Places in `classes_`, which scikit-learn keeps sorted.
        indexes = numpy.searchsorted(self.classes, numpy.asarray(self.model.predict(table)))
        self.write(place, "<i8", self.check(self.labels[indexes], (rows,)))

    def predict_wanted(self, table, rows, place, second):
        if second != UNWANTED:
            # Who is asked twice gets the same twice: a model may work in place.
            first = table if place == UNWANTED else table.copy()
            scores = numpy.asarray(self.model.predict_proba(first))
            self.write(second, "<f8", self.check(scores, (rows, len(self.classes))))
        if place != UNWANTED:
            self.predict_label(table, rows, place, second)

    def serve(self):
        channel = self.channel
        while question := channel.next():
            _, width, rows, first, second = question
            try:
                self.answer(self.take(rows, width), rows, first, second)
                channel.reply(DONE, 0, rows)
            except MemoryError:
                channel.reply(RAISED, MEMORY_ERROR, channel.put_text("MemoryError"))
            except ValueError as error:
                channel.reply(RAISED, INPUT_ERROR, channel.put_text(str(error)))
            except Exception as error:
                text = f"{type(error).__name__}: {error}"
                channel.reply(RAISED, OTHER_ERROR, channel.put_text(text))


def read_model():
    with open(MODEL, "rb") as file:
        try:
            import joblib as reader
        except ImportError:
            import pickle as reader
        return reader.load(file)


def describe(model):
    """Pipeline(StandardScaler, SVC)"""
    name = type(model).__name__
    if own_class(model) == "Pipeline":
        inside = [type(step).__name__ for _, step in model.steps]
    else:
        inside = [type(model.best_estimator_).__name__] if hasattr(model, "best_estimator_") else []
    return f"{name}({', '.join(inside)})" if inside else name


def keep_apart():
    """Other workers of the same user may not look into this one; the system ends it first."""
    try:
        ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)  # PR_SET_DUMPABLE
        with open("/proc/self/oom_score_adj", "w") as score:
            score.write("500")
    except (OSError, AttributeError):
        pass


def explain(error):
    """An exception of loading, as the end of a sentence."""
    if isinstance(error, Refusal):
        return str(error)
    if isinstance(error, MemoryError):
        return "it needs more memory than python.memory in model.yaml allows"
    if isinstance(error, ModuleNotFoundError):
        return f"it needs the Python module '{error.name}', which this Python lacks"
    # A number that is no key: joblib's reader does not know the byte.
    unknown = isinstance(error, KeyError) and error.args and isinstance(error.args[0], int)
    if unknown or isinstance(error, (pickle.UnpicklingError, EOFError, struct.error, zlib.error)):
        return (f"the file is damaged, or is no pickle; copy it or write it again "
                f"({type(error).__name__}: {error})")
    if isinstance(error, AttributeError) and "__main__" in str(error):
        return ("it needs a class or function that was defined in the program that wrote it; put "
                "it into a module that this Python can import")
    return f"{type(error).__name__}: {error}"


def main():
    channel = Channel()
    worker = Worker(channel)
    keep_apart()
    channel.say(HELLO)
    try:
        found = worker.load()
    except BaseException as error:  # SystemExit, too: a pickle may raise what it likes
        return channel.say(REFUSED, channel.put_text(explain(error)))
    gc.collect()
    gc.freeze()  # the model's objects are never garbage: no collection walks over them
    channel.say(LOADED, channel.put_text(json.dumps(found)))
    worker.serve()


import numpy  # noqa: E402  what takes long comes last, so that reading errors come first
import sklearn.base  # noqa: E402

main()
