"""Compares what came back with what a case expects; every function returns a list of problems."""

import json
import math
import re

TOLERANCE = 1e-5


def same_number(want, got):
    if isinstance(got, bool) or not isinstance(got, (int, float)):
        return False
    return math.isclose(want, got, rel_tol=TOLERANCE, abs_tol=TOLERANCE)


def subset(want, got, where="$"):
    """A mapping must have the keys that are named; a list must be as long as the expected one.

    Strings: '~text' is part of the value (or of its JSON), '!any' is anything, '!absent' is no such
    key. Numbers may differ by 1e-5, so a large integer is written as a string of digits: '=123'.
    """
    if isinstance(want, str) and want.startswith("~"):
        text = got if isinstance(got, str) else json.dumps(got, ensure_ascii=False)
        return [] if want[1:] in text else [f"{where} has no {want[1:]!r}: {text[:300]}"]
    if want == "!any":
        return []
    if isinstance(want, str) and want.startswith("="):
        return [] if str(got) == want[1:] else [f"{where} is {got!r}, not {want[1:]}"]
    if isinstance(want, dict):
        if not isinstance(got, dict):
            return [f"{where} is {got!r}, not a mapping"]
        problems = []
        for key, value in want.items():
            if value == "!absent":
                if key in got:
                    problems.append(f"{where}.{key} is there: {got[key]!r}")
            elif key not in got:
                problems.append(f"{where}.{key} is missing")
            else:
                problems += subset(value, got[key], f"{where}.{key}")
        return problems
    if isinstance(want, list):
        if not isinstance(got, list) or len(want) != len(got):
            return [f"{where} is {str(got)[:200]}, not {str(want)[:200]}"]
        return [
            problem
            for i, pair in enumerate(zip(want, got))
            for problem in subset(*pair, f"{where}[{i}]")
        ]
    if isinstance(want, bool) or want is None or isinstance(want, str):
        same = type(want) is type(got) and want == got
    else:
        same = same_number(want, got)
    return [] if same else [f"{where} is {got!r}, not {want!r}"]


def texts(spec):
    return spec if isinstance(spec, list) else [spec]


def check_text(want, text, what):
    """`want` has `contains`, `not_contains` or `matches`: each a text or a list of them."""
    problems = []
    for part in texts(want.get("contains", [])):
        if part not in text:
            problems.append(f"{what} has no {part!r}: {text[:400]!r}")
    for part in texts(want.get("not_contains", [])):
        if part in text:
            problems.append(f"{what} has {part!r}: {text[:400]!r}")
    for part in texts(want.get("matches", [])):
        if not re.search(part, text):
            problems.append(f"{what} does not match {part!r}: {text[:400]!r}")
    return problems


def reject_constant(word):
    raise ValueError(f"{word} is not JSON")


def read_json(body):
    return json.loads(body.decode("utf-8"), parse_constant=reject_constant)


def is_plain(path):
    """Whether errors of a path are {"error": "text"}, as TensorFlow Serving's and Triton's are."""
    return re.match(r"/v[12](?:[/?]|$)", path) is not None


def error_problems(value, plain):
    error = value.get("error", {})
    if plain:
        right = value.keys() == {"error"} and isinstance(error, str) and error
        return [] if right else ['the error is not {"error": "text"}']
    problems = []
    if not isinstance(error, dict) or not error.get("code") or not error.get("message"):
        problems.append("the error has no code or message")
    if not isinstance(error, dict) or not isinstance(error.get("details"), list):
        problems.append("the error has no list of details")
    return problems


def check_form(answer, private, plain):
    """What holds for every answer: errors have their form, and nothing tells where we live."""
    problems = []
    text = answer.body.decode("utf-8", "replace")
    for path in private:
        if path in text:
            problems.append(f"the body tells a path of the machine: {text[:300]}")
    if answer.status == 405 and "allow" not in answer.headers:
        problems.append("405 without Allow")
    if answer.status >= 400 and answer.body and not text.startswith('{"status"'):
        try:
            value = read_json(answer.body)
        except ValueError as error:
            return problems + [f"the error is not JSON: {error}: {text[:200]}"]
        if value.keys() == {"ready"}:
            return problems
        problems += [f"{problem}: {text[:200]}" for problem in error_problems(value, plain)]
    return problems


def check_answer(want, answer):
    problems = []
    for name, value in want.get("headers", {}).items():
        got = answer.headers.get(name.lower())
        if value == "!absent":
            problems += [f"header {name} is {got!r}"] if got is not None else []
        elif got is None:
            problems.append(f"header {name} is missing")
        else:
            problems += subset(value, got, f"header {name}")
    text = answer.body.decode("utf-8", "replace")
    problems += check_text(want, text, "the body")
    if "json" in want:
        try:
            problems += subset(want["json"], read_json(answer.body))
        except ValueError as error:
            problems.append(f"the body is not JSON ({error}): {text[:200]!r}")
    return problems


def statuses_of(want):
    """What `status` or `statuses` expect, in order, or None; {repeat: status, times: n} is many."""
    if "statuses" not in want:
        return [want["status"]] if "status" in want else None
    out = []
    for one in want["statuses"]:
        out += [one["repeat"]] * one["times"] if isinstance(one, dict) else [one]
    return out


def check_exchange(want, exchange, private, plain=False):
    """The rest of `want` is about the last answer. `plain` is the form of errors."""
    statuses = [answer.status for answer in exchange.answers]
    expected = statuses_of(want)
    problems = []
    if expected is not None and statuses != expected:
        body = exchange.answers[-1].body[:300] if exchange.answers else exchange.garbage[:300]
        problems.append(f"statuses {statuses}, not {expected}; last body {body!r}")
    if exchange.garbage:
        problems.append(f"bytes that are no answer: {exchange.garbage[:100]!r}")
    if want.get("closed") and not exchange.closed:
        problems.append("the connection was not closed")
    if want.get("closed") is False:
        if exchange.closed:
            problems.append("the connection was closed")
        elif exchange.alive_after not in (200, 503):
            problems.append("the connection takes no further request")
    if exchange.reset and exchange.answers == [] and expected:
        problems.append("the connection was reset before an answer")
    if "within" in want and exchange.elapsed > want["within"]:
        problems.append(f"took {exchange.elapsed:.1f} s, more than {want['within']}")
    if "after" in want and exchange.elapsed < want["after"]:
        problems.append(f"took only {exchange.elapsed:.1f} s, less than {want['after']}")
    for answer in exchange.answers:
        problems += check_form(answer, private, plain)
    if exchange.answers:
        problems += check_answer(want, exchange.answers[-1])
    return problems
