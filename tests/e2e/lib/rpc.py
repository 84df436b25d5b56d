"""Debian's grpcio with stubs made from proto/ by protoc, as any user of it would make them."""

import importlib
import subprocess
import sys
import tempfile

import grpc

from .server import ROOT

PROTOS = {
    "prediction_pb2": ("proto", "prediction.proto"),
    "health_pb2": ("proto/grpc", "health.proto"),
    "reflection_v1_pb2": ("proto/grpc", "reflection_v1.proto"),
    "reflection_v1alpha_pb2": ("proto/grpc", "reflection_v1alpha.proto"),
    "oip.model_config_pb2": ("proto", "oip/model_config.proto"),
    "oip.service_pb2": ("proto", "oip/service.proto"),
}
# A proxy of the environment never applies to this machine itself; channels that share nothing make
# each test's connection its own.
OPTIONS = [("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1),
           ("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]

_scratch = tempfile.TemporaryDirectory(prefix="e2e-stubs-")


def _load(module):
    folder, file = PROTOS[module]
    subprocess.run(["protoc", f"--python_out={_scratch.name}", "-I", str(ROOT / folder), file],
                   check=True)
    return importlib.import_module(module)


sys.path.insert(0, _scratch.name)
sys.dont_write_bytecode = True
(prediction_pb2, health_pb2, reflection_v1_pb2, reflection_v1alpha_pb2, _,
 oip_pb2) = map(_load, PROTOS)


def channel(address, *options, **arguments):
    return grpc.insecure_channel(address, options=OPTIONS + list(options), **arguments)


def predict(on):
    """The callable of PredictionService/Predict on a channel."""
    return on.unary_unary("/PredictionService/Predict",
                          request_serializer=prediction_pb2.PredictRequest.SerializeToString,
                          response_deserializer=prediction_pb2.PredictResponse.FromString)


def health_check(on):
    return on.unary_unary("/grpc.health.v1.Health/Check",
                          request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
                          response_deserializer=health_pb2.HealthCheckResponse.FromString)


def health_watch(on):
    return on.unary_stream("/grpc.health.v1.Health/Watch",
                           request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
                           response_deserializer=health_pb2.HealthCheckResponse.FromString)


class Oip:
    """The callables of inference.GRPCInferenceService on a channel, by their names."""

    def __init__(self, on):
        for method in oip_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods:
            make = on.stream_stream if method.client_streaming else on.unary_unary
            setattr(self, method.name, make(
                f"/inference.GRPCInferenceService/{method.name}",
                request_serializer=getattr(oip_pb2, method.input_type.name).SerializeToString,
                response_deserializer=getattr(oip_pb2, method.output_type.name).FromString))


def failure(call, *arguments, **named):
    """(code name, details) of a call that must not succeed; ("OK", "") where it did."""
    named.setdefault("timeout", 20)
    try:
        call(*arguments, **named)
    except grpc.RpcError as error:
        return error.code().name, error.details() or ""
    return "OK", ""
