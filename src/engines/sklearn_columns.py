"""What a fitted estimator takes: the kind of each column, and whether it wants a DataFrame. It is
read off what the steps of scikit-learn learned. Stands in front of sklearn_worker.py in the one
program that they make (CMakeLists.txt).
"""
import contextlib
import numbers
import warnings

# Each of their columns is one of the values that they learned.
CATEGORICAL = {"OneHotEncoder", "OrdinalEncoder", "TargetEncoder"}
# They take documents: one text a row, no table.
VECTORIZERS = {"CountVectorizer", "TfidfVectorizer", "HashingVectorizer"}
OF_DICTS = {"DictVectorizer", "FeatureHasher"}
# Each of these estimators gets the very rows that the whole of them gets.
TOGETHER = {kind + role for kind in ("Voting", "Stacking", "MultiOutput") for role in (
    "Classifier", "Regressor")} | {"OneVsRestClassifier", "OneVsOneClassifier",
                                   "OutputCodeClassifier"}
# What they learned of the same rows lies in an attribute of this name.
WRAPPED = ("best_estimator_", "regressor_", "base_estimator_", "estimator_")
WRAPPERS = {"TransformedTargetRegressor", "SelfTrainingClassifier", "FixedThresholdClassifier",
            "TunedThresholdClassifierCV"}
# Without this attribute a class that is derived from one of them is laid out in its own way.
LAID_OUT = {"CalibratedClassifierCV": "calibrated_classifiers_", "ColumnTransformer": "transformers_",
            "FeatureUnion": "transformer_list", "Pipeline": "steps", "FunctionTransformer": "func",
            "SimpleImputer": "add_indicator", "FrozenEstimator": "estimator",
            **dict.fromkeys(TOGETHER, "estimators_")}
UNKNOWN = None  # a column of which nobody says anything
UNSURE = "unsure", 0.0  # nor could it be found out whether it is of texts
NO, PERHAPS, YES = range(3)


class Refusal(Exception):
    """Why this model cannot be served."""


def own_class(estimator):
    """The name of a class of scikit-learn's own; empty for everybody else's."""
    kind = type(estimator)
    return kind.__name__ if kind.__module__.split(".")[0] == "sklearn" else ""


def kin_class(estimator):
    """The same of what somebody derived from one: it is laid out alike, whatever it answers."""
    for kind in type(estimator).__mro__:
        ours = kind.__module__.split(".")[0] == "sklearn" and kind.__module__ != "sklearn.base"
        if ours and not kind.__name__.startswith("_") and not kind.__name__.endswith("Mixin"):
            name = kind.__name__
            return name if name not in LAID_OUT or hasattr(estimator, LAID_OUT[name]) else ""
    return ""


def is_function(estimator):
    """What it does with columns cannot be read off: a function's work, or that of somebody's own
    class."""
    kind = kin_class(estimator)
    if kind == "FunctionTransformer":
        return not isinstance(estimator.func, (type(None), numpy.ufunc))
    return not kind and hasattr(estimator, "transform")


def is_step(estimator):
    return not (estimator is None or isinstance(estimator, str))  # "passthrough", "drop"


def steps_of(pipeline):
    return [step for _, step in pipeline.steps if is_step(step)]


def beside(estimator):
    """The estimators in it that get the same input as it does."""
    kind = kin_class(estimator)
    if kind == "Pipeline":
        return steps_of(estimator)[:1]
    if kind == "FrozenEstimator":  # of 1.6; it has all attributes of what it holds
        return [estimator.estimator]
    if kind == "FeatureUnion":
        return [each for _, each in estimator.transformer_list if is_step(each)]
    if kind == "CalibratedClassifierCV":
        return [getattr(each, "estimator", None) or getattr(each, "base_estimator", None)
                for each in estimator.calibrated_classifiers_[:1]]
    if kind in TOGETHER:
        return [each for each in estimator.estimators_ if is_step(each)]
    if kind in WRAPPERS or kind and hasattr(estimator, "best_estimator_"):
        return [getattr(estimator, name) for name in WRAPPED if hasattr(estimator, name)][:1]
    return []


def names_of(estimator):
    """Of the columns of the DataFrame that it was fitted on; a FeatureUnion leaves them to its
    transformers."""
    names = getattr(estimator, "feature_names_in_", None)
    if names is not None:
        return [str(name) for name in names]
    return next(filter(None, map(names_of, beside(estimator))), [])


