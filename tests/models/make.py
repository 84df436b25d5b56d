#!/usr/bin/python3
"""Makes the tiny models beside this file. README.md says what each one is for.

Run it with Debian's /usr/bin/python3; the outputs are committed and a rerun gives the same bytes.
"""

import json
from pathlib import Path

import numpy as np
import onnx
import xgboost
from onnx import TensorProto, TypeProto, helper, numpy_helper

HERE = Path(__file__).resolve().parent
SEED = 7
OPSET = 15
ML = "ai.onnx.ml"
ML_OPSET = 3
IR_VERSION = 8
FLOAT, INT64, STRING = TensorProto.FLOAT, TensorProto.INT64, TensorProto.STRING

ELEMENT_TYPES = [
    "bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64",
    "float16", "bfloat16", "float", "double", "string",
]  # fmt: skip


def info(name, shape, element_type=FLOAT):
    return helper.make_tensor_value_info(name, element_type, shape)


def constant(name, values, dtype=np.float32):
    return numpy_helper.from_array(np.array(values, dtype), name)


def build(name, nodes, inputs, outputs, initializers=(), opset=OPSET):
    graph = helper.make_graph(nodes, name, inputs, outputs, list(initializers))
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid(ML, ML_OPSET)]
    return helper.make_model(
        graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="sluice-tests"
    )


def save(name, model):
    (HERE / f"{name}.onnx").write_bytes(model.SerializeToString())


def save_valid(name, *parts):
    model = build(name, *parts)
    onnx.checker.check_model(model)
    save(name, model)


# ---- Element types and shapes ----


def make_identities():
    for type_name in ELEMENT_TYPES:
        element_type = getattr(TensorProto, type_name.upper())
        save_valid(
            f"identity_{type_name}",
            [helper.make_node("Identity", ["x"], ["y"])],
            [info("x", ["N", 3], element_type)],
            [info("y", ["N", 3], element_type)],
        )


def make_two_inputs():
    nodes = [
        helper.make_node("Add", ["a", "b"], ["sum"]),
        helper.make_node("Sub", ["a", "b"], ["diff"]),
    ]
    inputs = [info("a", ["N", 2]), info("b", ["N", 2])]
    outputs = [info("sum", ["N", 2]), info("diff", ["N", 2])]
    save_valid("two_inputs", nodes, inputs, outputs)


def make_column_inputs():
    nodes = [
        helper.make_node("Mul", ["age", "two"], ["doubled_age"]),
        helper.make_node("Cast", ["clicks"], ["float_clicks"], to=FLOAT),
        helper.make_node("Sum", ["doubled_age", "income", "float_clicks"], ["score"]),
    ]
    inputs = [info("age", ["N", 1]), info("income", ["N", 1]), info("clicks", ["N", 1], INT64)]
    save_valid("column_inputs", nodes, inputs, [info("score", ["N", 1])], [constant("two", 2)])


def make_elementwise(name, operator, operand, shape):
    node = helper.make_node(operator, ["x", "operand"], ["y"])
    save_valid(name, [node], [info("x", shape)], [info("y", shape)], [constant("operand", operand)])


def make_shapes():
    make_elementwise("fixed_batch1", "Mul", 2, [1, 3])
    make_elementwise("fixed_batch4", "Mul", 2, [4, 3])
    make_elementwise("batchless", "Mul", 2, [3])
    make_elementwise("scalar_rows", "Add", 1, ["N"])
    make_elementwise("rank3", "Mul", 2, ["N", 2, 3])


def make_dynamic_seq():
    save_valid(
        "dynamic_seq",
        [helper.make_node("ReduceSum", ["x", "axes"], ["y"], keepdims=1)],
        [info("x", ["N", "L"])],
        [info("y", ["N", 1])],
        [constant("axes", [1], np.int64)],
    )


