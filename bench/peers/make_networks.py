"""Writes networks that the group `compress` makes smaller, and rows for them: make_networks.py FOLDER.

mlpW.onnx and mlpW.npy: three layers of W×W, ReLU between them. conv.onnx and conv.npy: ResNet-18's
layers (He et al. 2016, table 1) for pictures of 64×64, BatchNorm folded. Weights are random with a fixed
seed and of the variance that keeps activations in their range: times do not depend on what a network has
learned, and what it loses says little.
"""
import sys
from pathlib import Path

import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper

WIDTHS = (128, 512, 2048, 4096)
PICTURE = (3, 64, 64)
ROWS = 256

rng = numpy.random.default_rng(23)


class Network:
    """A graph that grows by one layer after the other; `at` is the value that the last one made."""

    def __init__(self, shape):
        self.nodes, self.tensors, self.at, self.shape = [], [], "x", shape

    def add(self, op, inputs, **attributes):
        name = f"{op.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        self.at = name
        return name

    def weights(self, *shape, scale):
        name = f"w{len(self.tensors)}"
        self.tensors.append(numpy_helper.from_array(
            rng.normal(0, scale, shape).astype(numpy.float32), name))
        return name

    def dense(self, rows, columns):
        return self.add("Gemm", [self.at, self.weights(rows, columns, scale=(2 / rows) ** 0.5),
                                 self.weights(columns, scale=0.05)])

    def conv(self, at, channels, out, kernel, stride, gain=1.0):
        scale = gain * (2 / (channels * kernel * kernel)) ** 0.5
        return self.add("Conv", [at, self.weights(out, channels, kernel, kernel, scale=scale),
                                 self.weights(out, scale=0.05)],
                        kernel_shape=[kernel] * 2, strides=[stride] * 2,
                        pads=[kernel // 2] * 4)

    def relu(self):
        return self.add("Relu", [self.at])

    def save(self, file, out):
        graph = helper.make_graph(
            self.nodes, file.stem,
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", *self.shape])],
            [helper.make_tensor_value_info(self.at, TensorProto.FLOAT, ["n", out])], self.tensors)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
        onnx.checker.check_model(model)
        onnx.save(model, str(file))
        numpy.save(file.with_suffix(".npy"),
                   rng.normal(0, 1, (ROWS, *self.shape)).astype(numpy.float32))


def mlp(file, width):
    network = Network((width,))
    for layer in range(3):
        network.dense(width, width)
        if layer < 2:
            network.relu()
    network.save(file, width)


def block(network, channels, out, stride):
    """Two convolutions of 3×3 beside a shortcut."""
    before = network.at
    network.conv(before, channels, out, 3, stride)
    network.relu()
    main = network.conv(network.at, out, out, 3, 1, gain=0.5)
    if stride != 1 or channels != out:
        before = network.conv(before, channels, out, 1, stride, gain=0.7)
    network.add("Add", [main, before])
    network.relu()


def resnet18(file):
    network = Network(PICTURE)
    network.conv("x", PICTURE[0], 64, 7, 2)
    network.relu()
    network.add("MaxPool", [network.at], kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    channels = 64
    for out, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        block(network, channels, out, stride)
        block(network, out, out, 1)
        channels = out
    network.add("GlobalAveragePool", [network.at])
    network.add("Flatten", [network.at])
    network.dense(channels, 1000)
    network.save(file, 1000)


folder = Path(sys.argv[1])
for each in WIDTHS:
    mlp(folder / f"mlp{each}.onnx", each)
resnet18(folder / "conv.onnx")
