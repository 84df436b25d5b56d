"""Writes the large network that the group `sources` downloads: make_large.py MODEL.onnx BYTES.

A table of random numbers of so many bytes, of which a run looks up one: all of it has to be fetched,
checked and loaded, and nothing is spent on arithmetic.
"""
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests/e2e"))
from lib import tiny_onnx  # noqa: E402

PIECE = 16 << 20

size = int(sys.argv[2]) // PIECE * PIECE
model = bytearray(tiny_onnx.model(7, ballast=size))
# The table is the long run of zeros. Bytes that make small finite floats: a sum stays a number.
start = model.index(bytes(PIECE))
for at in range(start, start + size - PIECE + 1, PIECE):
    block = bytearray(os.urandom(PIECE))
    block[3::4] = bytes(PIECE // 4)
    model[at:at + PIECE] = block
# The answer is the row's first feature and what the table has at 0.
model[start:start + 8] = bytes(8)
with open(sys.argv[1], "wb") as file:
    file.write(model)