def make_slow():
    """Products of zeros, which no optimiser can know beforehand, however many rows there are."""
    size, times = 256, 100
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go_on"], ["goes_on"]),
            helper.make_node("MatMul", ["before", "weights"], ["after"]),
        ],
        "body",
        [info("i", [], INT64), info("go_on", [], TensorProto.BOOL), info("before", [size, size])],
        [info("goes_on", [], TensorProto.BOOL), info("after", [size, size])],
    )
    nodes = [
        helper.make_node("Mul", ["x", "zero"], ["zeros"]),
        helper.make_node("ReduceSum", ["zeros"], ["sum"], keepdims=0),
        helper.make_node("Expand", ["sum", "square"], ["first"]),
        helper.make_node("ConstantOfShape", ["square"], ["weights"]),
        helper.make_node("Loop", ["times", "", "first"], ["last"], body=body),
        helper.make_node("ReduceSum", ["last"], ["nothing"], keepdims=0),
        helper.make_node("Mul", ["x", "two"], ["doubled"]),
        helper.make_node("Add", ["doubled", "nothing"], ["y"]),
    ]
    initializers = [
        constant("zero", 0),
        constant("two", 2),
        constant("square", [size, size], np.int64),
        constant("times", times, np.int64),
    ]
    save_valid("slow", nodes, [info("x", ["N", 2])], [info("y", ["N", 2])], initializers)


# ---- Classifiers and regressors ----


def linear_classifier(score_output, **labels):
    """Three features, one for each class: the largest feature wins."""
    return helper.make_node(
        "LinearClassifier",
        ["x"],
        ["label", score_output],
        domain=ML,
        coefficients=np.eye(3).ravel().tolist(),
        intercepts=[0.0, 0.0, 0.0],
        multi_class=1,
        post_transform="SOFTMAX",
        **labels,
    )


def zipmap_info(name, key_type):
    sequence = TypeProto()
    entry = sequence.sequence_type.elem_type.map_type
    entry.key_type = key_type
    entry.value_type.tensor_type.elem_type = FLOAT
    return helper.make_value_info(name, sequence)


def make_zipmap(name, key_type, classifier_labels, zipmap_labels):
    nodes = [
        linear_classifier("scores", **classifier_labels),
        helper.make_node("ZipMap", ["scores"], ["probabilities"], domain=ML, **zipmap_labels),
    ]
    outputs = [info("label", ["N"], key_type), zipmap_info("probabilities", key_type)]
    save_valid(name, nodes, [info("x", ["N", 3])], outputs)


def make_linear_classifiers():
    # Neither class order is sorted, whereas the maps that a ZipMap gives are sorted by key.
    strings = {"classlabels_strings": ["zebra", "apple", "mango"]}
    make_zipmap("classes_order_strings", STRING, strings, strings)
    integers = [7, 2, 5]
    make_zipmap(
        "classes_order_ints",
        INT64,
        {"classlabels_ints": integers},
        {"classlabels_int64s": integers},
    )
    node = linear_classifier("probabilities", classlabels_ints=[0, 1, 2])
    outputs = [info("label", ["N"], INT64), info("probabilities", ["N", 3])]
    save_valid("no_zipmap", [node], [info("x", ["N", 3])], outputs)


def make_gemm(name, weights, bias, output):
    """weights has a row for each input feature and a column for each output."""
    save_valid(
        name,
        [helper.make_node("Gemm", ["x", "weights", "bias"], [output])],
        [info("x", ["N", len(weights)])],
        [info(output, ["N", len(bias)])],
        [constant("weights", weights), constant("bias", bias)],
    )


def make_gemms():
    first_three = np.eye(4, 3)
    make_gemm("logits_only", first_three, [0, 0, 0.5], "logits")
    make_gemm("multi_output_regression", [[1, 0, 1], [0, 1, 1]], [0, 0, 10], "y")


def make_binary_sigmoid():
    nodes = [
        helper.make_node("Gemm", ["x", "weights", "bias"], ["logit"]),
        helper.make_node("Sigmoid", ["logit"], ["p"]),
    ]
    initializers = [constant("weights", [[1], [-1]]), constant("bias", [0])]
    save_valid("binary_sigmoid", nodes, [info("x", ["N", 2])], [info("p", ["N", 1])], initializers)


