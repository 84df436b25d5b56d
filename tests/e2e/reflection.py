#!/usr/bin/python3
"""Server reflection, used as grpcurl uses it: a client that is built from nothing but what the
server tells about itself makes a prediction. No stub of PredictionService is loaded here."""

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from lib import rpc
from lib.server import Report, Server, golden

ROW = golden("iris.1")[0]
VERSIONS = {"v1": rpc.reflection_v1_pb2, "v1alpha": rpc.reflection_v1alpha_pb2}


class Reflection:
    def __init__(self, channel, version):
        self.types = VERSIONS[version]
        self.call = channel.stream_stream(
            f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
            request_serializer=self.types.ServerReflectionRequest.SerializeToString,
            response_deserializer=self.types.ServerReflectionResponse.FromString)

    def ask(self, *requests):
        """All requests on one stream, in order; as many answers."""
        messages = [self.types.ServerReflectionRequest(**request) for request in requests]
        return list(self.call(iter(messages), timeout=20))

    def files(self, **request):
        answer = self.ask(request)[0]
        return [descriptor_pb2.FileDescriptorProto.FromString(text)
                for text in answer.file_descriptor_response.file_descriptor_proto]


def dynamic_client(channel, reflection):
    """(callable, request class) of PredictionService/Predict, from the server's descriptors."""
    pool = descriptor_pool.DescriptorPool()
    # A file may be added only after what it imports.
    waiting = {file.name: file for file in reflection.files(
        file_containing_symbol="PredictionService")}
    while waiting:
        ready = [name for name, file in waiting.items()
                 if not any(needed in waiting for needed in file.dependency)]
        for name in ready:
            pool.Add(waiting.pop(name))
    method = pool.FindServiceByName("PredictionService").methods_by_name["Predict"]
    factory = message_factory.MessageFactory(pool)
    request = factory.GetPrototype(method.input_type)
    answer = factory.GetPrototype(method.output_type)
    call = channel.unary_unary(f"/{method.containing_service.full_name}/{method.name}",
                               request_serializer=request.SerializeToString,
                               response_deserializer=answer.FromString)
    return call, request


def one_version(report, channel, version):
    reflection = Reflection(channel, version)
    listed = reflection.ask({"list_services": "*"})[0]
    services = {service.name for service in listed.list_services_response.service}
    for name in ("PredictionService", "grpc.health.v1.Health",
                 f"grpc.reflection.{version}.ServerReflection"):
        report.check(f"{version} lists {name}", name in services, services)
    for name in services:
        files = reflection.files(file_containing_symbol=name)
        found = {f"{file.package}.{service.name}".lstrip(".")
                 for file in files for service in file.service}
        report.check(f"{version} describes {name}", name in found, found)

    call, request = dynamic_client(channel, reflection)
    answer = call(request(model="iris", features=ROW["features"]), timeout=20)
    report.equal(f"{version}: a dynamic client predicts", answer.label, ROW["label"])

    symbols = ("PredictRequest", "PredictionService.Predict", "PredictRequest.user_id")
    for symbol in symbols:
        names = {message.name for file in reflection.files(file_containing_symbol=symbol)
                 for message in file.message_type}
        report.check(f"{version}: the file of {symbol}", "PredictRequest" in names, names)
    file = reflection.files(file_containing_symbol="PredictionService")[0].name
    again = reflection.files(file_by_filename=file)
    report.check(f"{version}: a file by its name", again and again[0].name == file, file)

    answers = reflection.ask({"file_containing_symbol": "not.There"},
                             {"file_by_filename": "not_there.proto"},
                             {"list_services": ""})
    report.equal(f"{version}: answers on one stream", len(answers), 3)
    for number in (0, 1):
        report.equal(f"{version}: what is not there is NOT_FOUND",
                     answers[number].error_response.error_code, 5)
    report.check(f"{version}: and the stream goes on",
                 len(answers[2].list_services_response.service) > 0)
    report.equal(f"{version}: the request comes back with its answer",
                 answers[0].original_request.file_containing_symbol, "not.There")


def main():
    report = Report("reflection")
    with Server() as server, rpc.channel(server.grpc) as channel:

        def v1(report):
            one_version(report, channel, "v1")

        def v1alpha(report):
            one_version(report, channel, "v1alpha")

        report.run(v1, v1alpha)


if __name__ == "__main__":
    main()
