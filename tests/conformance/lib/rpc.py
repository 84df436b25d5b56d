"""Runs the `grpc:` of a case and checks the answer."""

import base64
import itertools

import grpc
from google.protobuf import json_format

from . import compare, protos, tensors

# To a request that cannot be right. Triton says INTERNAL where it could not read a part of it.
WORDS = {
    "refused": ["INVALID_ARGUMENT"],
    "unreadable": ["INVALID_ARGUMENT", "INTERNAL", "UNKNOWN"],
    "unknown": ["NOT_FOUND", "INVALID_ARGUMENT", "UNAVAILABLE"],
}
BYTES_FIELDS = {"raw_input_contents", "bytes_contents"}
MOST_ANSWERS = 1000  # of a stream; no case has nearly as many requests
OPTIONS = [
    ("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", 64 << 20),
    ("grpc.enable_http_proxy", 0),
]


def codes(want):
    one = want.get("code", "OK")
    if isinstance(one, list):
        return one
    return WORDS.get(one, [one])


def base64_of(item):
    if isinstance(item, dict) and "dtype" in item:
        data = tensors.pack(item["dtype"], item["data"])
    else:
        data = tensors.as_bytes(item)
    return base64.b64encode(data).decode()


def for_json_format(value):
    """Fields of bytes, which a case writes as text, {hex} or {dtype, data}, become base64."""
    if isinstance(value, dict):
        return {
            key: [base64_of(one) for one in item] if key in BYTES_FIELDS else for_json_format(item)
            for key, item in value.items()
        }
    return [for_json_format(item) for item in value] if isinstance(value, list) else value


class Client:
    def __init__(self, address, proto_folder):
        self.protocol = protos.Protocol(proto_folder)
        self.channel = grpc.insecure_channel(f"{address[0]}:{address[1]}", options=OPTIONS)

    def message(self, descriptor, fields):
        """`repeat: {times: n, outputs: [...]}` beside the fields appends those n times."""
        fields = for_json_format(tensors.expand(fields))
        repeat = dict(fields.pop("repeat", {}))
        times = repeat.pop("times", 0)
        fields.update({key: items * times for key, items in repeat.items()})
        return json_format.ParseDict(fields, self.protocol.message(descriptor)())

    def requests(self, method, spec):
        if method is None or "bytes" in spec:
            return [bytes.fromhex(spec.get("bytes", ""))]
        wanted = spec.get("stream", [spec.get("request", {})])
        return [self.message(method.input_type, one).SerializeToString() for one in wanted]

    def call(self, spec, timeout):
        """(code, details, answers as dictionaries)"""
        method = self.protocol.methods.get(spec["method"])
        path = f"/{protos.SERVICE}/{spec['method']}"
        requests = self.requests(method, spec)
        parse = self.protocol.message(method.output_type).FromString if method else None
        compression = grpc.Compression[spec["compression"]] if "compression" in spec else None
        arguments = {"timeout": timeout, "compression": compression}
        answers = []
        code, details = "OK", ""
        try:
            if spec["method"] == "ModelStreamInfer":
                call = self.channel.stream_stream(path, None, parse)(iter(requests), **arguments)
                for answer in itertools.islice(call, MOST_ANSWERS):
                    answers.append(answer)
                call.cancel()
            else:
                call = self.channel.unary_unary(path, None, parse)
                answers.append(call(requests[0], **arguments))
        except grpc.RpcError as error:
            code, details = error.code().name, error.details() or ""
        return code, details, [protos.plain(answer) for answer in answers]


def typed_contents(contents):
    """The one field of InferTensorContents that has values."""
    filled = [values for values in contents.values() if values]
    if len(filled) > 1:
        raise ValueError("the contents of an output have more than one type")
    return filled[0] if filled else []


def read_outputs(response):
    """The outputs with their values as `data`, whichever way they came; ValueError if they came
    in no way or in both."""
    raw = response["raw_output_contents"]
    outputs = response["outputs"]
    if raw and len(raw) != len(outputs):
        raise ValueError(f"{len(raw)} raw_output_contents for {len(outputs)} outputs")
    out = []
    for i, output in enumerate(outputs):
        contents = typed_contents(output.get("contents", {}))
        if raw and contents:
            raise ValueError(f"{output['name']} is in raw_output_contents and in contents")
        data = tensors.unpack(output["datatype"], raw[i]) if raw else contents
        if len(data) != tensors.count(output["shape"]):
            raise ValueError(f"{output['name']} has {len(data)} values for {output['shape']}")
        out.append({**output, "data": data})
    return out


def check_infer(want, response, saved):
    try:
        outputs = read_outputs(response)
    except ValueError as error:
        return [f"the answer cannot be read: {error}"]
    problems = compare.subset(want.get("outputs", {}), outputs, saved)
    if want.get("form") == "raw" and not response["raw_output_contents"]:
        problems.append("the answer has no raw_output_contents")
    for name, classes in want.get("classes", {}).items():
        output = compare.find(name, outputs)[1] or {"data": []}
        problems += compare.check_classes(classes, output["data"], name)
    return problems


def check_stream(want, answers, saved):
    """By id: the protocol does not promise that answers keep the order of the requests."""
    problems = []
    if len(answers) != len(want):
        problems.append(f"{len(answers)} answers, not {len(want)}")
    by_id = {answer.get("infer_response", {}).get("id", ""): answer for answer in answers}
    for name, one in want.items():
        answer = by_id.get(name)
        if answer is None:
            problems.append(f"no answer has the id {name!r}: {compare.shorten(answers)}")
        elif one == "error":
            problems += [] if answer["error_message"] else [f"{name} has no error_message"]
        elif answer["error_message"]:
            problems.append(f"{name} is an error: {answer['error_message']}")
        else:
            problems += check_infer(one, answer["infer_response"], saved)
    return problems


def check(want, got, saved):
    code, details, answers = got
    if code not in codes(want):
        return [f"code {code} ({compare.shorten(details)}), not one of {codes(want)}"]
    if code != "OK":
        return [] if details else [f"{code} has no message that says why"]
    if "responses" in want:
        return check_stream(want["responses"], answers, saved)
    problems = compare.subset(want.get("response", {}), answers[0], saved)
    if "raw_output_contents" in answers[0]:
        problems += check_infer(want, answers[0], saved)
    return problems


def run(client, spec, want, saved, within):
    got = client.call(spec, within)
    tried = []
    for one in compare.alternatives(want):
        problems = check(one, got, saved)
        if not problems:
            return [], got[2][0] if got[2] else None
        tried += problems
    return tried, None
