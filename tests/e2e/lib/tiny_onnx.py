"""ONNX models written by hand, byte by byte: the test machine has no python3-onnx.

x[N,2] -> y[N,1] = the row's first feature + `code`, so that an answer says which file gave it, and
to whose row. A code up to 2^20 and features that are multiples of 1/8 are exact in 32-bit floats.
"""

import struct

FLOAT, INT64, BOOL = 1, 7, 9


def varint(number):
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(number, value):
    """One protobuf field: an integer, or a text or message with its length."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, str):
        value = value.encode()
    return varint(number << 3 | 2) + varint(len(value)) + value


def tensor(name, dims, raw, datatype=FLOAT):
    sizes = b"".join(field(1, size) for size in dims)
    return field(5, sizes + field(2, datatype) + field(8, name) + field(9, raw))


def floats(*values):
    return struct.pack(f"<{len(values)}f", *values)


def node(operator, inputs, output, attributes=b""):
    names = b"".join(field(1, name) for name in inputs)
    return field(1, names + field(2, output) + field(4, operator) + attributes)


def integer_attribute(name, value):
    return field(5, field(1, name) + field(3, value) + field(20, 2))


def value_info(number, name, width):
    dims = field(1, field(2, "N")) + field(1, field(1, width))
    shape = field(1, field(1, FLOAT) + field(2, dims))
    return field(number, field(1, name) + field(2, shape))


def endless():
    """A model whose run never ends: a Loop that goes round 2^62 times."""
    def scalar(number, name, datatype):
        return field(number, field(1, name) + field(2, field(1, field(1, datatype) +
                                                              field(2, b""))))
    body = (node("Identity", ["go_in"], "go_out") + node("Identity", ["h_in"], "h_out") +
            field(2, "body") + scalar(11, "round", INT64) + scalar(11, "go_in", BOOL) +
            value_info(11, "h_in", 2) + scalar(12, "go_out", BOOL) + value_info(12, "h_out", 2))
    loop = field(5, field(1, "body") + field(6, body) + field(20, 5))
    graph = (node("Loop", ["rounds", "go", "x"], "y", loop) + field(2, "endless") +
             tensor("rounds", [], struct.pack("<q", 1 << 62), INT64) +
             tensor("go", [], b"\1", BOOL) + value_info(11, "x", 2) + value_info(12, "y", 2))
    return whole(graph)


def whole(graph):
    # The graph comes last: cut off anywhere, the file is no whole message any more.
    return field(1, 8) + field(8, field(1, "") + field(2, 15)) + field(7, graph)


def model(code, work=0, ballast=0):
    """`work`: matrix products of 256 by 256 that a run takes more; `ballast`: bytes of weights."""
    width = 256
    nodes = [node("MatMul", ["x", "first"], "start"), node("Add", ["start", "code"], "sum0")]
    tensors = [tensor("first", [2, 1], floats(1, 0)), tensor("code", [1], floats(code))]
    last = "sum0"
    if work:
        tensors += [tensor("wide", [2, width], bytes(8 * width)),
                    tensor("square", [width, width], bytes(4 * width * width)),
                    tensor("narrow", [width, 1], bytes(4 * width))]
        nodes += [node("MatMul", ["x", "wide"], "h0")]
        nodes += [node("MatMul", [f"h{i}", "square"], f"h{i + 1}") for i in range(work)]
        nodes += [node("MatMul", [f"h{work}", "narrow"], "nothing"),
                  node("Add", [last, "nothing"], "sum1")]
        last = "sum1"
    if ballast:
        # Looked up by an index that depends on the input: nothing that could be folded away.
        tensors += [tensor("table", [ballast // 4], bytes(ballast // 4 * 4)),
                    tensor("zero", [1], floats(0))]
        nodes += [node("Mul", ["start", "zero"], "place"),
                  node("Cast", ["place"], "index", integer_attribute("to", INT64)),
                  node("Gather", ["table", "index"], "found"),
                  node("Add", [last, "found"], "sum2")]
        last = "sum2"
    nodes.append(node("Identity", [last], "y"))
    graph = (b"".join(nodes) + field(2, "tiny") + b"".join(tensors) + value_info(11, "x", 2) +
             value_info(12, "y", 1))
    return whole(graph)


def fragile(code, limit=4):
    """As model(code), but a row whose second feature is not below `limit` makes the run fail: it is
    an index into a table of so many numbers."""
    graph = (node("MatMul", ["x", "first"], "start") + node("Add", ["start", "code"], "sum") +
             node("MatMul", ["x", "second"], "place") +
             node("Cast", ["place"], "index", integer_attribute("to", INT64)) +
             node("Gather", ["table", "index"], "found") + node("Add", ["sum", "found"], "sum2") +
             node("Reshape", ["sum2", "column"], "y") + field(2, "fragile") +
             tensor("first", [2, 1], floats(1, 0)) + tensor("second", [2, 1], floats(0, 1)) +
             tensor("code", [1], floats(code)) + tensor("table", [limit], bytes(4 * limit)) +
             tensor("column", [2], struct.pack("<2q", -1, 1), INT64) +
             value_info(11, "x", 2) + value_info(12, "y", 1))
    return whole(graph)


def rooted(code):
    """As model(code), but NaN for a row whose second feature is below 0: its root is added."""
    graph = (node("MatMul", ["x", "first"], "start") + node("Add", ["start", "code"], "sum") +
             node("MatMul", ["x", "second"], "place") + node("Sqrt", ["place"], "root") +
             node("Add", ["sum", "root"], "y") + field(2, "rooted") +
             tensor("first", [2, 1], floats(1, 0)) + tensor("second", [2, 1], floats(0, 1)) +
             tensor("code", [1], floats(code)) + value_info(11, "x", 2) + value_info(12, "y", 1))
    return whole(graph)
