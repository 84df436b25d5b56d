"""A collector of traces: OTLP over HTTP, read with the messages that OpenTelemetry itself publishes.

They come from its npm package for gRPC exporters, which has the official .proto files in it, and are
compiled by protoc: nothing here knows Sluice's own files in proto/otlp.
"""

import importlib
import subprocess
import sys
import tempfile
import threading
import time

from .faults import Web, reply
from .server import ROOT

PROTOS = (ROOT / ".deps/clients/node_modules/@opentelemetry/otlp-grpc-exporter-base/build/protos")
PACKAGE = "opentelemetry/proto"
FILES = [f"{PACKAGE}/{name}.proto" for name in (
    "common/v1/common", "resource/v1/resource", "trace/v1/trace",
    "collector/trace/v1/trace_service")]

_scratch = tempfile.TemporaryDirectory(prefix="e2e-otlp-")
subprocess.run(["protoc", f"--python_out={_scratch.name}", "-I", str(PROTOS), *FILES], check=True)
sys.path.insert(0, _scratch.name)
service_pb2 = importlib.import_module("opentelemetry.proto.collector.trace.v1.trace_service_pb2")
Span = importlib.import_module("opentelemetry.proto.trace.v1.trace_pb2").Span
Status = importlib.import_module("opentelemetry.proto.trace.v1.trace_pb2").Status

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
# W3C's trace flags, and OTLP's bits about the parent, are in a field that came later than these
# messages: number 16, of four bytes.
FLAGS = bytes([0x85, 0x01])


def traceparent(trace=TRACE, parent=PARENT, flags="01", version="00"):
    return f"{version}-{trace}-{parent}-{flags}"


class Collector(Web):
    """Keeps what it is sent; `status`, `headers` and `hangs` say how it answers meanwhile."""

    def __init__(self, port=0):
        super().__init__(self.take, port)
        self.lock = threading.Lock()
        self.posts = []  # (path, content type, status)
        self.received = []  # (resource's attributes, span)
        self.statuses = []  # of the next answers; then 200
        self.headers = {}
        self.ended = False
        self.open = threading.Event()
        self.open.set()

    def take(self, handler):
        if self.ended:  # connections outlive the listener
            handler.close_connection = True
            return None
        with self.lock:
            status = self.statuses.pop(0) if self.statuses else 200
            self.posts.append((handler.path, handler.headers.get("Content-Type"), status))
        self.open.wait()
        if status != 200:
            return reply(handler, b"", status, **self.headers)
        message = service_pb2.ExportTraceServiceRequest.FromString(handler.body)
        with self.lock:
            for all_spans in message.resource_spans:
                resource = attributes(all_spans.resource)
                for scope in all_spans.scope_spans:
                    self.received += [(resource, span) for span in scope.spans]
        return reply(handler, b"", kind="application/x-protobuf")

    def hang(self):
        self.open.clear()

    def __exit__(self, *_):
        self.ended = True
        self.open.set()
        super().__exit__()

    def spans(self):
        with self.lock:
            return [span for _, span in self.received]

    def resources(self):
        with self.lock:
            return [resource for resource, _ in self.received]

    def requests(self):
        """The spans of requests: those that have children."""
        return [span for span in self.spans() if span.kind == Span.SPAN_KIND_SERVER]

    def children(self, span):
        return [one for one in self.spans() if one.parent_span_id == span.span_id]

    def wait(self, count, seconds=20):
        """Until there are so many spans of requests; all that there are."""
        until = time.monotonic() + seconds
        while len(self.requests()) < count and time.monotonic() < until:
            time.sleep(0.02)
        return self.requests()


def attributes(of):
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in of.attributes}
