"""Shared by the training scripts: where files go, how goldens and ONNX files are written."""

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper
from sklearn.model_selection import train_test_split

SEED = 20240607
GOLDEN_ROWS = 120
OPSET = 15
ML_OPSET = 3
# The newest IR that onnx 1.12 knows; every ONNX Runtime since 1.10 reads it.
IR_VERSION = 8

EXAMPLES = Path(__file__).resolve().parent.parent


def model_path(model, version, name):
    path = EXAMPLES / "models" / model / version / name
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def load_float32(loader, **options):
    """A data set as the server sees it: its features are float32 before any model gets them."""
    data = loader(**options)
    data.data = data.data.astype(np.float32)
    return data


def split(data):
    """X_train, X_test, y_train, y_test; a quarter of the rows is held out."""
    stratify = data.target if hasattr(data, "target_names") else None
    return train_test_split(
        data.data, data.target, test_size=0.25, random_state=SEED, stratify=stratify
    )


def golden_rows(data):
    """The rows that go into a golden file: the same sample for every model of a data set."""
    order = np.random.default_rng(SEED).permutation(len(data.data))
    return data.data[order[:GOLDEN_ROWS]]


def numbers(values):
    """JSON numbers that parse back to exactly these values.

    str() gives the shortest decimal for the value's own type, so a float32 stays short.
    """
    return [float(str(value)) for value in np.ravel(values)]


def write_lines(model, version, records):
    path = EXAMPLES / "golden" / f"{model}.{version}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")


def write_classifier_golden(model, version, rows, probabilities, labels):
    records = []
    for row, row_probabilities in zip(rows, probabilities):
        best = int(np.argmax(row_probabilities))
        as_numbers = numbers(row_probabilities)
        records.append(
            {
                "features": numbers(row),
                "prediction": best,
                "confidence": as_numbers[best],
                "label": labels[best],
                "probabilities": as_numbers,
            }
        )
    write_lines(model, version, records)


def write_regression_golden(model, version, rows, predictions):
    records = [
        {"features": numbers(row), "prediction": value, "confidence": 1.0}
        for row, value in zip(rows, numbers(predictions))
    ]
    write_lines(model, version, records)


def float_info(name, shape):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def write_onnx(path, nodes, inputs, outputs, initializers=()):
    graph = helper.make_graph(nodes, path.parent.parent.name, inputs, outputs, list(initializers))
    opsets = [helper.make_opsetid("", OPSET)]
    if any(node.domain == "ai.onnx.ml" for node in nodes):
        opsets.append(helper.make_opsetid("ai.onnx.ml", ML_OPSET))
    model = helper.make_model(
        graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="sluice-examples"
    )
    # Without full_check: the shape inference of onnx 1.12 refuses every ZipMap.
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def report(model, version, measure, value):
    print(f"{model} {version}: held-out {measure} {value:.4f}")
