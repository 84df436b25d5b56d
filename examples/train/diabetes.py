"""Diabetes: gradient-boosted regression trees of scikit-learn, exported tree by tree."""

from collections import defaultdict

import numpy as np
from onnx import helper
from sklearn.datasets import load_diabetes
from sklearn.ensemble import GradientBoostingRegressor

import common

LEAF = -1


def float32_not_above(threshold):
    """The largest float32 <= threshold.

    scikit-learn compares a float32 feature with a float64 threshold. A feature is <= the threshold
    exactly when it is <= this value, whereas rounding to nearest could send it the other way.
    """
    rounded = np.float32(threshold)
    if rounded > threshold:
        rounded = np.nextafter(rounded, np.float32(-np.inf))
    return float(rounded)


def add_tree(attributes, tree_id, tree, learning_rate):
    for node in range(tree.node_count):
        leaf = tree.children_left[node] == LEAF
        attributes["nodes_treeids"].append(tree_id)
        attributes["nodes_nodeids"].append(node)
        attributes["nodes_modes"].append("LEAF" if leaf else "BRANCH_LEQ")
        attributes["nodes_featureids"].append(0 if leaf else int(tree.feature[node]))
        attributes["nodes_values"].append(0.0 if leaf else float32_not_above(tree.threshold[node]))
        attributes["nodes_truenodeids"].append(0 if leaf else int(tree.children_left[node]))
        attributes["nodes_falsenodeids"].append(0 if leaf else int(tree.children_right[node]))
        if leaf:
            attributes["target_treeids"].append(tree_id)
            attributes["target_nodeids"].append(node)
            attributes["target_ids"].append(0)
            attributes["target_weights"].append(learning_rate * float(tree.value[node, 0, 0]))


def export(model, path):
    attributes = defaultdict(list)
    for tree_id, estimator in enumerate(model.estimators_[:, 0]):
        add_tree(attributes, tree_id, estimator.tree_, model.learning_rate)
    node = helper.make_node(
        "TreeEnsembleRegressor",
        ["X"],
        ["variable"],
        domain="ai.onnx.ml",
        n_targets=1,
        # The boosting starts at the mean of the training targets.
        base_values=[float(model.init_.constant_[0, 0])],
        **attributes,
    )
    inputs = [common.float_info("X", ["N", 10])]
    outputs = [common.float_info("variable", ["N", 1])]
    common.write_onnx(path, [node], inputs, outputs)


def main():
    # Unscaled: ages in years and blood pressure as measured are easier to read in a request.
    data = common.load_float32(load_diabetes, scaled=False)
    X_train, X_test, y_train, y_test = common.split(data)
    model = GradientBoostingRegressor(
        n_estimators=60, max_depth=3, learning_rate=0.08, random_state=common.SEED
    )
    model.fit(X_train, y_train)
    export(model, common.model_path("diabetes", "1", "model.onnx"))
    common.report("diabetes", "1", "R2", model.score(X_test, y_test))
    rows = common.golden_rows(data)
    common.write_regression_golden("diabetes", "1", rows, model.predict(rows))


if __name__ == "__main__":
    main()
