"""The messages of the protocol, compiled when the suite starts.

protoc writes a description and no code, so that any version of protoc fits any version of Python's
protobuf.
"""

import importlib.util
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

SERVICE = "inference.GRPCInferenceService"


def compiler():
    if shutil.which("protoc"):
        return ["protoc"]
    if importlib.util.find_spec("grpc_tools"):
        return [sys.executable, "-m", "grpc_tools.protoc"]
    raise SystemExit("the gRPC cases need protoc, or Python's grpcio-tools (or use --grpc none)")


def compile_protos(folder):
    with tempfile.TemporaryDirectory(prefix="oip-conformance-") as scratch:
        out = Path(scratch) / "protocol.bin"
        subprocess.run(
            [*compiler(), "--include_imports", f"--descriptor_set_out={out}", "-I", str(folder),
             "oip/service.proto"],
            check=True,
        )
        return descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes())


class Protocol:
    """The methods of the service by name, and a class for each of their messages."""

    def __init__(self, folder):
        self.pool = descriptor_pool.DescriptorPool()
        for file in compile_protos(folder).file:
            self.pool.Add(file)
        self.methods = self.pool.FindServiceByName(SERVICE).methods_by_name

    def message(self, descriptor):
        if hasattr(message_factory, "GetMessageClass"):
            return message_factory.GetMessageClass(descriptor)
        return message_factory.MessageFactory(self.pool).GetPrototype(descriptor)


def plain_value(field, value):
    if field.message_type is not None:
        return plain(value)
    if field.enum_type is not None:
        return field.enum_type.values_by_number[value].name
    return value


def plain_field(field, message):
    value = getattr(message, field.name)
    if field.label != field.LABEL_REPEATED:
        return plain_value(field, value)
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        inner = field.message_type.fields_by_name["value"]
        return {key: plain_value(inner, item) for key, item in value.items()}
    return [plain_value(field, item) for item in value]


def plain(message):
    """A message as a dictionary: fields without presence are always there, as they are on the wire
    for every reader; bytes stay bytes and 64-bit integers stay integers."""
    out = {}
    for field in message.DESCRIPTOR.fields:
        optional = field.containing_oneof is not None or (
            field.message_type is not None and field.label != field.LABEL_REPEATED
        )
        if not optional or message.HasField(field.name):
            out[field.name] = plain_field(field, message)
    return out
