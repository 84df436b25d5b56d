"""Compares what came back with what a case expects; every function returns a list of problems."""

import math
import re

from . import tensors

TOLERANCE = 1e-5


def shorten(value, most=200):
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= most else f"{text[:most]}… ({len(text)} characters)"


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def same_value(want, got):
    """Integers are compared exactly, everything else that is a number within the tolerance."""
    if isinstance(got, bytes):
        return isinstance(want, (str, dict, bytes)) and tensors.as_bytes(want) == got
    if isinstance(want, bool) or want is None or isinstance(want, str):
        return type(want) is type(got) and want == got
    if not is_number(got):
        return False
    if isinstance(want, int) and isinstance(got, int):
        return want == got
    if math.isnan(want) or math.isnan(got):
        return math.isnan(want) and math.isnan(got)
    return math.isclose(want, got, rel_tol=TOLERANCE, abs_tol=TOLERANCE)


def same_data(want, got, where):
    """Tensor data may be nested or flat, in a case and in an answer."""
    want, got = tensors.flatten(tensors.expand(want)), tensors.flatten(got)
    if len(want) != len(got):
        return [f"{where} has {len(got)} values, not {len(want)}: {shorten(got)}"]
    for i, (one, other) in enumerate(zip(want, got)):
        if not same_value(one, other):
            return [f"{where}: element {i} is {other!r}, not {one!r}"]
    return []


def is_count(value):
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


WORDS = {
    "!any": lambda value: True,
    "!text": lambda value: isinstance(value, str) and value != "",
    "!list": lambda value: isinstance(value, list),
    "!count": is_count,
}


def check_word(want, got, saved, where):
    """A text that begins with ! is not compared but says what the value must be."""
    grown = re.fullmatch(r"!at_least (\w+) \+ (\d+)", want)
    if grown:
        least = saved[grown[1]] + int(grown[2])
        grew = is_number(got) and got >= least
        return [] if grew else [f"{where} is {got!r}, not {least} or more"]
    if WORDS[want](got):
        return []
    return [f"{where} is {shorten(got)}, not {want}"]


def find(key, got):
    """(found, value): a key of a mapping, or the element of a list that has this name."""
    if isinstance(got, dict):
        return key in got, got.get(key)
    named = [item for item in got if isinstance(item, dict) and item.get("name") == key]
    return len(named) > 0, named[0] if named else None


def check_mapping(want, got, saved, where):
    if "!each" in want:
        return check_each(want["!each"], got, saved, where)
    if "!some" in want:
        return check_some(want["!some"], got, saved, where)
    if not isinstance(got, (dict, list)):
        return [f"{where} is {shorten(got)}, not an object"]
    problems = []
    for key, value in want.items():
        found, there = find(key, got)
        place = f"{where}.{key}"
        if value == "!absent":
            problems += [f"{place} is there: {shorten(there)}"] if found else []
        elif not found:
            problems.append(f"{place} is missing")
        elif key == "data":
            problems += same_data(value, there, place)
        else:
            problems += subset(value, there, saved, place)
    return problems


def check_each(want, got, saved, where):
    if not isinstance(got, list) or not got:
        return [f"{where} is {shorten(got)}, not a list with elements"]
    return [
        problem for i, item in enumerate(got)
        for problem in subset(want, item, saved, f"{where}[{i}]")
    ]


def check_some(want, got, saved, where):
    if isinstance(got, list) and any(not subset(want, item, saved, where) for item in got):
        return []
    return [f"{where} has no element like {shorten(want)}: {shorten(got)}"]


def subset(want, got, saved, where="$"):
    """A mapping must have the keys that are named; a list must be as long as the expected one.

    Where a case has a mapping and the answer a list, its elements are found by their name: the
    protocol does not say in which order a server tells its tensors.
    """
    if isinstance(want, dict):
        return check_mapping(want, got, saved, where)
    if isinstance(want, list):
        if not isinstance(got, list) or len(want) != len(got):
            return [f"{where} is {shorten(got)}, not {shorten(want)}"]
        return [
            problem for i, pair in enumerate(zip(want, got))
            for problem in subset(*pair, saved, f"{where}[{i}]")
        ]
    if isinstance(want, str) and want.startswith("!"):
        return check_word(want, got, saved, where)
    if isinstance(want, str) and want.startswith("="):
        # The JSON form of protobuf writes 64-bit integers as texts.
        return [] if str(got) == want[1:] else [f"{where} is {got!r}, not {want[1:]}"]
    return [] if same_value(want, got) else [f"{where} is {shorten(got)}, not {want!r}"]


def split_class(element):
    """value, index and label (or nothing) of VALUE:INDEX[:LABEL]."""
    text = element.decode() if isinstance(element, bytes) else element
    value, index, *label = text.split(":", 2)
    return float(value), int(index), label


def check_classes(want, got, where):
    """How many digits a value has is the server's choice; a label is compared where it is given."""
    got = tensors.flatten(got)
    if len(want) != len(got):
        return [f"{where} has {len(got)} classes, not {len(want)}: {shorten(got)}"]
    for one, other in zip(want, got):
        try:
            value, index, label = split_class(other)
        except ValueError:
            return [f"{where} has {other!r}, which is not value:index[:label]"]
        wanted_value, wanted_index, wanted_label = split_class(one)
        same = same_value(wanted_value, value) and index == wanted_index
        if not same or (wanted_label and label != wanted_label):
            return [f"{where} has {other!r} where {one!r} is expected"]
    return []


def alternatives(want):
    """`any:` has several answers that are all right; what is beside it holds for each of them."""
    common = {key: value for key, value in want.items() if key != "any"}
    return [{**common, **one} for one in want.get("any", [{}])]


def at(path, value):
    """What `save` names: a path of keys, places in lists and names, with dots."""
    for key in path.split("."):
        in_list = isinstance(value, list) and key.isdigit()
        value = value[int(key)] if in_list else find(key, value)[1]
    return value
