"""Iris: logistic regression in the layout that sklearn-onnx gives a classifier by default."""

import numpy as np
from onnx import TensorProto, TypeProto, helper
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

import common


def export(model, path):
    """LinearClassifier, Normalizer and ZipMap; the labels are strings inside the graph."""
    labels = list(model.classes_)
    nodes = [
        helper.make_node(
            "LinearClassifier",
            ["X"],
            ["label", "scores"],
            domain="ai.onnx.ml",
            coefficients=model.coef_.ravel().tolist(),
            intercepts=model.intercept_.tolist(),
            classlabels_strings=labels,
            multi_class=1,
            post_transform="SOFTMAX",
        ),
        helper.make_node("Normalizer", ["scores"], ["normalized"], domain="ai.onnx.ml", norm="L1"),
        helper.make_node(
            "ZipMap",
            ["normalized"],
            ["probabilities"],
            domain="ai.onnx.ml",
            classlabels_strings=labels,
        ),
    ]
    inputs = [common.float_info("X", ["N", 4])]
    outputs = [
        helper.make_tensor_value_info("label", TensorProto.STRING, ["N"]),
        helper.make_value_info("probabilities", zipmap_type()),
    ]
    common.write_onnx(path, nodes, inputs, outputs)


def zipmap_type():
    """sequence(map(string, float)); the helpers of onnx 1.12 have none for maps."""
    sequence = TypeProto()
    entry = sequence.sequence_type.elem_type.map_type
    entry.key_type = TensorProto.STRING
    entry.value_type.tensor_type.elem_type = TensorProto.FLOAT
    return sequence


def main():
    data = common.load_float32(load_iris)
    X_train, X_test, y_train, y_test = common.split(data)
    names = np.array([str(name) for name in data.target_names])
    model = LogisticRegression(multi_class="multinomial", max_iter=1000)
    model.fit(X_train, names[y_train])
    export(model, common.model_path("iris", "1", "model.onnx"))
    common.report("iris", "1", "accuracy", model.score(X_test, names[y_test]))
    rows = common.golden_rows(data)
    labels = [str(label) for label in model.classes_]
    common.write_classifier_golden("iris", "1", rows, model.predict_proba(rows), labels)


if __name__ == "__main__":
    main()
