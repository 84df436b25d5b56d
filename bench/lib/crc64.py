"""CRC-64/NVME of a large file, as Amazon says it of its objects: NumPy, a thousand times a loop.

The file is cut into lanes of equal length that go through the table side by side; what they give is
put together in pairs, since a CRC without its first and last inversion is linear.
"""
import numpy as np

POLYNOMIAL = 0x9a6c9329ac4bc9b5  # reflected
ONES = 0xffffffffffffffff
LANES = 1 << 16


def after(value, bits):
    for _ in range(bits):
        value = (value >> 1) ^ (POLYNOMIAL if value & 1 else 0)
    return value


TABLE = np.array([after(byte, 8) for byte in range(256)], dtype=np.uint64)


def follow(states, columns):
    """Through the bytes of each column."""
    for column in columns:
        states = (states >> np.uint64(8)) ^ TABLE[(states ^ column) & np.uint64(255)]
    return states


def applied(operator, values):
    """`operator`: what becomes of each of the 64 bits."""
    out = np.zeros_like(values)
    for bit, image in enumerate(operator):
        out ^= np.where((values >> np.uint64(bit)) & np.uint64(1), np.uint64(image), np.uint64(0))
    return out


def zeros(count):
    """What so many bytes of zero do."""
    out = np.array([1 << bit for bit in range(64)], dtype=np.uint64)
    power = np.array([after(1 << bit, 8) for bit in range(64)], dtype=np.uint64)
    while count:
        if count & 1:
            out = applied(power, out)
        power = applied(power, power)
        count >>= 1
    return out


def crc64nvme(data):
    data = np.frombuffer(data, dtype=np.uint8)
    length = len(data) // LANES
    whole = LANES * length
    sums = np.zeros(LANES, dtype=np.uint64)
    if length:
        sums = follow(sums, np.ascontiguousarray(data[:whole].reshape(LANES, length).T))
        while len(sums) > 1:
            sums = applied(zeros(length), sums[0::2]) ^ sums[1::2]
            length *= 2
    state = applied(zeros(whole), np.array([ONES], dtype=np.uint64)) ^ sums[:1]
    state = follow(state, data[whole:])
    return int(state[0]) ^ ONES


if crc64nvme(b"123456789") != 0xae8b14860a799888:
    raise RuntimeError("crc64nvme is wrong")
