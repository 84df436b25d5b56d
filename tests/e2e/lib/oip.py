"""Tensors of the Open Inference Protocol as its clients write them: raw bytes, REST, gRPC."""

import json
import struct

from . import rpc

# Datatype -> (struct's letter, field of InferTensorContents)
NUMBERS = {
    "BOOL": ("?", "bool_contents"), "INT64": ("q", "int64_contents"),
    "FP32": ("f", "fp32_contents"), "FP64": ("d", "fp64_contents"),
}


class Tensor:
    """`values` are flat; texts for BYTES."""

    def __init__(self, name, datatype, shape, values):
        self.name, self.datatype = name, datatype
        self.shape, self.values = list(shape), list(values)


def to_raw(tensor):
    if tensor.datatype != "BYTES":
        letter = NUMBERS[tensor.datatype][0]
        return struct.pack(f"<{len(tensor.values)}{letter}", *tensor.values)
    texts = [value.encode() for value in tensor.values]
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)


def from_raw(datatype, data):
    if datatype != "BYTES":
        letter = NUMBERS[datatype][0]
        return [item[0] for item in struct.iter_unpack(f"<{letter}", data)]
    out = []
    while data:
        end = 4 + struct.unpack("<I", data[:4])[0]
        out.append(data[4:end].decode())
        data = data[end:]
    return out


def nested(values, shape):
    """Flat values as lists in lists."""
    if len(shape) <= 1:
        return list(values)
    step = len(values) // shape[0] if shape[0] else 0
    return [nested(values[i * step:(i + 1) * step], shape[1:]) for i in range(shape[0])]


class RestError(RuntimeError):
    def __init__(self, status, text):
        super().__init__(f"{status} {text}")
        self.status, self.text = status, text


class Rest:
    """One keep-alive connection to the REST port."""

    def __init__(self, server):
        self.connection = server.connection()

    def call(self, method, path, body=None, headers=None):
        """(headers, body) of an answer with 200; RestError for any other."""
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        self.connection.request(method, path, body, headers or {})
        answer = self.connection.getresponse()
        data = answer.read()
        if answer.status != 200:
            raise RestError(answer.status, data.decode(errors="replace"))
        return answer.headers, data

    def status(self, method, path, body=None):
        try:
            self.call(method, path, body)
        except RestError as error:
            return error.status
        return 200

    def infer(self, path, inputs, binary=False, **more):
        """Outputs by name; `inputs` are tensors or the protocol's own objects."""
        raw = b""
        objects = []
        for tensor in inputs:
            if isinstance(tensor, dict):
                objects.append(tensor)
                continue
            one = {"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.shape}
            if binary:
                data = to_raw(tensor)
                raw += data
                one["parameters"] = {"binary_data_size": len(data)}
            else:
                one["data"] = tensor.values
            objects.append(one)
        body = {"inputs": objects, **more}
        if binary:
            body["parameters"] = {"binary_data_output": True}
        head = json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        if binary:
            headers = {"Content-Type": "application/octet-stream",
                       "Inference-Header-Content-Length": str(len(head))}
        return read_answer(*self.call("POST", f"{path}/infer", head + raw, headers))


def read_answer(headers, data):
    length = int(headers.get("Inference-Header-Content-Length", len(data)))
    answer, data = json.loads(data[:length]), data[length:]
    out = {}
    for tensor in answer["outputs"]:
        values = tensor.get("data")
        if values is None and "binary_data_size" in tensor.get("parameters", {}):
            size = tensor["parameters"]["binary_data_size"]
            values, data = from_raw(tensor["datatype"], data[:size]), data[size:]
        out[tensor["name"]] = Tensor(tensor["name"], tensor["datatype"], tensor["shape"],
                                     values or [])
    if data:
        raise RuntimeError(f"{len(data)} bytes too many")
    return out


def grpc_request(model, version, inputs, raw=True, **more):
    request = rpc.oip_pb2.ModelInferRequest(model_name=model, model_version=version, **more)
    for tensor in inputs:
        one = request.inputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
        if raw:
            request.raw_input_contents.append(to_raw(tensor))
        elif tensor.datatype == "BYTES":
            one.contents.bytes_contents.extend(value.encode() for value in tensor.values)
        else:
            getattr(one.contents, NUMBERS[tensor.datatype][1]).extend(tensor.values)
    return request


def grpc_outputs(answer):
    """Outputs by name; the server answers raw, whatever it was asked."""
    pairs = zip(answer.outputs, answer.raw_output_contents, strict=True)
    return {tensor.name: Tensor(tensor.name, tensor.datatype, tensor.shape,
                                from_raw(tensor.datatype, data)) for tensor, data in pairs}
