"""What people put into their pipelines: a worker imports it by PYTHONPATH."""

import numpy
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.ensemble import VotingClassifier
from sklearn.feature_extraction.text import TfidfVectorizer


def with_ratio(frame):
    return frame.assign(ratio=frame["fare"] / frame["age"])


def with_log(frame):
    return frame.assign(fare=numpy.log(frame["fare"]))


def lower(frame):
    return frame.apply(lambda column: column.str.lower())


def clean(texts):
    return [text.lower().strip() for text in texts]


def clean_series(texts):
    return texts.str.lower()


def named(frame):
    return frame.replace({"ticket": {1: "one", 2: "two", 3: "three"}})


def as_array(frame):
    return numpy.column_stack([frame["sex"], frame["fare"]]).astype(object)


class Divides(TransformerMixin, BaseEstimator):
    def fit(self, frame, _=None):
        self.feature_names_in_ = numpy.array(frame.columns, dtype=object)
        self.n_features_in_ = frame.shape[1]
        return self

    def transform(self, frame):
        return (frame["fare"] / frame["age"]).to_frame()


class Stems(TfidfVectorizer):
    def build_analyzer(self):
        analyze = super().build_analyzer()
        return lambda text: [word.rstrip("s") for word in analyze(text)]


class Vote(VotingClassifier):
    """It keeps what it learned in its own way."""

    def fit(self, rows, target):
        self.chosen_ = self.estimators[0][1].fit(rows, target)
        self.classes_ = self.chosen_.classes_
        return self

    def predict(self, rows):
        return self.chosen_.predict(rows)

    def predict_proba(self, rows):
        return self.chosen_.predict_proba(rows)
