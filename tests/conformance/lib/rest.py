"""Runs the `rest:` of a case and checks the answer."""

import re
import time

from . import compare, tensors, wire

# What a server may answer to a request that cannot be right. The protocol says "an HTTP error
# status (typically 400)"; some frameworks say 422. Triton says 500 to what its JSON reader
# refuses (INTERNAL), and its own tests expect that.
WORDS = {
    "refused": [400, 422],
    "unreadable": [400, 422, 500],
    "too_large": [400, 413, 422],
    "unknown": [400, 404],
}


def statuses(want):
    one = want.get("status", 200)
    if isinstance(one, list):
        return one
    return WORDS[one] if isinstance(one, str) else [one]


def check_error_form(answer):
    try:
        document, _ = answer.json_and_rest()
    except ValueError as error:
        return [f"the error is not JSON: {error}: {compare.shorten(answer.body)}"]
    text = document.get("error") if isinstance(document, dict) else None
    if isinstance(text, str) and text:
        return []
    return [f'the error is not {{"error": "text"}}: {compare.shorten(answer.body)}']


def split_outputs(document, rest):
    """The bytes of every binary output by name, in the order of the JSON; ValueError if they do
    not add up."""
    raw = {}
    at = 0
    for output in document["outputs"]:
        size = output.get("parameters", {}).get("binary_data_size")
        if size is None:
            continue
        raw[output["name"]] = rest[at:at + size]
        at += size
    if at != len(rest):
        raise ValueError(f"binary_data_size adds up to {at}, behind the JSON are {len(rest)} bytes")
    return raw


def check_output(output, raw):
    name = output.get("name")
    dtype, shape = output.get("datatype"), output.get("shape")
    if not isinstance(name, str) or dtype not in tensors.DATATYPES:
        return [f"an output has no name or no datatype: {compare.shorten(output)}"]
    if not isinstance(shape, list) or not all(type(dim) is int and dim >= 0 for dim in shape):
        return [f"the shape of {name} is {shape!r}"]
    if (name in raw) == ("data" in output):
        return [f"{name} has both or neither of data and binary_data_size"]
    try:
        values = tensors.unpack(dtype, raw[name]) if name in raw else output["data"]
    except ValueError as error:
        return [f"{name}: {error}"]
    got = len(tensors.flatten(values))
    if got != tensors.count(shape):
        return [f"{name} has {got} values, its shape {shape} wants {tensors.count(shape)}"]
    return []


def check_infer_form(document, raw):
    """What holds for every answer to an inference request."""
    if not isinstance(document.get("model_name"), str):
        return ["the answer has no model_name"]
    return [problem for output in document["outputs"] for problem in check_output(output, raw)]


def check_raw(want, document, raw):
    problems = []
    for name, tensor in want.items():
        output = compare.find(name, document["outputs"])[1]
        if name not in raw:
            problems.append(f"{name} is not a binary output")
        elif output["datatype"] != tensor["dtype"]:
            problems.append(f"{name} is {output['datatype']}, not {tensor['dtype']}")
        elif "hex" in tensor:
            same = raw[name] == bytes.fromhex(tensor["hex"])
            problems += [] if same else [f"{name} is {raw[name].hex()}, not {tensor['hex']}"]
        else:
            got = tensors.unpack(tensor["dtype"], raw[name])
            problems += compare.same_data(tensor["data"], got, name)
    return problems


def check_classes(want, document, raw):
    problems = []
    for name, classes in want.items():
        output = compare.find(name, document["outputs"])[1] or {}
        if output.get("datatype") != "BYTES":
            return [f"{name} is not a BYTES output: {compare.shorten(output)}"]
        got = tensors.unpack_strings(raw[name]) if name in raw else output["data"]
        problems += compare.check_classes(classes, got, name)
    return problems


def check_headers(want, headers):
    problems = []
    for name, pattern in want.items():
        got = headers.get(name.lower())
        if pattern == "!absent":
            problems += [f"header {name} is {got!r}"] if got is not None else []
        elif got is None or not re.search(pattern, got, re.IGNORECASE):
            problems.append(f"header {name} is {got!r}, not {pattern!r}")
    return problems


def check_body(want, answer, is_infer, saved):
    try:
        document, rest = answer.json_and_rest()
        raw = split_outputs(document, rest) if is_infer else {}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return [f"the answer cannot be read: {error!r}: {compare.shorten(answer.body)}"], None
    problems = check_infer_form(document, raw) if is_infer else []
    if not problems:
        problems += compare.subset(want.get("json", {}), document, saved) if "json" in want else []
        problems += check_raw(want.get("raw", {}), document, raw)
        problems += check_classes(want.get("classes", {}), document, raw)
    return problems, document


def check(want, answer, is_infer, saved):
    """(problems, the JSON of the answer or nothing)."""
    if answer.status not in statuses(want):
        text = compare.shorten(answer.body, 300)
        return [f"status {answer.status}, not one of {statuses(want)}: {text}"], None
    problems = check_headers(want.get("headers", {}), answer.headers)
    if answer.status >= 400:
        # Of a path that it does not have, a server says what its HTTP library says.
        return problems + ([] if want.get("body") == "any" else check_error_form(answer)), None
    if want.get("body") == "any" or (want.get("body") == "optional" and not answer.body):
        return problems, None
    more, document = check_body(want, answer, is_infer, saved)
    return problems + more, document


def run(address, spec, want, saved, within):
    request = wire.Request(spec)
    started = time.monotonic()
    try:
        answer = wire.exchange(address, request, within)
    except wire.NoAnswer as error:
        return [str(error)], None
    problems, document = check_any(want, answer, request.path.endswith("/infer"), saved)
    seconds = time.monotonic() - started
    if seconds > within:
        problems.append(f"the answer took {seconds:.1f} s, not at most {within}")
    return problems, document


def check_any(want, answer, is_infer, saved):
    tried = []
    for one in compare.alternatives(want):
        problems, document = check(one, answer, is_infer, saved)
        if not problems:
            return [], document
        tried += problems
    return tried, None
