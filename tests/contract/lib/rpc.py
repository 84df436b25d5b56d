"""gRPC through Debian's grpcio, with stubs compiled from proto/ at run time."""

import importlib
import subprocess
import sys
import tempfile

import grpc
from google.protobuf import json_format, symbol_database

from . import expect
from .server import ROOT

PROTOS = {
    "prediction_pb2": ("proto", "prediction.proto"),
    "health_pb2": ("proto/grpc", "health.proto"),
    "reflection_v1_pb2": ("proto/grpc", "reflection_v1.proto"),
    "reflection_v1alpha_pb2": ("proto/grpc", "reflection_v1alpha.proto"),
    "oip.model_config_pb2": ("proto", "oip/model_config.proto"),
    "oip.service_pb2": ("proto", "oip/service.proto"),
}


class Stubs:
    """Every method of our services by its path."""

    def __init__(self):
        self.scratch = tempfile.TemporaryDirectory(prefix="contract-stubs-")
        sys.path.insert(0, self.scratch.name)
        self.methods = {}
        for module, (folder, file) in PROTOS.items():
            subprocess.run(
                ["protoc", f"--python_out={self.scratch.name}", "-I", ROOT / folder, file],
                check=True,
            )
            loaded = importlib.import_module(module)
            for service in loaded.DESCRIPTOR.services_by_name.values():
                for method in service.methods:
                    self.methods[f"/{service.full_name}/{method.name}"] = method
        self.symbols = symbol_database.Default()

    def type_of(self, descriptor):
        return self.symbols.GetSymbol(descriptor.full_name)


def pass_through(data):
    return data


def read_message(make, fields):
    """Fields as JSON has them: bytes are base64."""
    fields, out = dict(fields), make()
    repeated = fields.pop("features_repeat", None)
    json_format.ParseDict(fields, out)
    if repeated:
        out.features.extend([repeated["value"]] * repeated["times"])
    return out


def call(stubs, address, spec):
    """(code name, details, list of responses as dictionaries, trailing metadata)."""
    path = spec.get("method", "/PredictionService/Predict")
    path = path if path.startswith("/") else f"/inference.GRPCInferenceService/{path}"
    method = stubs.methods.get(path)
    stream = []
    if "bytes" in spec:
        request, serialize = bytes.fromhex(spec["bytes"]), pass_through
    elif method is None:
        request, serialize = b"", pass_through
    else:
        make = stubs.type_of(method.input_type)
        request = read_message(make, spec.get("request", {}))
        stream = [read_message(make, fields) for fields in spec.get("stream", [])]
        serialize = type(request).SerializeToString
    parse = stubs.type_of(method.output_type).FromString if method else pass_through
    options = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1),
               ("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1)]
    compression = getattr(grpc.Compression, spec["compression"]) if "compression" in spec else None
    with grpc.insecure_channel(f"{address[0]}:{address[1]}", options=options) as channel:
        arguments = {
            "timeout": spec.get("timeout", 20),
            "metadata": [tuple(pair) for pair in spec.get("metadata", {}).items()],
            "compression": compression,
        }
        try:
            if method is not None and method.client_streaming:
                sent = iter(stream or [request])
                responses = list(channel.stream_stream(path, serialize, parse)(sent, **arguments))
            elif method is not None and method.server_streaming:
                watch = channel.unary_stream(path, serialize, parse)(request, **arguments)
                responses = [next(iter(watch))]  # Watch has no end
                watch.cancel()
            else:
                responses = [channel.unary_unary(path, serialize, parse)(request, **arguments)]
        except grpc.RpcError as error:
            return error.code().name, error.details() or "", []
    return "OK", "", [as_dictionary(response) for response in responses]


def as_dictionary(response):
    if isinstance(response, bytes):
        return {"bytes": response.hex()}
    return json_format.MessageToDict(
        response, preserving_proto_field_name=True, including_default_value_fields=True
    )


def check(want, code, details, responses, private):
    problems = []
    if code != want.get("code", "OK"):
        problems.append(f"code {code} ({details[:300]}), not {want.get('code', 'OK')}")
    for part in expect.texts(want.get("details", [])):
        if part not in details:
            problems.append(f"details have no {part!r}: {details[:300]!r}")
    if any(path in details for path in private):
        problems.append(f"details tell a path of the machine: {details[:300]}")
    if "response" in want:
        problems += expect.subset(want["response"], responses[0] if responses else None)
    if "responses" in want:
        problems += expect.subset(want["responses"], responses)
    return problems
