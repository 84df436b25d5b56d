"""What Feast's Python SDK writes into its online stores, made without Feast and without protobuf.

An entity's keys are (name, kind, value), with the kinds "string", "bytes", "int32" and "int64". A
feature's value is (kind, value), with the kinds of feast.types.Value: "string", "bytes", "int32",
"int64", "double", "float", "bool" and "unix_timestamp", each also with "_list" behind it, and
"null". A value of None is a message in which nothing is set, which is how Feast writes a missing
one.

As a program it prints the cases of tests/features/feast_golden.jsonl, which the C++ is tested with:

    /usr/bin/python3 tests/e2e/lib/feast_encoder.py > tests/features/feast_golden.jsonl
"""

import json
import struct

NUMBERS = {"bytes": 1, "string": 2, "int32": 3, "int64": 4, "double": 5, "float": 6, "bool": 7,
           "unix_timestamp": 8}
NULL = 19
FIRST_LIST = 10  # a list's number is its kind's plus this
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
WIRES = {"bytes": BYTES, "string": BYTES, "double": FIXED64, "float": FIXED32}


def murmur3(data, seed=0):
    """MurmurHash3, x86, 32 bits, as an unsigned number."""
    mask = 0xFFFFFFFF

    def rotate(number, bits):
        return (number << bits | number >> (32 - bits)) & mask

    def scramble(block):
        return rotate(block * 0xCC9E2D51 & mask, 15) * 0x1B873593 & mask

    end = len(data) // 4 * 4
    hashed = seed
    for (block,) in struct.iter_unpack("<I", data[:end]):
        hashed = (rotate(hashed ^ scramble(block), 13) * 5 + 0xE6546B64) & mask
    hashed ^= scramble(int.from_bytes(data[end:], "little"))
    hashed ^= len(data)
    hashed = (hashed ^ hashed >> 16) * 0x85EBCA6B & mask
    hashed = (hashed ^ hashed >> 13) * 0xC2B2AE35 & mask
    return hashed ^ hashed >> 16


def varint(number):
    number &= 0xFFFFFFFFFFFFFFFF  # negative numbers are sign-extended to 64 bits
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def with_length(data):
    return varint(len(data)) + data


def scalar(kind, value):
    """A scalar's bytes behind its tag."""
    if kind == "string":
        return with_length(value.encode())
    if kind == "bytes":
        return with_length(value)
    if kind == "double":
        return struct.pack("<d", value)
    if kind == "float":
        return struct.pack("<f", value)
    return varint(int(value))


def tag(number, wire):
    return varint(number << 3 | wire)


def items(kind, values):
    """The message with one repeated field; numbers are packed, and an empty list is nothing."""
    if not values:
        return b""
    if WIRES.get(kind) == BYTES:
        return b"".join(tag(1, BYTES) + scalar(kind, value) for value in values)
    return tag(1, BYTES) + with_length(b"".join(scalar(kind, value) for value in values))


def encode_value(kind, value):
    """A serialized feast.types.Value."""
    if value is None:
        return tag(NULL, VARINT) + varint(0) if kind == "null" else b""
    if kind.endswith("_list"):
        kind = kind.removesuffix("_list")
        return tag(NUMBERS[kind] + FIRST_LIST, BYTES) + with_length(items(kind, value))
    return tag(NUMBERS[kind], WIRES.get(kind, VARINT)) + scalar(kind, value)


def encode_timestamp(seconds, nanos=0):
    """A serialized google.protobuf.Timestamp; what is 0 is left out."""
    out = tag(1, VARINT) + varint(seconds) if seconds else b""
    return out + (tag(2, VARINT) + varint(nanos) if nanos else b"")


def key_value(kind, value, version):
    if kind == "string":
        return value.encode()
    if kind == "bytes":
        return value
    if kind == "int32" or version < 2:
        return struct.pack("<i", value)  # Feast asks for "<l", which is of four bytes everywhere
    return struct.pack("<q", value)


def entity_key(keys, version=3):
    """The bytes of entity_key_serialization_version 1, 2 or 3."""
    keys = sorted(keys)
    out = struct.pack("<I", len(keys)) if version > 2 else b""
    for name, _, _ in keys:
        encoded = name.encode()
        out += struct.pack("<I", NUMBERS["string"])
        out += (struct.pack("<I", len(encoded)) if version > 2 else b"") + encoded
    for _, kind, value in keys:
        encoded = key_value(kind, value, version)
        out += struct.pack("<II", NUMBERS[kind], len(encoded)) + encoded
    return out


def redis_field(name):
    """The field of a feature "view:feature"."""
    return struct.pack("<I", murmur3(name.encode()))


