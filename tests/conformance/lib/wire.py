"""One HTTP exchange: builds the request that a case describes, sends it, reads the answer."""

import http.client
import json
import time
import zlib

from . import tensors

MOST = 64 << 20  # bytes of an answer; more is a fault of the server
CHUNK = 1 << 20
WINDOW = {"gzip": 31, "deflate": 15}  # zlib's names for the two formats; deflate is RFC 1950
HEADER_LENGTH = "Inference-Header-Content-Length"


class NoAnswer(Exception):
    pass


class Answer:
    """Status, headers by lower-case name, and the body without its content coding."""

    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    def json_and_rest(self):
        """The JSON object and the tensors behind it; ValueError where there is no such thing."""
        length = self.headers.get(HEADER_LENGTH.lower(), str(len(self.body)))
        if not length.isdigit() or int(length) > len(self.body):
            raise ValueError(f"{HEADER_LENGTH} is {length!r}, the body has {len(self.body)} bytes")
        text = self.body[:int(length)].decode("utf-8")
        return json.loads(text, parse_constant=no_constant), self.body[int(length):]


def no_constant(word):
    raise ValueError(f"{word} is not JSON")


def piece_chunks(piece):
    """A piece of a body, in parts of bounded size."""
    if isinstance(piece, str):
        yield piece.encode()
    elif "hex" in piece:
        yield bytes.fromhex(piece["hex"])
    elif "json" in piece:
        yield json.dumps(tensors.expand(piece["json"])).encode()
    elif "dtype" in piece:
        yield tensors.pack(piece["dtype"], piece["data"])
    elif "repeat" in piece:
        yield piece["repeat"].encode() * piece["times"]
    elif "zeros" in piece:
        for at in range(0, piece["zeros"], CHUNK):
            yield bytes(min(CHUNK, piece["zeros"] - at))
    else:
        raise ValueError(f"a body has no piece like {piece}")


def body_chunks(body):
    for piece in body if isinstance(body, list) else [body]:
        yield from piece_chunks(piece)


def encode(chunks, encoding):
    """Compressed while it is made: what is behind it may be far larger than memory."""
    if encoding is None:
        return b"".join(chunks)
    compressor = zlib.compressobj(6, zlib.DEFLATED, WINDOW[encoding])
    return b"".join([*map(compressor.compress, chunks), compressor.flush()])


def decode(body, encoding):
    if encoding in ("", "identity"):
        return body
    if encoding not in WINDOW:
        raise NoAnswer(f"the answer's Content-Encoding is {encoding!r}, for which nobody asked")
    try:
        decompressor = zlib.decompressobj(WINDOW[encoding])
        out = decompressor.decompress(body, MOST)
    except zlib.error as error:
        raise NoAnswer(f"the answer is not {encoding}: {error}") from error
    if not decompressor.eof:
        raise NoAnswer(f"the answer's {encoding} stream has no end, or more than {MOST} bytes")
    return out


def damage(body, spec):
    """{cut: n} takes n bytes off the end, {flip: n} inverts byte n."""
    if "cut" in spec:
        return body[:-spec["cut"]]
    return body[:spec["flip"]] + bytes([body[spec["flip"]] ^ 0xFF]) + body[spec["flip"] + 1:]


class Request:
    """`spec` is the `rest:` of a case; see README.md for its keys."""

    def __init__(self, spec):
        self.headers = []
        self.json_length = 0
        self.body = self.make_body(spec)
        encoding = spec.get("encoding")
        if encoding:
            self.headers.append(("Content-Encoding", encoding))
        if self.body is not None and "damage" in spec:
            self.body = damage(self.body, spec["damage"])
        self.method = spec.get("method", "GET" if self.body is None else "POST")
        self.path = spec["path"] if "path" in spec else infer_path(spec)
        self.chunked = spec.get("chunked", False)
        for name, value in spec.get("headers", {}).items():
            self.headers = [pair for pair in self.headers if pair[0].lower() != name.lower()]
            values = value if isinstance(value, list) else [value]
            self.headers += [(name, self.fill(one)) for one in values if one is not None]

    def fill(self, value):
        """{length} in a header is the length of the JSON, which a case does not want to count."""
        return str(value).replace("{length}", str(self.json_length))

    def make_body(self, spec):
        content_type = "application/json"
        if "parts" in spec:
            head, *rest = spec["parts"]
            header = b"" if head is None else json.dumps(tensors.expand(head)).encode()
            self.json_length = len(header)
            self.headers.append((HEADER_LENGTH, str(self.json_length)))
            content_type = "application/octet-stream"
            chunks = [header, *body_chunks(rest)]
        elif "json" in spec:
            chunks = body_chunks({"json": spec["json"]})
        elif "body" in spec:
            chunks = body_chunks(spec["body"])
        else:
            return None
        self.headers.append(("Content-Type", content_type))
        return encode(chunks, spec.get("encoding"))


def infer_path(spec):
    version = f"/versions/{spec['version']}" if "version" in spec else ""
    return f"/v2/models/{spec['model']}{version}/infer"


def send(connection, request):
    # Accept-Encoding is the cases' business; http.client would say identity.
    connection.putrequest(request.method, request.path, skip_accept_encoding=True)
    body = request.body
    if request.chunked:
        connection.putheader("Transfer-Encoding", "chunked")
        body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    elif body is not None or request.method == "POST":
        connection.putheader("Content-Length", str(len(body or b"")))
    for name, value in request.headers:
        connection.putheader(name, value)
    connection.endheaders()
    try:
        connection.send(body or b"")
    except OSError:
        pass  # a server may refuse before it has read everything; then its answer is there


def read(response, until):
    """The body, but no more than MOST bytes and not for longer than `until`."""
    parts = []
    size = 0
    while part := response.read1(CHUNK):
        parts.append(part)
        size += len(part)
        if size > MOST:
            raise NoAnswer(f"the answer has more than {MOST} bytes")
        if time.monotonic() > until:
            raise NoAnswer("the answer does not end")
    return b"".join(parts)


def exchange(address, request, within):
    until = time.monotonic() + within
    connection = http.client.HTTPConnection(*address, timeout=within)
    try:
        connection.connect()
        send(connection, request)
        response = connection.getresponse()
        body = read(response, until)
    except (OSError, http.client.HTTPException) as error:
        raise NoAnswer(f"no answer: {type(error).__name__} {error}".rstrip()) from error
    finally:
        connection.close()
    headers = {name.lower(): value for name, value in response.getheaders()}
    body = decode(body, headers.get("content-encoding", "").lower())
    return Answer(response.status, headers, body)
