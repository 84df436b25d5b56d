"""Breast cancer: v1 is a small neural network (ONNX), v2 is gradient-boosted trees (XGBoost)."""

import numpy as np
import torch
from onnx import helper, numpy_helper
from sklearn.datasets import load_breast_cancer
from torch import nn
from xgboost import XGBClassifier

import common

LABELS = ["malignant", "benign"]
EPOCHS = 200


def train_mlp(X, y):
    torch.manual_seed(common.SEED)
    torch.set_num_threads(1)
    net = nn.Sequential(
        nn.Linear(30, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 2), nn.Softmax(1)
    )
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-3, weight_decay=1e-3)
    X, y = torch.from_numpy(X), torch.from_numpy(y)
    for _ in range(EPOCHS):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net[:-1](X), y).backward()
        optimizer.step()
    return net.eval()


def fold_standardisation(net, mean, std):
    """Make the first layer take raw features, so that callers need not know mean and deviation.

    W((x - mean) / std) + b is (W / std) x + (b - (W / std) mean).
    """
    first = net[0]
    with torch.no_grad():
        weight = first.weight.double() / torch.from_numpy(std)
        bias = first.bias.double() - weight @ torch.from_numpy(mean)
        first.weight.copy_(weight)
        first.bias.copy_(bias)


def predict_mlp(net, X):
    # In double, so that the golden values carry no rounding of their own.
    with torch.no_grad():
        return net.double()(torch.from_numpy(X).double()).numpy()


def export_mlp(net, path):
    """Gemm, Relu, Gemm, Relu, Gemm, Softmax, one node for each torch layer."""
    nodes, initializers, tensor = [], [], "features"
    for index, layer in enumerate(net):
        last = index == len(net) - 1
        output = "probabilities" if last else f"layer{index}"
        if isinstance(layer, nn.Linear):
            parameters = {f"weight{index}": layer.weight, f"bias{index}": layer.bias}
            for name, value in parameters.items():
                array = value.detach().float().numpy()
                initializers.append(numpy_helper.from_array(array, name))
            node = helper.make_node("Gemm", [tensor, *parameters], [output], transB=1)
        elif last:
            node = helper.make_node("Softmax", [tensor], [output], axis=1)
        else:
            node = helper.make_node("Relu", [tensor], [output])
        nodes.append(node)
        tensor = output
    inputs = [common.float_info("features", ["N", 30])]
    outputs = [common.float_info("probabilities", ["N", 2])]
    common.write_onnx(path, nodes, inputs, outputs, initializers)


def make_v1(data):
    X_train, X_test, y_train, y_test = common.split(data)
    mean = X_train.mean(axis=0, dtype=np.float64)
    std = X_train.std(axis=0, dtype=np.float64)
    net = train_mlp(((X_train - mean) / std).astype(np.float32), y_train)
    fold_standardisation(net, mean, std)
    export_mlp(net, common.model_path("breast_cancer", "v1", "model.onnx"))
    accuracy = (predict_mlp(net, X_test).argmax(axis=1) == y_test).mean()
    common.report("breast_cancer", "v1", "accuracy", accuracy)
    rows = common.golden_rows(data)
    common.write_classifier_golden("breast_cancer", "v1", rows, predict_mlp(net, rows), LABELS)


def make_v2(data):
    X_train, X_test, y_train, y_test = common.split(data)
    model = XGBClassifier(
        objective="binary:logistic",
        n_estimators=50,
        max_depth=3,
        learning_rate=0.2,
        n_jobs=1,
        random_state=common.SEED,
    )
    model.fit(X_train, y_train)
    model.save_model(common.model_path("breast_cancer", "v2", "model.json"))
    common.report("breast_cancer", "v2", "accuracy", model.score(X_test, y_test))
    rows = common.golden_rows(data)
    probabilities = model.predict_proba(rows)
    common.write_classifier_golden("breast_cancer", "v2", rows, probabilities, LABELS)


def main():
    data = common.load_float32(load_breast_cancer)
    make_v1(data)
    make_v2(data)


if __name__ == "__main__":
    main()
