"""A proxy in front of a store that does to its answers what networks and stores do."""

import base64
import hashlib
import http.client
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PIECE = 64 << 10


class Listener(ThreadingHTTPServer):
    """More may come at once than the five that it would let wait."""

    request_queue_size = 128


class Web:
    """`with Web(answer) as web:` calls answer(handler) for each GET, HEAD, POST and PUT. Without a
    port the system picks one."""

    def __init__(self, answer, port=0):
        web = self
        self.lock = threading.Lock()
        self.working = 0  # requests that are being answered

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Head and body are two writes: the second must not wait for an acknowledgement.
            disable_nagle_algorithm = True

            def do_GET(self):
                with web.lock:
                    web.working += 1
                try:
                    self.serve()
                finally:
                    with web.lock:
                        web.working -= 1

            def serve(self):
                length = int(self.headers.get("Content-Length") or 0)
                if web.before_body(self, length):
                    self.close_connection = True
                    return
                self.body = self.rfile.read(length)
                try:
                    answer(self)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

            def handle(self):
                try:
                    super().handle()
                except ConnectionResetError:  # a client that was killed, or gave up
                    pass

            do_HEAD = do_POST = do_PUT = do_DELETE = do_GET

            def log_message(self, *_):
                pass

        self.server = Listener(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_port
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def quiet(self, seconds=30):
        """Until nothing is answered any more."""
        until = time.monotonic() + seconds
        time.sleep(0.2)  # what a client has sent may not have been read yet
        while self.working and time.monotonic() < until:
            time.sleep(0.02)

    def before_body(self, _handler, _length):
        """True ends the connection before the request has been read."""
        return False

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"


def reply(handler, body=b"", status=200, kind="application/octet-stream", **headers):
    """Understands ranges where it is given Accept-Ranges."""
    first, last, size = 0, len(body) - 1, len(body)
    asked = handler.headers.get("Range")
    if asked and status == 200 and "accept_ranges" in headers:
        first, last = (int(part) for part in asked.removeprefix("bytes=").split("-"))
        status = 206
        headers["content_range"] = f"bytes {first}-{last}/{size}"
    handler.send_response(status)
    handler.send_header("Content-Type", kind)
    handler.send_header("Content-Length", str(last - first + 1))
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(memoryview(body)[first:last + 1])


class FaultProxy(Web):
    """Passes everything on to 127.0.0.1:`port`; its members say what goes wrong meanwhile."""

    def __init__(self, port):
        super().__init__(self.forward)
        self.upstream = port
        self.calm()
        self.log = []  # [path, first byte asked for, bytes sent so far]
        self.puts = []  # (path, bytes) of bodies that came whole, and as they were sent

    def calm(self):
        self.fails = 0  # answers that are 503
        self.cuts = 0  # of large answers, that end after cut_after bytes
        self.cut_after = 3 << 20
        self.flips = 0  # of large answers, that have a wrong byte
        self.stalls = 0  # of large answers, that stop without an end
        self.rate = 0  # bytes a second of each answer
        self.put_cuts = 0  # of large PUTs, that are cut off in the middle
        self.put_flips = 0  # of large PUTs, of which a byte is changed
        self.put_fails = 0  # PUTs that are 500
        self.put_pause = 0  # seconds before the second large one goes on; each waits as long again
        self.turn = 0

    def take(self, name):
        with self.lock:
            left = getattr(self, name)
            setattr(self, name, max(0, left - 1))
            return left > 0

    def before_body(self, handler, length):
        if handler.command != "PUT" or length <= self.cut_after or not self.take("put_cuts"):
            return False
        handler.rfile.read(length // 2)
        return True

    def forward(self, handler):
        if self.take("fails"):
            return reply(handler, b"busy", 503)
        if handler.command == "PUT" and not self.receive(handler):
            return None
        upstream = http.client.HTTPConnection("127.0.0.1", self.upstream, timeout=30)
        try:
            # The Host header is signed: it goes on as it came.
            upstream.request(handler.command, handler.path, handler.body or None,
                             headers=dict(handler.headers))
            answer = upstream.getresponse()
            handler.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("connection", "transfer-encoding", "date", "server"):
                    handler.send_header(name, value)
            chunked = answer.getheader("Content-Length") is None
            body = answer.read() if chunked else None
            if chunked:
                handler.send_header("Content-Length", str(len(body)))
            handler.end_headers()
            if chunked:
                handler.wfile.write(body)
            elif handler.command != "HEAD":
                self.pour(handler, answer, int(answer.getheader("Content-Length")))
        finally:
            upstream.close()

    def receive(self, handler):
        """As S3 does and s3rver does not: what comes is held against the digests in the headers."""
        if self.take("put_fails"):
            return reply(handler, b"broken", 500)
        if len(handler.body) > self.cut_after:
            with self.lock:
                turn, self.turn = self.turn, self.turn + 1
            time.sleep(self.put_pause * turn)
            if self.take("put_flips"):
                body = bytearray(handler.body)
                body[len(body) // 2] ^= 1
                handler.body = bytes(body)
        digests = {"Content-MD5": base64.b64encode(hashlib.md5(handler.body).digest()).decode(),
                   "X-Amz-Content-Sha256": hashlib.sha256(handler.body).hexdigest()}
        if any(handler.headers.get(name) != digest for name, digest in digests.items()):
            return reply(handler, b"<Error><Code>BadDigest</Code></Error>", 400, "application/xml")
        with self.lock:
            self.puts.append((handler.path, len(handler.body)))
        return True

    def pour(self, handler, answer, length):
        large = length > self.cut_after
        limit = self.cut_after if large and self.take("cuts") else length
        flip = large and self.take("flips")
        stall = large and self.take("stalls")
        asked = handler.headers.get("Range", "bytes=0-")
        entry = [handler.path, int(asked.removeprefix("bytes=").split("-")[0]), 0]
        with self.lock:
            self.log.append(entry)
        sent, began = 0, time.monotonic()
        while sent < limit:
            piece = bytearray(answer.read(min(PIECE, limit - sent)))
            if not piece:
                break
            if flip and sent == 0:
                piece[len(piece) // 2] ^= 1
            if stall and sent > 0:
                time.sleep(30)
                break
            handler.wfile.write(piece)
            sent = entry[2] = sent + len(piece)
            if self.rate:
                time.sleep(max(0, began + sent / self.rate - time.monotonic()))
        if sent < length:
            handler.close_connection = True

    def poured(self, word):
        """Bytes of answers whose path has this word."""
        with self.lock:
            return sum(sent for path, _, sent in self.log if word in path)