def takes_documents(estimator):
    """Also behind functions, which clean them."""
    if kin_class(estimator) == "Pipeline":
        inside = [step for step in steps_of(estimator)
                  if kin_class(step) != "FunctionTransformer" and not is_function(step)][:1]
    else:
        inside = beside(estimator)
    return kin_class(estimator) in VECTORIZERS or any(map(takes_documents, inside))


def takes_dicts(estimator):
    return kin_class(estimator) in OF_DICTS or any(map(takes_dicts, parts_of(estimator)))


def parts_of(estimator):
    """The estimators in it that get its input, or columns of it."""
    if kin_class(estimator) == "ColumnTransformer":
        return [step for _, step, _ in estimator.transformers_ if is_step(step)]
    return beside(estimator)


def places_of(columns, names, count):
    """The places of the columns that a ColumnTransformer gives to one step."""
    if isinstance(columns, slice):
        ends = [names.index(end) if isinstance(end, str) else end
                for end in (columns.start, columns.stop)]
        if isinstance(columns.stop, str):
            ends[1] += 1  # names are taken with the last
        return list(range(count))[slice(*ends, columns.step)]
    if isinstance(columns, (str, numbers.Integral)):
        columns = [columns]
    columns = list(columns)
    if columns and all(isinstance(each, (bool, numpy.bool_)) for each in columns):
        return [place for place, wanted in enumerate(columns) if wanted]
    return [names.index(each) if isinstance(each, str) else int(each) % count for each in columns]


def by_name(columns):
    if isinstance(columns, slice):
        return isinstance(columns.start, str) or isinstance(columns.stop, str)
    return any(isinstance(each, str) for each in (
        [columns] if isinstance(columns, str) else columns if numpy.iterable(columns) else []))


def learned(values):
    """The kind of a column of which a step knows these values, and one of them. An 'object' is a
    number that the step compares with Python's own."""
    known = [each for each in values.tolist() if each is not None and each == each]
    if not known:
        return UNKNOWN
    texts = sum(isinstance(each, str) for each in known)
    if 0 < texts < len(known):
        raise Refusal("one of its columns has texts and numbers; turn all of its values into texts "
                      "before training")
    if texts:
        return "text", known[0]
    try:
        return "object" if values.dtype.kind == "O" else "number", float(known[0])
    except (TypeError, ValueError):
        return UNKNOWN  # a date, say


def either(columns, others):
    """What one of the two says, a text before a number."""
    def of(a, b):
        said = [each for each in (a, b) if each]
        return next((each for each in said if each[0] == "text"), None) or next(
            (each for each in said if each != UNSURE), a or b)
    return [of(a, b) for a, b in zip(columns, others)] if len(columns) == len(others) else columns


def columns_of(estimator, count, names):
    """For each of `count` columns its kind and a value, or UNKNOWN."""
    kind, unknown = kin_class(estimator), [UNKNOWN] * count
    if kind in CATEGORICAL and len(getattr(estimator, "categories_", ())) == count:
        return [learned(each) for each in estimator.categories_]
    if kind == "SimpleImputer" and len(getattr(estimator, "statistics_", ())) == count:
        return [learned(each) for each in estimator.statistics_[:, None]]
    if kind == "ColumnTransformer":
        return columns_of_transformer(estimator, count, names)
    if kind == "Pipeline":
        return columns_of_pipeline(steps_of(estimator), count, names)
    out = unknown
    for each in beside(estimator):
        out = either(out, columns_of(each, count, names))
    return out


def columns_of_pipeline(steps, count, names):
    out, functions = [UNKNOWN] * count, []
    for step in steps:
        out = either(out, columns_behind(functions, step, count, names) if functions
                     else columns_of(step, count, names))
        if is_function(step) or functions and keeps_columns(step):
            functions.append(step)
        elif not keeps_columns(step):
            break
    return out


def keeps_columns(step):
    """Whether what comes out are the columns that go in. A function may do anything."""
    kind = kin_class(step)
    return kind == "SimpleImputer" and not step.add_indicator or (
        kind == "FunctionTransformer" and step.func is None)