def redis_hash(project, keys, values_by_feature, time, version=3):
    """An entity's key in Redis, and the fields of its hash.

    `values_by_feature`: "view:feature" -> (kind, value). `time` is that of every view, in seconds,
    or of each ("view" -> seconds).
    """
    fields = {}
    for name, (kind, value) in values_by_feature.items():
        view = name.split(":")[0]
        seconds = time[view] if isinstance(time, dict) else time
        whole = int(seconds // 1)
        fields[b"_ts:" + view.encode()] = encode_timestamp(whole, round((seconds - whole) * 1e9))
        fields[redis_field(name)] = encode_value(kind, value)
    return entity_key(keys, version) + project.encode(), fields


# --- cases for the C++ ----------------------------------------------------------------------------

KEY_CASES = [
    [("driver_id", "int64", 1001)],
    [("driver_id", "int32", -7)],
    [("user", "string", "ann")],
    [("user", "string", "")],
    [("user", "string", "Zoë:\\\x00")],
    [("straße", "string", "7"), ("Zone", "int32", 2147483647), ("stra", "int64", -2147483648)],
    [("b", "int64", 2), ("a", "string", "1"), ("B", "int32", 3)],
]
LARGE_KEY_CASES = [
    [("id", "int64", 2**63 - 1)],
    [("id", "int64", -2**63), ("at", "string", "é")],
]
VALUE_CASES = [
    ("null", None), ("string", None),
    ("string", "gold"), ("string", ""), ("string", "Zoë"), ("bytes", b"\x00\xff"), ("bytes", b""),
    ("int32", 0), ("int32", -1), ("int32", 2**31 - 1), ("int64", -2**63), ("int64", 2**63 - 1),
    ("double", 0.1), ("double", -0.0), ("double", float("inf")), ("double", float("nan")),
    ("float", 0.1), ("float", 3.4028234663852886e38), ("float", -1.5),
    ("bool", True), ("bool", False),
    ("unix_timestamp", 1795687200), ("unix_timestamp", -1),
    ("string_list", ["a", "", "ü"]), ("string_list", []), ("bytes_list", [b"\x80", b"x"]),
    ("int32_list", [1, -2, 2**31 - 1]), ("int32_list", []),
    ("int64_list", [2**53, -2**53, 0]), ("int64_list", [-2**63]),
    ("double_list", [0.1, -2.5, float("-inf")]), ("float_list", [0.1, 2.0]),
    ("bool_list", [True, False]), ("unix_timestamp_list", [0, 1795687200]),
]
# Not every integer is a double; these are refused.
INEXACT_CASES = [("int64_list", [2**53 + 1]), ("int64_list", [2**63 - 1]),
                 ("unix_timestamp_list", [1, -2**53 - 1])]
TIME_CASES = [(0, 0), (1795687200, 0), (1795687200, 250000000), (0, 1), (-1, 500000000)]
FIELD_CASES = ["driver_stats:conv_rate", "v:f", "v:ab", "v:abc", "straße:größe"]
# project, version, keys, values, times
HASH_CASES = [
    ("shop", 3, [("driver_id", "int64", 1001)],
     {"stats:conv": ("float", 0.5), "stats:trips": ("int64", 12), "stats:city": ("string", None),
      "car:brand": ("string", "saab"), "car:seats": ("int32_list", [2, 4])},
     {"stats": 1795687200.25, "car": 1795680000}),
    ("shop", 2, [("user", "string", "Zoë"), ("at", "int32", -1)],
     {"stats:conv": ("double", 2.5)}, 0),
    ("p", 1, [("driver_id", "int64", 7)], {"stats:conv": ("bool", True)}, 1795687200),
]


def real(kind, value):
    """A number as the bits of the double it is."""
    if kind == "float":
        (value,) = struct.unpack("<f", struct.pack("<f", value))
    return struct.pack(">d", value).hex()


def shown(kind, value):
    """What the C++ must read, as its test writes it out."""
    if value is None:
        return "null"
    if kind in ("string_list", "bytes_list"):
        return " ".join(["texts"] + [f"'{shown('string', one)}'" for one in value])
    if kind.endswith("_list"):
        return " ".join(["reals"] + [real(kind.removesuffix("_list"), one) for one in value])
    if kind in ("string", "bytes"):
        return "text " + (value.encode() if isinstance(value, str) else value).hex()
    if kind in ("double", "float"):
        return "real " + real(kind, value)
    if kind == "bool":
        return "truth " + str(value).lower()
    return f"integer {value}"


def cases():
    for versions, keys in [((1, 2, 3), keys) for keys in KEY_CASES] + \
                          [((2, 3), keys) for keys in LARGE_KEY_CASES]:
        for version in versions:
            told = [[name, kind, str(value)] for name, kind, value in keys]
            yield {"key": told, "version": version, "bytes": entity_key(keys, version).hex()}
    for kind, value in VALUE_CASES:
        yield {"value": shown(kind, value), "bytes": encode_value(kind, value).hex()}
    for kind, value in INEXACT_CASES:
        yield {"value": "unreadable", "bytes": encode_value(kind, value).hex()}
    for seconds, nanos in TIME_CASES:
        yield {"time": seconds * 10**9 + nanos, "bytes": encode_timestamp(seconds, nanos).hex()}
    for name in FIELD_CASES:
        yield {"field": name, "bytes": redis_field(name).hex()}
    for project, version, keys, values, times in HASH_CASES:
        key, fields = redis_hash(project, keys, values, times, version)
        yield {"hash": key.hex(), "project": project, "version": version,
               "fields": [[name.hex(), value.hex()] for name, value in fields.items()]}


if __name__ == "__main__":
    for case in cases():
        print(json.dumps(case))
