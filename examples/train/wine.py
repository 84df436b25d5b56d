"""Wine: three-class XGBoost trained through its native interface, feature names in the model."""

import numpy as np
import xgboost
from sklearn.datasets import load_wine

import common

LABELS = ["class_0", "class_1", "class_2"]
ROUNDS = 25
PARAMETERS = {
    "objective": "multi:softprob",
    "num_class": 3,
    "max_depth": 3,
    "eta": 0.2,
    "nthread": 1,
    "seed": common.SEED,
}


def main():
    data = common.load_float32(load_wine)
    X_train, X_test, y_train, y_test = common.split(data)

    def matrix(X, y=None):
        return xgboost.DMatrix(X, y, feature_names=data.feature_names)

    booster = xgboost.train(PARAMETERS, matrix(X_train, y_train), ROUNDS)
    booster.save_model(common.model_path("wine", "1", "model.json"))
    accuracy = np.mean(booster.predict(matrix(X_test)).argmax(axis=1) == y_test)
    common.report("wine", "1", "accuracy", accuracy)
    rows = common.golden_rows(data)
    common.write_classifier_golden("wine", "1", rows, booster.predict(matrix(rows)), LABELS)


if __name__ == "__main__":
    main()
