"""Wine again, as a pipeline: StandardScaler's numbers in a JSON file, logistic regression in ONNX.

The steps that join them are written by hand, in models/wine_pipeline/model.yaml.
"""

import json

import numpy as np
from onnx import helper, numpy_helper
from sklearn.datasets import load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import common

LABELS = ["class_0", "class_1", "class_2"]


def export_scaler(scaler, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    numbers = {"mean": scaler.mean_.tolist(), "scale": scaler.scale_.tolist()}
    path.write_text(json.dumps(numbers) + "\n", encoding="utf-8")


def export_regression(model, path):
    parameters = {"weight": model.coef_.T, "bias": model.intercept_}
    initializers = [numpy_helper.from_array(value.astype(np.float32), name)
                    for name, value in parameters.items()]
    nodes = [
        helper.make_node("Gemm", ["scaled", "weight", "bias"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    inputs = [common.float_info("scaled", ["N", 13])]
    outputs = [common.float_info("probabilities", ["N", 3])]
    common.write_onnx(path, nodes, inputs, outputs, initializers)


def main():
    data = common.load_float32(load_wine)
    X_train, X_test, y_train, y_test = common.split(data)
    whole = make_pipeline(StandardScaler(), LogisticRegression(random_state=common.SEED))
    whole.fit(X_train.astype(np.float64), y_train)
    scaler, regression = (step for _, step in whole.steps)
    export_scaler(scaler, common.model_path("wine_pipeline", "1", "scaler.json"))
    export_regression(regression, common.model_path("wine_pipeline", "1", "grower.onnx"))
    accuracy = whole.score(X_test.astype(np.float64), y_test)
    common.report("wine_pipeline", "1", "accuracy", accuracy)
    rows = common.golden_rows(data)
    probabilities = whole.predict_proba(rows.astype(np.float64))
    common.write_classifier_golden("wine_pipeline", "1", rows, probabilities, LABELS)


if __name__ == "__main__":
    main()
