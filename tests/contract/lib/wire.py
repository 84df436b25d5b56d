"""Bytes over a socket: what a case sends, and the HTTP answers that come back."""

import gzip
import socket
import threading
import time
import zlib

QUIET = 0.12  # seconds without a byte before a count of answers is final


DECODE = {"gzip": gzip.decompress, "deflate": zlib.decompress}


class Answer:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers  # lower-case name -> value
        self.raw = body

    @property
    def body(self):
        """Without its content coding."""
        decode = DECODE.get(self.headers.get("content-encoding"))
        return decode(self.raw) if decode and self.raw else self.raw


class Exchange:
    """What happened on one connection."""

    def __init__(self):
        self.answers = []
        self.closed = False
        self.reset = False
        self.alive_after = None  # status of a GET /health sent afterwards
        self.elapsed = 0.0
        self.garbage = b""


def encode(text):
    """A character below 256 is one byte, so "\\xff" in YAML is the byte FF; others are UTF-8."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return b"".join(c.encode("latin-1") if ord(c) < 256 else c.encode() for c in text)


def part_bytes(part):
    if isinstance(part, str):
        return encode(part)
    if "repeat" in part:
        return encode(part["repeat"]) * part["times"]
    if "utf8" in part:
        return part["utf8"].encode()
    if "hex" in part:
        return bytes.fromhex(part["hex"])
    if "gzip" in part:
        return gzip.compress(body_bytes(part["gzip"]))
    if "deflate" in part:
        return zlib.compress(body_bytes(part["deflate"]))
    if "chunk" in part:
        data = body_bytes(part["chunk"])
        return b"%x\r\n%b\r\n" % (len(data), data)
    if "utf16" in part:
        return part["utf16"].encode("utf-16")
    raise ValueError(f"unknown part {part}")


def body_bytes(spec):
    parts = spec if isinstance(spec, list) else [spec]
    return b"".join(part_bytes(part) for part in parts)


def parse_answers(data, methods=()):
    """(complete answers, rest). `methods` are the requests' methods, for HEAD."""
    answers = []
    while True:
        end = data.find(b"\r\n\r\n")
        if end < 0:
            return answers, data
        lines = data[:end].decode("latin-1").split("\r\n")
        words = lines[0].split(" ", 2)
        if len(words) < 2 or not words[0].startswith("HTTP/") or not words[1].isdigit():
            return answers, data
        status = int(words[1])
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        length = int(headers.get("content-length", 0))
        index = len(answers)
        if status < 200 or (index < len(methods) and methods[index] == "HEAD"):
            length = 0
        if len(data) < end + 4 + length:
            return answers, data
        answers.append(Answer(status, headers, data[end + 4 : end + 4 + length]))
        data = data[end + 4 + length :]


def send_steps(sock, steps, half_close):
    """Text and parts are sent; {sleep: s} waits; {drip: text, every: s} goes byte by byte."""
    try:
        for step in steps:
            if isinstance(step, dict) and "sleep" in step:
                time.sleep(step["sleep"])
            elif isinstance(step, dict) and "drip" in step:
                for byte in encode(step["drip"]):
                    sock.sendall(bytes([byte]))
                    time.sleep(step["every"])
            else:
                sock.sendall(step if isinstance(step, bytes) else part_bytes(step))
        if half_close:
            sock.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # the server closed first, which the reader sees


def exchange(address, steps, count=1, closed=None, exact=False, within=10.0, half_close=False,
             methods=()):
    """Sends the steps and reads until `count` answers are there, or the end where that is due."""
    out = Exchange()
    began = time.monotonic()
    with socket.create_connection(address, timeout=5) as sock:
        sender = threading.Thread(target=send_steps, args=(sock, steps, half_close), daemon=True)
        sender.start()
        data = b""
        quiet_since = time.monotonic()
        while True:
            now = time.monotonic()
            out.answers, rest = parse_answers(data, methods)
            enough = sum(answer.status >= 200 for answer in out.answers) >= count
            if enough and not closed and (not exact or now - quiet_since > QUIET):
                break
            if now - began > within:
                break
            sock.settimeout(QUIET / 2)
            try:
                got = sock.recv(1 << 20)
            except socket.timeout:
                continue
            except OSError:
                out.closed = out.reset = True
                break
            if not got:
                out.closed = True
                break
            data += got
            quiet_since = time.monotonic()
        out.elapsed = time.monotonic() - began
        out.answers, out.garbage = parse_answers(data, methods)
        if closed is False and not out.closed:
            out.alive_after = probe(sock)
    return out


def probe(sock):
    """Is the connection still good for a request?"""
    try:
        sock.settimeout(3)
        sock.sendall(b"GET /ready HTTP/1.1\r\nHost: t\r\n\r\n")
        data = b""
        while True:
            got = sock.recv(65536)
            if not got:
                return 0
            data += got
            answers, _ = parse_answers(data)
            if answers:
                return answers[0].status
    except OSError:
        return 0
