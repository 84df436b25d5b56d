#!/usr/bin/python3
"""Writes repository/: tiny ONNX models in Triton's layout. The suite itself does not run this.

The files are committed, so that running the suite needs neither onnx nor numpy. Run this after a
change of the models only (Debian: python3-onnx); the same version writes the same bytes.
"""

from pathlib import Path

import onnx
from onnx import TensorProto, checker, helper

REPOSITORY = Path(__file__).resolve().parent / "repository"
OPSET = 13  # the first in which Identity takes every type
IR_VERSION = 7

# The protocol's name: ONNX's type, the name in config.pbtxt.
TYPES = {
    "BOOL": (TensorProto.BOOL, "TYPE_BOOL"),
    "UINT8": (TensorProto.UINT8, "TYPE_UINT8"),
    "UINT16": (TensorProto.UINT16, "TYPE_UINT16"),
    "UINT32": (TensorProto.UINT32, "TYPE_UINT32"),
    "UINT64": (TensorProto.UINT64, "TYPE_UINT64"),
    "INT8": (TensorProto.INT8, "TYPE_INT8"),
    "INT16": (TensorProto.INT16, "TYPE_INT16"),
    "INT32": (TensorProto.INT32, "TYPE_INT32"),
    "INT64": (TensorProto.INT64, "TYPE_INT64"),
    "FP16": (TensorProto.FLOAT16, "TYPE_FP16"),
    "BF16": (TensorProto.BFLOAT16, "TYPE_BF16"),
    "FP32": (TensorProto.FLOAT, "TYPE_FP32"),
    "FP64": (TensorProto.DOUBLE, "TYPE_FP64"),
    "BYTES": (TensorProto.STRING, "TYPE_STRING"),
}
LABELS = ["a", "b", "c", "d", "e"]


def tensor(name, dtype, dims):
    return helper.make_tensor_value_info(name, TYPES[dtype][0], dims)


def model(nodes, dtype, dims, inputs=1, outputs=1, constants=()):
    """A model whose tensors INPUT0…, OUTPUT0… all have this type and these dimensions."""

    def tensors(kind, count):
        return [tensor(f"{kind}{i}", dtype, dims) for i in range(count)]

    return build(nodes, tensors("INPUT", inputs), tensors("OUTPUT", outputs), constants)


def build(nodes, inputs, outputs, constants):
    graph = helper.make_graph(nodes, "oip", inputs, outputs, list(constants))
    made = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="oip-conformance"
    )
    made.ir_version = IR_VERSION
    checker.check_model(made, full_check=True)
    return made


def node(kind, inputs, output, **attributes):
    return helper.make_node(kind, inputs, [output], **attributes)


def identity(dtype, dims):
    return model([node("Identity", ["INPUT0"], "OUTPUT0")], dtype, dims)


def add_sub(dtype):
    nodes = [
        node("Add", ["INPUT0", "INPUT1"], "OUTPUT0"),
        node("Sub", ["INPUT0", "INPUT1"], "OUTPUT1"),
    ]
    return model(nodes, dtype, ["batch", 4], inputs=2, outputs=2)


def add_one():
    one = helper.make_tensor("one", TensorProto.FLOAT, [], [1.0])
    nodes = [node("Add", ["INPUT0", "one"], "OUTPUT0")]
    return model(nodes, "FP32", ["batch", "width"], constants=[one])


def doubled():
    return model([node("Add", ["INPUT0", "INPUT0"], "OUTPUT0")], "FP32", [2, 3])


def times_tenth_of_sum(values, dims):
    """Nodes and constants for `scaled`: these values, times the sum of input0 over ten."""
    nodes = [
        node("Cast", ["input0"], "numbers", to=TensorProto.FLOAT),
        node("ReduceSum", ["numbers"], "sum", keepdims=0),
        node("Mul", ["sum", "tenth"], "factor"),
        node("Mul", ["values", "factor"], "scaled"),
    ]
    constants = [
        helper.make_tensor("tenth", TensorProto.FLOAT, [], [0.1]),
        helper.make_tensor("values", TensorProto.FLOAT, dims, values),
    ]
    return nodes, constants


