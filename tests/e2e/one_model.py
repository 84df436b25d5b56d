#!/usr/bin/python3
# takes: 20 s
"""Commands that work with one model, which a web server has: its size, the cache, and what is wrong."""

import contextlib
import hashlib
import http.server
import json
import subprocess
import tempfile
import threading
from pathlib import Path

from lib.server import BINARY, ROOT, Report, environment

MODEL = ROOT / "tests/models/multi_output_regression.onnx"
ROW = ["--data", "[1, 2]", "--json"]


class Web(http.server.SimpleHTTPRequestHandler):
    broken = False  # it says what it has, and gives none of it

    def do_GET(self):
        if Web.broken and self.path.endswith(".onnx"):
            return self.send_error(503)
        return super().do_GET()

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def web(folder):
    """The address of a server for what is in a folder."""
    def handler(*arguments):
        return Web(*arguments, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def ran(cache, *words, **variables):
    """(exit code, stdout, stderr)"""
    done = subprocess.run([str(BINARY), *words], capture_output=True, text=True, timeout=120,
                          stdin=subprocess.DEVNULL,
                          env={**environment(), "XDG_CACHE_HOME": str(cache), **variables})
    return done.returncode, done.stdout, done.stderr


def two_models(folder):
    for name in ("fraud", "churn"):
        file = Path(folder, name, "v1", "model.onnx")
        file.parent.mkdir(parents=True)
        file.write_bytes(MODEL.read_bytes())
    digest = hashlib.sha256(MODEL.read_bytes()).hexdigest()
    Path(folder, "manifest.sha256").write_text("".join(
        f"{digest}  {name}/v1/model.onnx\n" for name in ("churn", "fraud")))


def main(report):
    Web.broken = False
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as scratch:
        two_models(folder)
        with web(folder) as address:
            url = address + "/fraud/v1/model.onnx"
            size = MODEL.stat().st_size
            for name, what in (("a URL", url), ("a directory", Path(folder, "fraud"))):
                code, out, err = ran(Path(scratch, "a"), "inspect", str(what), "--json")
                report.check(f"inspect {name}", code == 0, err)
                report.equal(f"inspect {name}: its size", json.loads(out).get("bytes"), size)
            several(report, scratch, address)
            caches(report, scratch, url)
            Web.broken = True
            for words in (["predict", url, *ROW], ["inspect", url]):
                code, _, err = ran(Path(scratch, "b"), *words)
                report.equal(f"{words[0]} of a store that fails: exit code", code, 69)
                report.check(f"{words[0]} of a store that fails: says so", "503" in err, err)


def several(report, scratch, address):
    code, _, err = ran(Path(scratch, "a"), "inspect", address + "/")
    report.equal("several models: exit code", code, 64)
    report.check("several models: what to name", "churn" in err and "model.onnx" in err, err)


def caches(report, scratch, url):
    def has(place):
        return any(file.stat().st_size == MODEL.stat().st_size
                   for file in Path(scratch, place).rglob("*.onnx"))
    code, _, err = ran(Path(scratch, "a"), "predict", url, *ROW, "--cache-dir",
                       str(Path(scratch, "flag")))
    report.check("--cache-dir", code == 0 and has("flag"), err)
    code, _, err = ran(Path(scratch, "a"), "inspect", url,
                       SLUICE_CACHE_DIR=str(Path(scratch, "variable")))
    report.check("SLUICE_CACHE_DIR", code == 0 and has("variable"), err)
    code, _, err = ran(Path(scratch, "c"), "predict", url, *ROW, "--cache-size", "1B")
    report.check("--cache-size", code != 0 and "--cache-size" in err, (code, err))


if __name__ == "__main__":
    Report("one_model").run(main)
