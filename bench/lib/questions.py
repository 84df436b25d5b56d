"""What servers are asked: a REST body and a gRPC message, and how their answers are read."""
import itertools
import json
import math
import struct
from pathlib import Path

MODEL, VERSION = b"breast_cancer", b"v1"


class Question:
    """The body and the message are files too, for the load generators."""

    def __init__(self, name, temp, body, message, headers):
        self.body, self.message, self.headers = body, message, headers
        self.rest_file, self.grpc_file = Path(temp, f"{name}.rest"), Path(temp, f"{name}.grpc")
        self.rest_file.write_bytes(body)
        self.grpc_file.write_bytes(struct.pack(">BI", 0, len(message)) + message)


class Row(Question):
    """One row in the simple protocol, with a key for the cache if one is given; an answer is
    (prediction, confidence)."""

    def __init__(self, golden, temp, cache_key=None):
        with open(golden) as lines:
            line = json.loads(next(lines))
        self.features = line["features"]
        self.prediction, self.confidence = line["prediction"], line["confidence"]
        key = {"cache_key": cache_key} if cache_key else {}
        body = json.dumps({"features": self.features, **key}, separators=(",", ":")).encode()
        message = _fields((1, _floats(self.features)), (2, MODEL), (3, VERSION),
                          *((6, key.encode()) for key in key.values()))
        super().__init__("keyed" if cache_key else "row", temp, body, message,
                         {"Content-Type": "application/json"})

    @staticmethod
    def read_rest(body, _headers):
        answer = json.loads(body)
        return answer["prediction"], answer["confidence"]

    @staticmethod
    def read_grpc(message):
        values = dict(_read(message))  # a zero is not sent
        return tuple(struct.unpack("<f", values.get(field, bytes(4)))[0] for field in (1, 2))


class Tensor(Question):
    """The golden rows, again and again until there are `rows` of them, as one raw tensor of the
    Open Inference Protocol; an answer is (probabilities,), of all rows in one list."""

    def __init__(self, golden, temp, rows):
        with open(golden) as lines:
            golden_rows = [json.loads(line) for line in lines]
        lines = list(itertools.islice(itertools.cycle(golden_rows), rows))
        raw = _floats(itertools.chain(*(line["features"] for line in lines)))
        self.probabilities = list(itertools.chain(*(line["probabilities"] for line in lines)))
        self.shape = [rows, len(self.probabilities) // rows]
        shape = [rows, len(lines[0]["features"])]
        head = json.dumps({  # as Triton's client writes it
            "inputs": [{"name": "features", "shape": shape, "datatype": "FP32",
                        "parameters": {"binary_data_size": len(raw)}}],
            "parameters": {"binary_data_output": True}}, separators=(",", ":")).encode()
        described = _fields((1, b"features"), (2, b"FP32"), (3, b"".join(map(_varint, shape))))
        message = _fields((1, MODEL), (2, VERSION), (5, described), (7, raw))
        super().__init__(f"tensor{rows}", temp, head + raw, message, {
            "Content-Type": "application/octet-stream",
            "Inference-Header-Content-Length": str(len(head))})

    def right(self, probabilities):
        """Each row's prediction and confidence are the golden file's."""
        return all(abs(got - wanted) < 1e-5
                   for got, wanted in zip(probabilities, self.probabilities, strict=True))

    def read_rest(self, body, headers):
        length = int(headers["Inference-Header-Content-Length"])
        head = json.loads(body[:length])
        output, = head["outputs"]
        size = output["parameters"]["binary_data_size"]
        return self._take(head["model_name"], head["model_version"], output["name"],
                          output["datatype"], output["shape"], size, body[length:])

    def read_grpc(self, message):
        response = dict(_read(message))
        output = dict(_read(response[5]))
        shape = list(_read_varints(output[3]))
        return self._take(response[1].decode(), response[2].decode(), output[1].decode(),
                          output[2].decode(), shape, 4 * math.prod(shape), response[6])

    def _take(self, model, version, name, datatype, shape, size, raw):
        said = (model, version, name, datatype, shape, size, len(raw))
        wanted = (MODEL.decode(), VERSION.decode(), "probabilities", "FP32", self.shape,
                  4 * math.prod(self.shape), 4 * math.prod(self.shape))
        if said != wanted:
            raise ValueError(f"the answer is {said}, not {wanted}")
        return [value for value, in struct.iter_unpack("<f", raw)],


def _floats(values):
    values = list(values)
    return struct.pack(f"<{len(values)}f", *values)


def _fields(*fields):
    return b"".join(bytes([number << 3 | 2]) + _varint(len(value)) + value
                    for number, value in fields)


def _varint(number):
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes(out + bytes([number]))


def _read_varints(data):
    number = shift = 0
    for byte in data:
        number |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            yield number
            number = shift = 0


def _read(message):
    """(number, value) of each field: bytes, or a number where it is a varint."""
    at = 0

    def varint():
        nonlocal at
        begin = at
        while message[at] > 127:
            at += 1
        at += 1
        return next(_read_varints(message[begin:at]))

    while at < len(message):
        tag = varint()
        if tag & 7 == 0:
            yield tag >> 3, varint()
            continue
        size = {1: 8, 5: 4}.get(tag & 7) or varint()
        at += size
        yield tag >> 3, message[at - size:at]
