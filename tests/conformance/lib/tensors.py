"""Tensors as bytes: little endian, row-major, no padding; BYTES elements have a uint32 length."""

import struct

FORMATS = {
    "BOOL": "?", "UINT8": "B", "UINT16": "H", "UINT32": "I", "UINT64": "Q", "INT8": "b",
    "INT16": "h", "INT32": "i", "INT64": "q", "FP16": "e", "FP32": "f", "FP64": "d",
}
DATATYPES = {*FORMATS, "BF16", "BYTES"}


def expand(value):
    """{counting: n} anywhere stands for n numbers: 0, 1 … 99, 0, 1 …"""
    if isinstance(value, dict):
        if value.keys() == {"counting"}:
            return [i % 100 for i in range(value["counting"])]
        return {key: expand(item) for key, item in value.items()}
    if isinstance(value, list):
        return [expand(item) for item in value]
    return value


def flatten(value):
    if not isinstance(value, list):
        return [value]
    return [item for part in value for item in flatten(part)]


def as_bytes(element):
    """An element of BYTES: a text, {hex: …} in a case, or bytes already."""
    if isinstance(element, dict):
        return bytes.fromhex(element["hex"])
    return element.encode() if isinstance(element, str) else element


def pack(dtype, data):
    values = flatten(expand(data))
    if dtype == "BYTES":
        elements = [as_bytes(value) for value in values]
        return b"".join(struct.pack("<I", len(element)) + element for element in elements)
    if dtype == "BF16":  # the upper half of FP32; the values of the cases need no rounding
        return b"".join(struct.pack("<f", value)[2:] for value in values)
    return struct.pack(f"<{len(values)}{FORMATS[dtype]}", *values)


def unpack_strings(data):
    out = []
    at = 0
    while at < len(data):
        if at + 4 > len(data):
            raise ValueError("the last length of a BYTES tensor is cut off")
        (size,) = struct.unpack_from("<I", data, at)
        at += 4
        if at + size > len(data):
            raise ValueError(f"an element of a BYTES tensor says {size} bytes, more than are left")
        out.append(data[at:at + size])
        at += size
    return out


def unpack(dtype, data):
    """Numbers, booleans, or bytes for BYTES; ValueError where the bytes make no tensor."""
    if dtype not in DATATYPES:
        raise ValueError(f"{dtype!r} is no datatype of the protocol")
    if dtype == "BYTES":
        return unpack_strings(data)
    size = 2 if dtype == "BF16" else struct.calcsize(FORMATS[dtype])
    if len(data) % size:
        raise ValueError(f"{len(data)} bytes are no whole number of {dtype} elements")
    if dtype == "BF16":
        return [struct.unpack("<f", b"\0\0" + data[i:i + 2])[0] for i in range(0, len(data), 2)]
    return list(struct.unpack(f"<{len(data) // size}{FORMATS[dtype]}", data))


def count(shape):
    product = 1
    for dim in shape:
        product *= dim
    return product