def make_unary(name, operator, width, output, **attributes):
    node = helper.make_node(operator, ["x"], [output], **attributes)
    save_valid(name, [node], [info("x", ["N", width])], [info(output, ["N", width])])


# ---- External data ----


def external(name, location):
    """A float[3] initializer whose numbers are in another file."""
    tensor = TensorProto(
        name=name, data_type=FLOAT, dims=[3], data_location=TensorProto.EXTERNAL
    )
    for key, value in {"location": location, "offset": "0", "length": "12"}.items():
        tensor.external_data.add(key=key, value=value)
    return tensor


def external_model(name, location):
    nodes = [helper.make_node("Mul", ["x", "weights"], ["y"])]
    tensor = external("weights", location)
    return build(name, nodes, [info("x", ["N", 3])], [info("y", ["N", 3])], [tensor])


def external_in_subgraph():
    """The initializer is in a branch, where a check of the main graph alone misses it."""
    then_branch = helper.make_graph(
        [helper.make_node("Mul", ["x", "weights"], ["then_y"])],
        "then",
        [],
        [info("then_y", ["N", 3])],
        [external("weights", "../x.bin")],
    )
    else_branch = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["else_y"])], "else", [], [info("else_y", ["N", 3])]
    )
    node = helper.make_node(
        "If", ["condition"], ["y"], then_branch=then_branch, else_branch=else_branch
    )
    inputs = [info("condition", [1], TensorProto.BOOL), info("x", ["N", 3])]
    return build("external_subgraph", [node], inputs, [info("y", ["N", 3])])


def external_in_constant():
    """The tensor is no initializer at all but an attribute of a Constant node."""
    nodes = [
        helper.make_node("Constant", [], ["weights"], value=external("value", "../x.bin")),
        helper.make_node("Mul", ["x", "weights"], ["y"]),
    ]
    return build("external_constant", nodes, [info("x", ["N", 3])], [info("y", ["N", 3])])


def make_external():
    (HERE / "external_ok.bin").write_bytes(np.array([2, 3, 4], "<f4").tobytes())
    save("external_ok", external_model("external_ok", "external_ok.bin"))
    save("external_outside", external_model("external_outside", "../secret.bin"))
    save("external_absolute", external_model("external_absolute", "/etc/hostname"))
    save("external_subgraph", external_in_subgraph())
    save("external_constant", external_in_constant())


# ---- Files that must not load ----


def identity_model(name, operator="Identity", opset=OPSET):
    nodes = [helper.make_node(operator, ["x"], ["y"])]
    return build(name, nodes, [info("x", ["N", 3])], [info("y", ["N", 3])], opset=opset)


def missing_type():
    model = identity_model("missing_type")
    model.graph.input[0].ClearField("type")
    return model


def wide_model_bytes(generator):
    weights = constant("weights", generator.normal(size=(30, 16)))
    nodes = [helper.make_node("MatMul", ["x", "weights"], ["y"])]
    parts = [info("x", ["N", 30])], [info("y", ["N", 16])], [weights]
    return build("truncated", nodes, *parts).SerializeToString()


