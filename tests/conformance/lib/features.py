"""What the server says it has: a case is skipped when something that it needs is not there.

Most names are the extensions of the server's metadata. The others have no name of their own in the
protocol and are found out by asking:

  compression    a gzip request is answered by anything but 415 or 501, the ways to say "not here"
  versions       the metadata of oip_versions lists 1 and 2
  stream         ModelStreamInfer is not UNIMPLEMENTED
  raw_answers    a request with typed contents is answered with raw_output_contents, as by Triton
  model:NAME     this model of the repository is ready

A leading ! turns the need around.
"""

from . import wire

INPUT = {"name": "INPUT0", "shape": [1, 1], "datatype": "FP32"}
SMALL = {"model": "oip_identity_fp32", "json": {"inputs": [{**INPUT, "data": [1]}]}}
TYPED = {
    "model_name": "oip_identity_fp32",
    "inputs": [{**INPUT, "contents": {"fp32_contents": [1]}}],
}
PATIENCE = 10


class Features:
    """Asked once each, of REST if it is there, else of gRPC."""

    def __init__(self, http_address, client):
        self.address = http_address
        self.client = client
        self.known = {}
        self.extensions = self.ask("/v2", "ServerMetadata", {}).get("extensions", [])

    def ask(self, path, method, request):
        """The JSON of a GET, or the answer of a gRPC call, or {} where there is none."""
        if not self.address:
            code, _, answers = self.client.call({"method": method, "request": request}, PATIENCE)
            return answers[0] if code == "OK" else {}
        answer = wire.exchange(self.address, wire.Request({"path": path}), PATIENCE)
        try:
            document = answer.json_and_rest()[0] if answer.status == 200 else {}
        except ValueError:
            return {}
        return document if isinstance(document, dict) else {}

    def missing(self, needs):
        """The first of these names that the server does not have, or None."""
        return next((name for name in needs if not self.has(name)), None)

    def has(self, name):
        if name not in self.known:
            self.known[name] = self.find_out(name)
        return self.known[name]

    def find_out(self, name):
        if name.startswith("!"):
            return not self.has(name[1:])
        if name == "compression":
            return self.takes_gzip()
        if name == "versions":
            metadata = self.ask(
                "/v2/models/oip_versions", "ModelMetadata", {"name": "oip_versions"}
            )
            return {"1", "2"} <= set(metadata.get("versions", []))
        if name == "stream":
            return self.streams()
        if name == "raw_answers":
            return self.answers_raw()
        if name.startswith("model:"):
            return self.is_ready(name[len("model:"):])
        return name in self.extensions

    def takes_gzip(self):
        request = wire.Request({**SMALL, "encoding": "gzip"})
        return wire.exchange(self.address, request, PATIENCE).status not in (415, 501)

    def streams(self):
        code, _, _ = self.client.call({"method": "ModelStreamInfer", "stream": []}, PATIENCE)
        return code != "UNIMPLEMENTED"

    def answers_raw(self):
        code, _, answers = self.client.call({"method": "ModelInfer", "request": TYPED}, PATIENCE)
        return code == "OK" and bool(answers[0]["raw_output_contents"])

    def is_ready(self, model):
        if not self.address:
            return self.ask("", "ModelReady", {"name": model}).get("ready", False)
        request = wire.Request({"path": f"/v2/models/{model}/ready"})
        return wire.exchange(self.address, request, PATIENCE).status == 200

