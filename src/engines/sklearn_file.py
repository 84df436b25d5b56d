"""Reads the model's file, and says why it cannot be served. Stands in front of sklearn_worker.py in
the one program that they make (CMakeLists.txt).
"""
import mmap
import pickle
import re
import struct
import traceback
import zlib

# What reads a pickle: an error that comes of it, and not of what it calls, is of the file.
READERS = re.compile(r"(^|/)(pickle|_compression|gzip|bz2|lzma|numpy_pickle\w*)\.py$")
CALLING = {"load_reduce", "load_newobj", "load_newobj_ex", "load_build", "load_inst", "load_obj",
           "_instantiate", "find_class", "load_global", "load_stack_global", "get_extension",
           "_getattribute", "_decode_string"}


def read_model():
    with open(MODEL, "rb", closefd=False) as file:
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


def last_step(estimator):
    """The estimator that has the last word, inside pipelines and searches."""
    while True:
        if own_class(estimator) == "Pipeline" and steps_of(estimator):
            estimator = steps_of(estimator)[-1]
        elif own_class(estimator) and hasattr(estimator, "best_estimator_"):
            estimator = estimator.best_estimator_
        elif own_class(estimator) == "StackingClassifier":
            estimator = estimator.final_estimator_
        else:
            return estimator


def check_model(model):
    kind = type(model).__name__
    if isinstance(model, type):
        raise Refusal(f"the file holds the class {model.__name__} itself; write a fitted object "
                      "of it")
    if not hasattr(model, "predict"):
        raise Refusal(f"the file holds a {kind}, which has no predict")
    if own_class(last_step(model)):
        try:
            sklearn.utils.validation.check_is_fitted(last_step(model))
        except sklearn.exceptions.NotFittedError:
            raise never_fitted(model) from None


def never_fitted(model):
    return Refusal(f"the file holds a {describe(model)} that was never fitted; call fit() before "
                   "writing it")


def written_by():
    """The version of scikit-learn that the file names; of a compressed one it cannot be seen."""
    try:
        with mmap.mmap(MODEL, 0, access=mmap.ACCESS_READ) as data:
            found = re.search(rb"_sklearn_version.{0,10}?(\d+(?:\.\d+)+"
                              rb"(?:\.?(?:rc|post|dev|a|b)\d+)?)", data, re.DOTALL)
            return found[1].decode() if found else ""
    except (OSError, ValueError):
        return ""  # a pickle may have closed it


def of_another_version(error):
    """What is to be said of versions after an exception of loading that they may explain."""
    wrote = written_by()
    if wrote and wrote != sklearn.__version__:
        return (f"; it was written by scikit-learn {wrote} and this Python has "
                f"{sklearn.__version__}: name a Python that has {wrote} with --python, or train it "
                f"again with {sklearn.__version__}")
    missing = str(getattr(error, "name", "") or "").split(".")[0]
    here = {"sklearn": ("scikit-learn", sklearn), "numpy": ("numpy", numpy)}.get(missing)
    return (f"; {here[0]} {here[1].__version__}, which this Python has, is probably another than "
            "wrote it: name the Python that did with --python, or train it again") if here else ""


def of_the_file(error):
    """Whether the file is no pickle, as far as that can be told from an exception of reading it."""
    if isinstance(error, (pickle.UnpicklingError, EOFError, struct.error, zlib.error)):
        return True
    at = (traceback.extract_tb(error.__traceback__) or [None])[-1]
    # Nothing that it calls runs out of what the file itself brings.
    return at is not None and bool(READERS.search(at.filename)) and (
        at.name not in CALLING or isinstance(error, IndexError))


def explain(error):
    """An exception of loading, as the end of a sentence."""
    if isinstance(error, Refusal):
        return str(error)
    if isinstance(error, MemoryError):
        return "it needs more memory than python.memory in model.yaml allows"
    if isinstance(error, ModuleNotFoundError):
        return (f"it needs the Python module '{error.name}', which this Python lacks" +
                of_another_version(error))
    if of_the_file(error):
        return (f"the file is damaged, or is no pickle; copy it or write it again "
                f"({type(error).__name__}: {error})")
    if isinstance(error, AttributeError) and "__main__" in str(error):
        return ("it needs a class or function that was defined in the program that wrote it; put "
                "it into a module that this Python can import")
    return f"{type(error).__name__}: {error}{of_another_version(error)}"


