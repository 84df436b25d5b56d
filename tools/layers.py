#!/usr/bin/env python3
"""Checks the order of the folders of src/: arrows point only downwards.

A file includes from its own folder or from a lower layer; folders of one layer never include each
other; a third-party library is seen in the folders that wrap it; no file is longer than 400 lines.
"""
import re
import sys
from pathlib import Path

SRC = Path(__file__).resolve().parent.parent / "src"
MAX_LINES = 400

LAYERS = [
    "base",
    "config telemetry statistics clients transport",
    "core",
    "engines sources features state routing codecs observers access",
    "repository",
    "serving release",
    "frontends tools",
    "app",
]
LAYER_OF = {room: level for level, rooms in enumerate(LAYERS) for room in rooms.split()}

# Start of a header's name -> the folders that may include it.
THIRD_PARTY = {
    "nghttp2/": {"transport"},
    "openssl/": {"base"},
    "xxhash": {"base"},
    "onnxruntime": {"engines"},
    "onnx/": {"tools"},
    "xgboost/": {"engines"},
    "yaml-cpp/": {"config"},
    "utf8proc": {"engines"},
    "simdjson": {"codecs", "engines"},  # requests; trees of XGBoost, which are large
    "curl/": {"clients"},
    "sqlite3": {"clients"},
    "duckdb": {"clients"},
    "hiredis/": {"clients"},
    "pugixml": {"sources"},
    "CLI/": {"app"},
    "spdlog/": {"base"},
    "mimalloc": {"base"},
}

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*[<"]([^>"]+)[>"]', re.MULTILINE)


def is_test(path):
    return path.stem.endswith(("_test", "_bench")) or "testing" in path.parts


def room_of(path, header):
    """The folder of src/ that an include names, or None for what is not ours or is generated."""
    for base in (path.parent, SRC):
        target = (base / header).resolve()
        if target.is_file() and target.is_relative_to(SRC):
            return target.relative_to(SRC).parts[0]
    return None


def arrow_fault(room, other):
    # A folder without a layer is reported once, by its own files.
    if other == room or LAYER_OF.get(other, -1) < LAYER_OF[room]:
        return None
    sibling = LAYER_OF[other] == LAYER_OF[room]
    return f"{room} may not know {other}, " + ("its sibling" if sibling else "which is above it")


def library_fault(room, header):
    for start, rooms in THIRD_PARTY.items():
        if header.startswith(start) and room not in rooms:
            return f"only {', '.join(sorted(rooms))} may include it"
    return None


def faults_of(path):
    name = path.relative_to(SRC.parent)
    room = path.relative_to(SRC).parts[0]
    if room not in LAYER_OF:
        yield f"{name}: '{room}' belongs to no layer; add it to tools/layers.py"
        return
    text = path.read_text(errors="replace")
    lines = text.count("\n")
    if lines > MAX_LINES:
        yield f"{name}: {lines} lines, {MAX_LINES} at most"
    for match in INCLUDE.finditer(text):
        header = match[1]
        other = room_of(path, header)
        if other:
            fault = arrow_fault(room, other)
        else:
            fault = None if is_test(path) else library_fault(room, header)
        if fault:
            line = text.count("\n", 0, match.start()) + 1
            yield f"{name}:{line}: includes {header}: {fault}"


def main():
    files = sorted(path for path in SRC.rglob("*") if path.suffix in (".h", ".cc"))
    faults = [fault for path in files for fault in faults_of(path)]
    if not files:
        faults = ["src/ has no sources"]
    print("".join(f"{fault}\n" for fault in faults), end="")
    print(f"layers: {int(not faults)} passed, {int(bool(faults))} failed")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
