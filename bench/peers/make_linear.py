"""Writes the model that the group `features` fetches rows for: make_linear.py MODEL.onnx WIDTH.

The sum of its features: as little arithmetic as a model can have, so that what is measured is what
comes before it.
"""
import sys

import numpy
from onnx import TensorProto, checker, helper, numpy_helper

width = int(sys.argv[2])
graph = helper.make_graph(
    [helper.make_node("MatMul", ["features", "weights"], ["sum"])], "linear",
    [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", width])],
    [helper.make_tensor_value_info("sum", TensorProto.FLOAT, ["batch", 1])],
    [numpy_helper.from_array(numpy.ones((width, 1), numpy.float32), "weights")])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
checker.check_model(model)
with open(sys.argv[1], "wb") as file:
    file.write(model.SerializeToString())
