"""Manifests as Kubernetes' own models see them (lib/kubernetes.js), and Helm charts rendered as Helm
does (lib/helm_render.go)."""

import copy
import functools
import json
import os
import subprocess
import tempfile
from pathlib import Path

import jsonschema
import yaml

from .server import ROOT

MODULES = ROOT / ".deps/clients/node_modules"
LIB = Path(__file__).parent


class NoDuplicates(yaml.SafeLoader):
    """Of a key that is there twice YAML's reader takes the last; Kubernetes may take the first."""

    def construct_mapping(self, node, deep=False):
        # After merge keys, which may be overridden: only what stands there itself is looked at.
        seen = [key.value for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        for key in seen:
            if seen.count(key) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"key {key} is there twice",
                                                        node.start_mark)
        return super().construct_mapping(node, deep)


def documents(text):
    return [each for each in yaml.load_all(text, NoDuplicates) if each is not None]


def problems(values, types=None):
    """A list of errors for each document; `types` are the models' names, else apiVersion and kind."""
    asked = [{"type": kind, "value": value}
             for value, kind in zip(values, types or [None] * len(values))]
    done = subprocess.run(["node", str(LIB / "kubernetes.js"), str(MODULES)], text=True, timeout=60,
                          input=json.dumps(asked), capture_output=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout)


@functools.lru_cache(maxsize=None)
def renderer():
    """Compiled from Debian's packages of Go, without modules from elsewhere."""
    scratch = Path(tempfile.mkdtemp(prefix="e2e-helm-"))
    program = scratch / "render"
    subprocess.run(["go", "build", "-o", str(program), str(LIB / "helm_render.go")], check=True,
                   env={**os.environ, "GO111MODULE": "off", "GOPATH": "/usr/share/gocode",
                        "GOFLAGS": "", "GOCACHE": str(ROOT / "build/go-cache")})
    return program


def merged(base, change):
    """As Helm lays one file of values over another: mappings key by key, all else as a whole."""
    out = copy.deepcopy(base)
    for key, value in change.items():
        if isinstance(value, dict) and isinstance(out.get(key), dict):
            out[key] = merged(out[key], value)
        else:
            out[key] = value
    return out


class Chart:
    def __init__(self, folder):
        self.folder = folder
        self.about = yaml.safe_load((folder / "Chart.yaml").read_text())
        self.values = yaml.safe_load((folder / "values.yaml").read_text())
        self.schema = json.loads((folder / "values.schema.json").read_text())

    def render(self, change=None, name="sluice", namespace="sluice"):
        """The documents by (kind, name). Raises jsonschema.ValidationError for values that the chart's
        schema refuses, and RuntimeError for what templates refuse."""
        values = merged(self.values, change or {})
        jsonschema.validate(values, self.schema)
        about = {key[0].upper() + key[1:]: value for key, value in self.about.items()}
        templates = {path.name: path.read_text() for path in (self.folder / "templates").iterdir()}
        done = subprocess.run(
            [str(renderer())], text=True, capture_output=True, check=False, timeout=60,
            input=json.dumps({"values": values, "chart": about, "templates": templates,
                              "release": {"Name": name, "Namespace": namespace,
                                          "Service": "Helm"}}))
        if done.returncode != 0:
            raise RuntimeError(done.stderr)
        out = {}
        for file, text in json.loads(done.stdout).items():
            if file.endswith(".yaml"):
                for document in documents(text):
                    out[document["kind"], document["metadata"]["name"]] = document
        return out
