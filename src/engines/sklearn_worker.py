"""The program of a worker: unpickles one scikit-learn model and predicts with it.

It runs in the user's own Python (3.9 or later), started by Sluice. In front of it stand
worker_channel.py, which says what the descriptors are, sklearn_columns.py and sklearn_file.py. What
the model prints goes to 1 and 2, which Sluice logs; neither is part of the protocol.
"""
import contextlib
import ctypes
import gc
import json
import os
import re
import struct
import sys
import warnings

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


def decided_by_probability(estimator):
    last = last_step(estimator)
    if own_class(last) == "VotingClassifier":
        return last.voting == "soft"
    return own_class(last) in ARGMAX


class Worker:
    def __init__(self, channel):
        self.channel = channel

    def load(self):
        """Answers what the model takes and gives, for the C++ side's signature."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            self.model = read_model()
        said = [str(each.message) for each in caught]
        check_model(self.model)
        versions = re.findall(r"from version (\S+) when using version", "\n".join(said))
        out = {
            "estimator": describe(self.model), "sklearn": sklearn.__version__,
            "python": "%d.%d.%d" % sys.version_info[:3],
            "trained_with": versions[0] if versions else "",
            "warnings": [] if versions else said[:3],
        }
        # Said once for each request otherwise, of every model that was fitted on a DataFrame.
        warnings.filterwarnings("ignore", message="X does not have valid feature names")
        self.read_inputs(out)
        self.read_outputs(out)
        return out

    def read_inputs(self, out):
        if takes_dicts(self.model):
            raise Refusal("it takes a dict for each row (DictVectorizer, FeatureHasher), which no "
                          "request is; train it on columns, with a OneHotEncoder")
        width = getattr(self.model, "n_features_in_", None)
        names = names_of(self.model)
        if width is None and takes_documents(self.model):
            columns = [("text", "")]
        else:
            width = len(names) or None if width is None else int(width)
            columns = columns_of(self.model, width or 0, names)
        wanted = wants_frame(self.model, names)
        if wanted == YES:  # what is dropped at once is none of the model's
            used = sorted(used_places(self.model, len(names), names))
            given, columns = [names[place] for place in used], [columns[place] for place in used]
            width = len(used)
        else:
            given = names
        self.kinds = ["text" if each and each[0] == "text" else "number" for each in columns]
        self.objects = [place for place, each in enumerate(columns) if each and each[0] == "object"]
        self.sample = [each[1] if each and each != UNSURE else None for each in columns]
        self.unsure = UNSURE in columns
        self.as_documents = list
        self.frame = self.frame_of(wanted, names, given)
        self.take = self.take_numbers
        if "text" in self.kinds:
            self.take = self.take_documents if width is None else self.take_table
        elif self.frame or self.objects:
            self.take = self.take_columns
        single = self.take == self.take_numbers and is_single(self.model)
        self.dtype = numpy.dtype("<f4" if single else "<f8")
        out["columns"] = given if len(given) == (width or 0) else []
        out["numbers"] = "FP32" if single else "FP64"
        out["width"] = -1 if width is None else width
        out["kinds"] = self.kinds if "text" in self.kinds else []

    def frame_of(self, wanted, names, given):
        """What makes a DataFrame of the columns that are given, for one that was fitted on one;
        nothing where none is wanted, or could be had."""
        if wanted == NO:
            return None
        try:
            import pandas
        except ImportError:
            if wanted == PERHAPS:
                return None
            raise Refusal("it was fitted on a DataFrame and chooses columns by their names, for "
                          "which this Python lacks pandas; install it there, or name a Python "
                          "that has it with --python") from None

        def frame(columns):
            made = dict.fromkeys(names, numpy.nan)
            made.update(zip(given, columns))
            return pandas.DataFrame(made, columns=names)
        return frame

    def read_outputs(self, out):
        out["classes"], out["outputs"] = [], []
        tried = self.try_values(out)
        if self.unsure and (tried is None or "text" not in self.kinds):
            out["warnings"].append(
                "which columns are texts cannot be told, as a function or a class of your own stands "
                "in front of what learned them; they take numbers. Train the model on what comes out "
                "of it")
        classes = getattr(self.model, "classes_", None)
        if isinstance(classes, list) and all(numpy.isscalar(each) for each in classes):
            classes = numpy.array(classes)
        if sklearn.base.is_classifier(self.model) and isinstance(classes, numpy.ndarray):
            if classes.ndim == 1 and numpy.ndim(tried) < 2 and not self.is_multilabel():
                return self.read_classes(classes, out)
        self.answer = self.predict_values
        sample = check_values(numpy.zeros(1) if tried is None else tried)
        whole = sample.dtype.kind != "f"
        self.values = numpy.dtype("<i8" if whole else "<f8")
        self.columns = sample.shape[1] if sample.ndim == 2 else 0
        out["outputs"] = [{"name": "prediction", "dtype": "INT64" if whole else "FP64",
                           "columns": self.columns, "role": "value"}]

    def is_multilabel(self):
        last = last_step(self.model)
        kind = getattr(getattr(last, "_label_binarizer", None), "y_type_", "")
        return bool(getattr(last, "multilabel_", False)) or str(kind).startswith("multilabel")

    def read_classes(self, classes, out):
        kind = classes.dtype.kind
        if kind == "u" and classes.max() >= 1 << 63:
            kind = "O"  # no INT64: then they are names
        if kind == "f" and numpy.all(classes == classes.astype("i8")):
            kind = "i"
        self.names_classes = kind not in "iu"
        labels = classes if self.names_classes else classes.astype("i8")
        out["classes"] = [label.decode("utf-8", "replace") if isinstance(label, bytes)
                          else str(label) for label in labels.tolist()]
        # scikit-learn keeps them sorted; somebody's own class may not.
        self.order = numpy.argsort(classes, kind="stable")
        self.sorted = classes[self.order]
        self.labels = self.order if self.names_classes else labels[self.order]
        out["outputs"] = [{"name": "label", "dtype": "BYTES" if self.names_classes else "INT64",
                           "columns": 0, "role": "label"}]
        self.answer = self.predict_label
        if hasattr(self.model, "predict_proba"):
            self.answer = self.predict_wanted
            out["decided"] = bool(decided_by_probability(self.model))
            out["outputs"].append({"name": "probabilities", "dtype": "FP64",
                                   "columns": len(classes), "role": "probabilities"})

    def try_values(self, out):
        """One prediction, to see its form; nothing where such rows are refused, as zeros may be."""
        failed = []
        for table in self.trials():
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    return self.model.predict(table)
            except sklearn.exceptions.NotFittedError:
                raise never_fitted(self.model) from None
            except Exception as error:
                failed.append(error)
        self.as_documents = list
        if not isinstance(failed[0], ValueError):
            out["warnings"].append(f"a first prediction failed, and others may: "
                                   f"{type(failed[0]).__name__}: {failed[0]}")
        return None

    def trials(self):
        """One row of values that the steps know, of zeros and then of ones elsewhere; documents in
        a list, and then in what a function in front of their vectorizer may want."""
        if self.take == self.take_documents:
            yield self.as_documents(self.sample)
            with contextlib.suppress(ImportError):
                import pandas
                self.as_documents = pandas.Series
                yield self.as_documents(self.sample)
            return
        for other in (0.0, 1.0):
            row = [other if each is None else each for each in self.sample] or [other]
            if self.take == self.take_numbers:
                yield numpy.array([row], self.dtype)
            else:
                yield self.table([numpy.array([each], object if isinstance(each, str) else "f8")
                                  for each in row], 1)

    def take_numbers(self, rows, width):
        return numpy.ndarray((rows, width), self.dtype, self.channel.memory)

    def take_columns(self, rows, width):
        return self.table(list(self.take_numbers(rows, width).T), rows)

    def column(self, place, rows):
        """One column of a table: where it lies is said at the front of the memory."""
        memory = self.channel.memory
        start = struct.unpack_from("=Q", memory, 8 * place)[0]
        if self.kinds[place] == "number":
            return numpy.frombuffer(memory, "<f8", rows, start)
        ends = numpy.frombuffer(memory, "<u8", rows + 1, start).tolist()
        return [str(memory[a:b], "utf-8", "replace") for a, b in zip(ends, ends[1:])]

    def take_documents(self, rows, _):
        return self.as_documents(self.column(0, rows))

    def take_table(self, rows, _):
        return self.table([self.column(i, rows) for i in range(len(self.kinds))], rows)

    def table(self, columns, rows):
        for place in self.objects:
            columns[place] = columns[place].astype(object)
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
        predicted = numpy.asarray(self.model.predict(table))
        places = numpy.searchsorted(self.sorted, predicted)
        self.check(places, (rows,))
        if places.max() == len(self.sorted) or not (self.sorted[places] == predicted).all():
            raise RuntimeError("it predicts what is none of its classes_")
        self.write(place, "<i8", self.labels[places])

    def predict_wanted(self, table, rows, place, second):
        if second != UNWANTED:
            # Who is asked twice gets the same twice: a model may work in place.
            first = table if place == UNWANTED else table.copy()
            scores = numpy.asarray(self.model.predict_proba(first))
            self.write(second, "<f8", self.check(scores, (rows, len(self.sorted))))
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


def check_values(values):
    """A first prediction of a model without a list of classes, as an array of numbers."""
    if hasattr(values, "toarray"):
        raise Refusal("it predicts sparse matrices; train it on dense arrays")
    out = numpy.asarray(values)
    if out.dtype.kind not in "fiub" or out.ndim > 2:
        what = "texts" if out.dtype.kind in "US" else "objects"
        if out.dtype.kind in "fiub":
            what = f"arrays of {out.ndim} dimensions"
        raise Refusal(f"it predicts {what} without one list of classes (classes_), where a number "
                      "or a list of numbers for each row is expected; train it on numbers, or serve "
                      "a model for each target")
    return out


def is_single(model):
    """Whether it computes with 32-bit floats whatever it gets, or takes nothing else."""
    centres = getattr(model, "cluster_centers_", None)
    return own_class(model) in SINGLE or own_class(model).endswith("KMeans") and (
        getattr(centres, "dtype", None) == "float32")


def keep_apart():
    """Other workers of the same user may not look into this one; the system ends it first."""
    try:
        ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)  # PR_SET_DUMPABLE
        with open("/proc/self/oom_score_adj", "w") as score:
            score.write("500")
    except (OSError, AttributeError):
        pass


def work_in_one_process():
    """A worker is one of several already. Of an estimator with `n_jobs` each run would start others,
    which leave files in /dev/shm and take no large batch; by threads it computes the same."""
    with contextlib.suppress(ImportError):
        import joblib
        joblib.parallel_backend("threading", n_jobs=1)  # of those that do not say how many


def main():
    channel = Channel()
    worker = Worker(channel)
    keep_apart()
    work_in_one_process()
    channel.say(HELLO)
    try:
        found = worker.load()
    except BaseException as error:  # SystemExit, too: a pickle may raise what it likes
        return channel.say(REFUSED, channel.put_text(explain(error)))
    with contextlib.suppress(OSError):
        os.close(MODEL)
    gc.collect()
    gc.freeze()  # the model's objects are never garbage: no collection walks over them
    channel.say(LOADED, channel.put_text(json.dumps(found)))
    worker.serve()


import numpy  # noqa: E402  what takes long comes last, so that reading errors come first
import sklearn.base  # noqa: E402
import sklearn.exceptions  # noqa: E402
import sklearn.utils.validation  # noqa: E402

main()