def make_broken():
    generator = np.random.default_rng(SEED)
    save("missing_type", missing_type())
    save("unknown_op", identity_model("unknown_op", operator="NoSuchOp"))
    save("opset99", identity_model("opset99", opset=99))
    whole = wide_model_bytes(generator)
    (HERE / "truncated.onnx").write_bytes(whole[: len(whole) // 2])
    (HERE / "random.onnx").write_bytes(generator.bytes(2048))
    (HERE / "empty.onnx").write_bytes(b"")


# ---- XGBoost ----

XGB_FEATURES = 4
XGB_TRAINING_ROWS = 200
XGB_GOLDEN_ROWS = 8
XGB_GROUP_SIZE = 10


def xgb_rows(generator, count):
    """Rows with a tenth of the values missing, so that trees learn a direction for them."""
    rows = generator.normal(size=(count, XGB_FEATURES)).round(2).astype(np.float32)
    rows[generator.random(rows.shape) < 0.1] = np.nan
    return rows


def xgb_train(rows, target, rounds, **parameters):
    matrix = xgboost.DMatrix(rows, target)
    if parameters["objective"].startswith("rank:"):
        matrix.set_group([XGB_GROUP_SIZE] * (len(rows) // XGB_GROUP_SIZE))
    parameters = {"max_depth": 2, "eta": 0.5, "nthread": 1, "seed": SEED, **parameters}
    return xgboost.train(parameters, matrix, rounds)


def xgb_boosters(rows):
    known = np.nan_to_num(rows)
    score = known @ np.array([1, -1, 0.5, 0], np.float32)
    positive = score > 0
    three_classes = np.digitize(score, [-0.6, 0.6])
    return {
        "xgb_binary": xgb_train(rows, positive, 3, objective="binary:logistic"),
        "xgb_multi_softprob": xgb_train(
            rows, three_classes, 1, objective="multi:softprob", num_class=3
        ),
        "xgb_multi_softmax": xgb_train(
            rows, three_classes, 1, objective="multi:softmax", num_class=3
        ),
        "xgb_regression": xgb_train(
            rows, 20 + 3 * score, 3, objective="reg:squarederror", base_score=20
        ),
        "xgb_ranking": xgb_train(rows, positive, 3, objective="rank:pairwise"),
    }


def numbers(values):
    """The shortest decimals that parse back to these float32 values; null for a missing one."""
    return [None if np.isnan(value) else float(str(value)) for value in np.ravel(values)]


def xgb_golden_lines(file_name, rows):
    booster = xgboost.Booster(model_file=HERE / file_name)
    outputs = booster.predict(xgboost.DMatrix(rows))
    for row, output in zip(rows, outputs):
        record = {"file": file_name, "features": numbers(row), "output": numbers(output)}
        yield json.dumps(record) + "\n"


def make_linear(model):
    """Another model's frame around weights that are easy to add up: a row of them per feature,
    a column per class, the bias last."""
    weights = [
        [0.5, -1.25, 0.25], [1.0, 0.75, -0.5], [-2.0, 0.5, 1.5], [0.0, 1.0, -0.25],
        [0.125, -0.5, 0.25],
    ]  # fmt: skip
    learner = model["learner"]
    learner["attributes"] = {}
    learner["gradient_booster"] = {
        "model": {"boosted_rounds": 1, "weights": sum(weights, [])},
        "name": "gblinear",
    }
    (HERE / "xgb_linear.json").write_text(
        json.dumps(model, separators=(",", ":")), encoding="utf-8"
    )


def make_xgboost():
    generator = np.random.default_rng(SEED)
    boosters = xgb_boosters(xgb_rows(generator, XGB_TRAINING_ROWS))
    file_names = [f"{name}.json" for name in boosters] + ["xgb_binary.ubj"]
    for file_name in file_names:
        boosters[Path(file_name).stem].save_model(HERE / file_name)

    golden_rows = xgb_rows(generator, XGB_GOLDEN_ROWS)
    # A row with nothing known follows only the directions for missing values.
    golden_rows[-1] = np.nan
    lines = [line for name in file_names for line in xgb_golden_lines(name, golden_rows)]
    (HERE / "xgb_golden.jsonl").write_text("".join(lines), encoding="utf-8")

    make_linear(json.loads((HERE / "xgb_multi_softprob.json").read_text(encoding="utf-8")))

    whole = (HERE / "xgb_binary.json").read_bytes()
    (HERE / "xgb_truncated.json").write_bytes(whole[: len(whole) // 2])
    (HERE / "xgb_notamodel.json").write_text('{"a":1}\n', encoding="utf-8")


def main():
    make_identities()
    make_two_inputs()
    make_column_inputs()
    make_shapes()
    make_dynamic_seq()
    make_slow()
    make_linear_classifiers()
    make_gemms()
    make_binary_sigmoid()
    make_unary("softmax_only", "Softmax", 4, "out", axis=1)
    make_unary("nan_output", "Log", 1, "y")
    make_external()
    make_broken()
    make_xgboost()


if __name__ == "__main__":
    main()