def columns_behind(functions, step, count, names):
    """What a step says of the columns that go into functions in front of it: by their names, or by
    their places where they stay as many. Whether the texts that it learned go in or are made by the
    functions is tried."""
    if takes_documents(step):
        marks = [f"text{place}" for place in range(count)]
        came = come_out(functions, marks, names, [])
        return [("text", "") if came == [mark] else UNKNOWN for mark in marks]
    later = names_of(step)
    known = columns_of(step, len(later) or getattr(step, "n_features_in_", 0), later)
    if names and later:
        same = {names.index(name): place for place, name in enumerate(later) if name in names}
    else:
        same = {place: place for place in range(count)} if len(known) == count else {}
    texts = {place: known[behind][1] for place, behind in same.items()
             if known[behind] and known[behind][0] == "text"}
    # Texts of which nobody knows whence they come may be of any column that is not seen again.
    made = [each for place, each in enumerate(known) if place not in same.values()]
    unseen = UNSURE if any(each and each[0] == "text" for each in made) else UNKNOWN
    others = [UNKNOWN if place in same else unseen for place in range(count)]
    if not texts:
        return others
    words = come_out(functions, [texts.get(i, 1.0) for i in range(count)], names, later, len(known))
    tried = [come_out(functions, [as_number(texts[i], other) if i in texts else 1.0
                                  for i in range(count)], names, later, len(known))
             for other in range(3)]
    return [goes_in(texts[place], words and words[same[place]],
                    [each[same[place]] for each in tried if each]) if place in texts
            else others[place] for place in range(count)]


def goes_in(text, of_text, of_numbers):
    """The kind of a column behind which `text` was learned, by what comes of that and of numbers."""
    if text in of_numbers:
        return UNKNOWN  # the functions make texts of numbers
    if of_text == text:
        return "text", text
    if any(isinstance(each, str) for each in of_numbers):
        return UNKNOWN
    return ("text", text) if isinstance(of_text, str) else UNSURE


def as_number(text, other):
    try:
        return float(text)
    except ValueError:
        return float(other)


def come_out(functions, values, names, later, width=None):
    """What becomes of one row, in the order of the names that are later expected; nothing where a
    function raises, or where that are not as many as are expected."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            table = one_row(values, names)
            for function in functions:
                table = function.transform(table)
        table = table[later] if later and hasattr(table, "columns") else table
        out = numpy.asarray(table, dtype=object).reshape(-1).tolist()
    except Exception:
        return None
    return out if width is None or len(out) == width else None


def one_row(values, names):
    if names:
        with contextlib.suppress(ImportError):
            import pandas
            return pandas.DataFrame([values], columns=names)
    texts = any(isinstance(value, str) for value in values)
    return numpy.array([values], dtype=object if texts else "f8")


def columns_of_transformer(transformer, count, names):
    names = [str(each) for each in getattr(transformer, "feature_names_in_", names)]
    out = [UNKNOWN] * count
    if getattr(transformer, "n_features_in_", count) != count:
        return out  # an imputer before it has left some out
    for _, step, columns in transformer.transformers_:
        if not is_step(step):
            continue
        places = places_of(columns, names, count)
        inside = ([("text", "")] * len(places) if takes_documents(step)
                  else columns_of(step, len(places), [names[i] for i in places] if names else []))
        for place, column in zip(places, inside):
            out[place] = either([out[place]], [column])[0]
    return out


def used_places(estimator, count, names):
    """The places of the columns that are not dropped at once."""
    if kin_class(estimator) == "ColumnTransformer":
        names, out = [str(each) for each in getattr(estimator, "feature_names_in_", names)], set()
        for _, step, columns in estimator.transformers_:
            places = places_of(columns, names, count) if step != "drop" else []
            of_these = (used_places(step, len(places), [names[i] for i in places] if names else [])
                        if is_step(step) else range(len(places)))
            out.update(places[i] for i in of_these)
        return out
    parts = beside(estimator)
    return set().union(*(used_places(each, count, names) for each in parts)) if parts else set(
        range(count))


def wants_frame(estimator, names, inside=False):
    """NO, PERHAPS or YES: whether it finds its columns by their names. What a function or somebody's
    own class does inside it is not known."""
    if not names or kin_class(estimator) == "FunctionTransformer" and not is_function(estimator):
        return NO
    own = not own_class(estimator) or is_function(estimator)
    wanted = PERHAPS if inside and own else NO
    if kin_class(estimator) == "ColumnTransformer" and any(
            by_name(columns) for _, _, columns in estimator.transformers_):
        wanted = YES
    return max([wanted] + [wants_frame(each, names, True) for each in parts_of(estimator)])


