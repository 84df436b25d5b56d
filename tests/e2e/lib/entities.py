"""A model that fetches its features, and who asks it."""

import http.client
import json
import urllib.parse

from . import oip, tiny_onnx
from .folder import Folder


class Entities(Folder):
    """Model m takes [age, income] and answers age + 1000; `features` goes into its model.yaml.
    `patient`: where it names no timeout, one that a busy machine keeps too, not the 50 ms of the
    server."""

    def __init__(self, features, *extra, stores="", versions=1, more="", patient=True):
        super().__init__()
        self.patient = patient
        for number in range(1, versions + 1):
            self.put("m", f"v{number}", tiny_onnx.model(1000 * number))
        self.put("plain", "v1", tiny_onnx.model(0))  # is ready, whatever becomes of m
        self.features(features, more)
        self.config = self.path.parent / "sluice.yaml"
        self.config.write_text(stores or "poll: 200ms\n")
        self.extra = extra
        self.serve()

    def features(self, text, more=""):
        if self.patient and "timeout:" not in text:
            text = text.strip() + "\ntimeout: 20s"
        indented = "".join(f"  {line}\n" for line in text.strip().splitlines())
        self.yaml("m", f"features:\n{indented}{more}")

    def serve(self, *extra):
        super().serve("--config", str(self.config), "--poll", "200ms", *self.extra, *extra)
        self.rest = oip.Rest(self.server)
        return self.server

    def predict(self, entity=None, path="/models/m/predict", headers=None, **more):
        """(status, answer)."""
        body = dict(more) if entity is None else {"entity_id": entity, **more}
        try:
            return 200, json.loads(self.rest.call("POST", path, body,
                                                  {"Content-Type": "application/json",
                                                   **(headers or {})})[1])
        except oip.RestError as error:
            return error.status, json.loads(error.text)

    def used(self, entity, **more):
        """What the model saw, or (status, code)."""
        status, answer = self.predict(entity, **more)
        return answer["features_used"] if status == 200 else (status, answer["error"]["code"])

    def control(self, path):
        """(status, answer) of the management listener."""
        connection = http.client.HTTPConnection(self.server.management, timeout=20)
        try:
            connection.request("GET", urllib.parse.quote(path, safe="/=,?&%"))
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def metric(self, start):
        text = self.rest.call("GET", "/metrics")[1].decode()
        found = [line for line in text.splitlines() if line.startswith(start)]
        return float(found[0].rsplit(" ", 1)[1]) if found else None