def example():
    """The model of the protocol's examples: 1, 2, 3, 4 and three times true give its answer."""
    nodes, constants = times_tenth_of_sum([1.0, 1.1, 2.0, 2.1, 3.0, 3.1], [3, 2])
    nodes += [
        node("Cast", ["input1"], "flags", to=TensorProto.FLOAT),
        node("Unsqueeze", ["flags", "last"], "column"),
        node("Mul", ["scaled", "column"], "output0"),
    ]
    constants.append(helper.make_tensor("last", TensorProto.INT64, [1], [1]))
    inputs = [tensor("input0", "UINT32", [2, 2]), tensor("input1", "BOOL", [3])]
    return build(nodes, inputs, [tensor("output0", "FP32", [3, 2])], constants)


def example_classes():
    """The model of the classification extension's examples."""
    nodes, constants = times_tenth_of_sum([1.1, 3.3, 0.5, 2.4], [4])
    nodes[-1].output[0] = "output0"
    inputs, outputs = [tensor("input0", "UINT32", [2, 2])], [tensor("output0", "FP32", [4])]
    return build(nodes, inputs, outputs, constants)


def config(name, dtype, dims, max_batch_size, inputs=1, outputs=1, labels="", more=""):
    """config.pbtxt; where max_batch_size is above zero, `dims` are those of one row."""
    tensor_type = TYPES[dtype][1]

    def tensors(kind, count, extra=""):
        return "".join(
            f'{kind.lower()} [\n  {{\n    name: "{kind}{i}"\n    data_type: {tensor_type}\n'
            f"    dims: {dims}\n{extra}  }}\n]\n"
            for i in range(count)
        )

    label_line = f'    label_filename: "{labels}"\n' if labels else ""
    return (
        f'name: "{name}"\nplatform: "onnxruntime_onnx"\nmax_batch_size: {max_batch_size}\n'
        + tensors("INPUT", inputs) + tensors("OUTPUT", outputs, label_line) + more
    )


def example_config(name, inputs, output_dims):
    """Its tensors have different types, so that they are given one by one."""
    def entry(kind, tensor_name, dtype, dims):
        data_type = TYPES[dtype][1]
        return f'{kind} [ {{ name: "{tensor_name}" data_type: {data_type} dims: {dims} }} ]\n'

    return (
        f'name: "{name}"\nplatform: "onnxruntime_onnx"\nmax_batch_size: 0\n'
        + "".join(entry("input", *one) for one in inputs)
        + entry("output", "output0", "FP32", output_dims)
    )


def write(name, versions, config_text, **files):
    folder = REPOSITORY / name
    for version, made in versions.items():
        (folder / version).mkdir(parents=True, exist_ok=True)
        (folder / version / "model.onnx").write_bytes(made.SerializeToString())
    (folder / "config.pbtxt").write_text(config_text)
    for file, text in files.items():
        (folder / file.replace("_", ".")).write_text(text)


def main():
    for dtype in ("FP32", "INT32"):
        name = f"oip_add_sub_{dtype.lower()}"
        write(name, {"1": add_sub(dtype)}, config(name, dtype, [4], 8, inputs=2, outputs=2))
    for dtype in TYPES:
        name = f"oip_identity_{dtype.lower()}"
        made = identity(dtype, ["batch", "width"])
        write(name, {"1": made}, config(name, dtype, [-1], 8))
    name = "oip_bytes_one"
    write(name, {"1": identity("BYTES", ["batch", 1])}, config(name, "BYTES", [1], 8))
    write("oip_fixed", {"1": doubled()}, config("oip_fixed", "FP32", [2, 3], 0))
    numbers = ("input0", "UINT32", [2, 2])
    text = example_config("oip_example", [numbers, ("input1", "BOOL", [3])], [3, 2])
    write("oip_example", {"1": example()}, text)
    text = example_config("oip_example_classes", [numbers], [4])
    write("oip_example_classes", {"1": example_classes()}, text)
    versions = {"1": identity("FP32", ["batch", "width"]), "2": add_one()}
    policy = "version_policy: { all { } }\n"
    write("oip_versions", versions, config("oip_versions", "FP32", [-1], 8, more=policy))
    write(
        "oip_scores", {"1": identity("FP32", ["batch", 5])},
        config("oip_scores", "FP32", [5], 8, labels="labels.txt"),
        labels_txt="\n".join(LABELS) + "\n",
        # Servers that do not read labels from config.pbtxt may take them from here.
        model_yaml=f"labels: [{', '.join(LABELS)}]\n",
    )
    total = sum(file.stat().st_size for file in REPOSITORY.rglob("*") if file.is_file())
    models = len(list(REPOSITORY.iterdir()))
    print(f"{models} models, {total} bytes, made with onnx {onnx.__version__}")


if __name__ == "__main__":
    main()
