"""Writes the wide network that the group `batching` serves: make_mlp.py MODEL.onnx GOLDEN.jsonl.

30→1024→1024→2, ReLU and softmax, with random weights of a fixed seed: a model whose weights, read
once for each run, cost more than a row's arithmetic, so that batches pay. The golden file has one
row with the answer that NumPy computes.
"""
import json
import sys

import numpy
from onnx import TensorProto, checker, helper, numpy_helper

WIDTHS = (30, 1024, 1024, 2)
rng = numpy.random.default_rng(7)
weights = [rng.normal(0, (2 / rows) ** 0.5, (rows, columns)).astype(numpy.float32)
           for rows, columns in zip(WIDTHS, WIDTHS[1:])]
biases = [rng.normal(0, 0.1, columns).astype(numpy.float32) for columns in WIDTHS[1:]]

nodes, tensors, at = [], [], "features"
last = len(weights) - 1
for i, (weight, bias) in enumerate(zip(weights, biases)):
    tensors += [numpy_helper.from_array(weight, f"w{i}"), numpy_helper.from_array(bias, f"b{i}")]
    nodes.append(helper.make_node("Gemm", [at, f"w{i}", f"b{i}"], [f"sum{i}"]))
    at = "probabilities" if i == last else f"layer{i}"
    nodes.append(helper.make_node("Softmax" if i == last else "Relu", [f"sum{i}"], [at]))
graph = helper.make_graph(
    nodes, "mlp",
    [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", WIDTHS[0]])],
    [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", WIDTHS[-1]])],
    tensors)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
checker.check_model(model)

row = rng.normal(0, 1, WIDTHS[0]).astype(numpy.float32).round(4)
value = row.astype(numpy.float64)
for i, (weight, bias) in enumerate(zip(weights, biases)):
    value = value @ weight + bias
    value = numpy.exp(value - value.max()) if i == last else numpy.maximum(value, 0)
probabilities = value / value.sum()
with open(sys.argv[1], "wb") as file:
    file.write(model.SerializeToString())
with open(sys.argv[2], "w") as file:
    print(json.dumps({"features": [round(float(x), 4) for x in row],
                      "prediction": int(probabilities.argmax()),
                      "confidence": float(probabilities.max())}), file=file)
