"""Reads cases/*.yaml: expands `each:`, adds what a whole file needs, and the short forms."""

import copy

import yaml

KINDS = ("rest", "grpc")


def replace(value, tokens):
    """Fills in <<each>> everywhere; a text that is nothing else becomes the value itself."""
    if isinstance(value, dict):
        return {replace(key, tokens): replace(item, tokens) for key, item in value.items()}
    if isinstance(value, list):
        return [replace(item, tokens) for item in value]
    if not isinstance(value, str) or "<<" not in value:
        return value
    for name, item in tokens.items():
        if value == f"<<{name}>>":
            return item
        value = value.replace(f"<<{name}>>", str(item))
    return value


def tokens_of(value):
    """<<each>> is the value; of a mapping, <<key>> is one of its values."""
    return {"each": value, **(value if isinstance(value, dict) else {})}


def expand(case):
    """`each:` makes one case for every value (of a mapping: for every name and value)."""
    each = case.pop("each", None)
    if each is None:
        return [case]
    pairs = each.items() if isinstance(each, dict) else [(str(item), item) for item in each]
    out = []
    for name, value in pairs:
        one = replace(copy.deepcopy(case), tokens_of(value))
        one["name"] = f"{case['name']}: {name}"
        out.append(one)
    return out


def long_form(want):
    """`expect: 404`, `expect: [400, 404]`, `expect: refused` are about the status or the code."""
    return want if isinstance(want, dict) else {"status": want, "code": want}


def steps_of(case):
    """Every case is a list of steps; most have one."""
    steps = case.get("steps", [case])
    out = []
    for step in steps:
        want = long_form(step.get("expect", {}))
        if "any" in want:
            want = {**want, "any": [long_form(one) for one in want["any"]]}
        kind = next(kind for kind in KINDS if kind in step)
        out.append({"kind": kind, "spec": step[kind], "want": want, "save": step.get("save", {})})
    return out


class Case:
    def __init__(self, file, file_needs, case):
        self.name = f"{file}/{case['name']}"
        self.needs = [*file_needs, *case.get("needs", [])]
        self.steps = steps_of(case)
        self.kinds = {step["kind"] for step in self.steps}


def load(folder, only):
    out = []
    for path in sorted(folder.glob("*.yaml")):
        document = yaml.safe_load(path.read_text())
        for case in document["cases"]:
            out += [Case(path.stem, document.get("needs", []), one) for one in expand(case)]
    names = [case.name for case in out]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise SystemExit(f"two cases have the same name: {', '.join(sorted(twice))}")
    return [case for case in out if only in case.name]
