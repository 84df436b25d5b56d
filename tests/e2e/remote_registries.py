#!/usr/bin/python3
"""Models from an MLflow registry, Google's store and web servers. None of the real ones can be had
here: MLflow's and Google's answers are of the shapes that their documentation records, and whoever
asks without the right token is refused."""

import base64
import hashlib
import json
import subprocess
import tempfile
import time
import urllib.parse
from pathlib import Path

from lib import tiny_onnx
from lib.faults import Web, reply
from lib.folder import Asking, nobody_failed
from lib.remote import Remote
from lib.s3 import BUCKET, NO_AWS, S3
from lib.server import Report

MLMODEL = """artifact_path: model
flavors:
  onnx:
    data: model.onnx
    onnx_version: 1.15.0
    providers: [CPUExecutionProvider]
  python_function:
    data: model.onnx
    loader_module: mlflow.onnx
mlflow_version: 2.9.2
model_uuid: 6a5e
"""


def query_of(handler):
    url = urllib.parse.urlsplit(handler.path)
    return url.path, {k: v[0] for k, v in urllib.parse.parse_qs(url.query).items()}


# ---- MLflow ----


class Mlflow(Web):
    """One registered model `m`; versions have files: {name: bytes}."""

    def __init__(self):
        super().__init__(self.answer)
        self.versions = {}  # number: (stage, {path: bytes}, artifact_uri)
        self.aliases = {}
        self.token = "Bearer mlflow-token"
        self.html = False
        self.hangs = False
        self.html_files = False  # a login page in place of each file
        self.login = False  # sends everybody there
        self.name = "m"
        self.status, self.made = {}, {}  # by number

    def add(self, number, code, stage="None", uri=None, **more):
        self.made[number] = self.made.get(number, 0) + 1
        self.versions[number] = (stage, {
            "MLmodel": MLMODEL.encode(), "model.onnx": tiny_onnx.model(code, **more),
            "input_example.json": b"[[1, 2]]", "requirements.txt": b"mlflow\n",
            "metadata/MLmodel": MLMODEL.encode()},
            uri or f"mlflow-artifacts:/1/run{number}/artifacts/model")

    def env(self):
        return {**NO_AWS, "MLFLOW_TRACKING_URI": self.url, "MLFLOW_TRACKING_TOKEN": "mlflow-token"}

    def described(self, number):
        stage = self.versions[number][0]
        return {"name": self.name, "version": str(number),
                "creation_timestamp": 1700000000000 + self.made[number],
                "current_stage": stage, "status": self.status.get(number, "READY"),
                "run_id": f"run{number}",
                "source": f"mlflow-artifacts:/1/run{number}/artifacts/model"}

    def answer(self, handler):
        if self.hangs:
            return time.sleep(60)
        if self.login:
            return reply(handler, b"", 302, location="https://login.invalid/?state=hidden")
        if self.html:
            return reply(handler, b"<!doctype html><html>Sign in</html>", kind="text/html")
        if handler.headers.get("Authorization") != self.token:
            return reply(handler, b"{}", 401, "application/json")
        path, query = query_of(handler)
        artifacts = "/api/2.0/mlflow-artifacts/artifacts"
        if path.startswith(artifacts):
            return self.artifacts(handler, path.removeprefix(artifacts).strip("/"), query)
        found = self.registry(path.removeprefix("/api/2.0/mlflow/"), query)
        if found is None:
            # As MLflow 2 and 3 do.
            status, word = 404, "RESOURCE_DOES_NOT_EXIST"
            if path.endswith("/alias") and query.get("name") == self.name:
                status, word = 400, "INVALID_PARAMETER_VALUE"
            return reply(handler, json.dumps({"error_code": word, "message": "not found"}).encode(),
                         status, "application/json")
        reply(handler, json.dumps(found).encode(), kind="application/json")

    def registry(self, call, query):
        if call == "model-versions/search":
            if query["filter"] != f"name='{self.name}'":
                return {}
            return {"model_versions": [self.described(n) for n in sorted(self.versions)]}
        if query.get("name") != self.name:
            return None
        if call == "registered-models/alias":
            number = self.aliases.get(query["alias"])
            return number and {"model_version": self.described(number)}
        number = int(query["version"])
        if call == "model-versions/get-download-uri" and number in self.versions:
            return {"artifact_uri": self.versions[number][2]}
        if call == "model-versions/get" and number in self.versions:
            return {"model_version": self.described(number)}
        return None

    def artifacts(self, handler, path, query):
        root = path or query.get("path", "")
        number = int(root.split("/")[1].removeprefix("run"))
        files = self.versions[number][1]
        below = root.removeprefix(f"1/run{number}/artifacts/model").strip("/")
        if path and self.html_files:
            return reply(handler, b"<!doctype html>" + b"Sign in " * 200, kind="text/html")
        if path:
            return reply(handler, files[below])
        listed = {}
        for name, data in files.items():
            if not name.startswith(below):
                continue
            rest = name.removeprefix(below).strip("/")
            first = rest.split("/")[0]
            listed[first] = ({"path": first, "is_dir": True} if "/" in rest else
                             {"path": first, "is_dir": False, "file_size": len(data)})
        reply(handler, json.dumps({"files": list(listed.values())}).encode(),
              kind="application/json")


def mlflow(report):
    with Mlflow() as registry:
        registry.add(1, 1001, "Archived")
        registry.add(2, 2001, "Production")
        registry.add(10, 10001, ballast=20 << 20)
        registry.aliases = {"champion": 1}
        for url, version, code in (("mlflow://m", "10", 10001), ("mlflow://m/2", "2", 2001),
                                   ("mlflow://m/Production", "2", 2001)):
            with Remote(url, registry.env()) as remote:
                remote.serve()
                report.equal(url, remote.ask(), (200, version, code))
        with Remote("mlflow://m@champion", registry.env()) as remote:
            remote.serve()
            report.equal("an alias", remote.ask(), (200, "1", 1001))
            with Asking(remote) as asking:
                registry.aliases["champion"] = 10
                remote.serves(report, "moves, and the server follows", "10", 10001)
                registry.html = True
                remote.says(report, "a registry that answers HTML is said", "warn", "web page")
                report.equal("and changes nothing", remote.ask(), (200, "10", 10001))
                registry.html = False
                registry.aliases["champion"] = 2
                remote.serves(report, "until it is itself again", "2", 2001)
            nobody_failed(report, "an alias that moves", asking)
            registry.html = True
            remote.serve()
            report.equal("a start while it answers HTML", remote.ask(), (200, "2", 2001))
            registry.html, registry.login = False, True
            remote.serve()
            report.equal("a start while it wants a login", remote.ask(), (200, "2", 2001))
            report.check("says so", remote.log_lines("a redirect, to a login page perhaps") and
                         remote.log_lines("serving what the cache has") and
                         not remote.log_lines("invalid"), remote.server.stderr())
            registry.login = False


def mlflow_changes(report):
    """What a registry does beside moving an alias."""
    with Mlflow() as registry:
        registry.add(1, 1001)
        with Remote("mlflow://m", registry.env()) as remote:
            remote.serve()
            report.equal("a version", remote.ask(), (200, "1", 1001))
            registry.add(1, 1002)
            remote.serves(report, "the same number, made again", "1", 1002)
            remote.serve()
            report.equal("also in the cache", remote.ask(), (200, "1", 1002))
            registry.add(2, 2001)
            registry.status[2] = "PENDING_REGISTRATION"
            remote.url = "mlflow://m@champion"
            registry.aliases = {"champion": 1}
            remote.serve()
            registry.aliases = {"champion": 2}
            remote.says(report, "one that is pending is said", "warn", "PENDING_REGISTRATION")
            report.equal("and not served", remote.ask(), (200, "1", 1002))
            registry.status[2] = "READY"
            remote.serves(report, "until it is ready", "2", 2001)
            registry.aliases = {}
            remote.says(report, "an alias that is deleted is said", "warn", "'champion'")
            report.equal("and changes nothing", remote.ask(), (200, "2", 2001))
    with Mlflow() as registry:
        registry.add(1, 1001)
        registry.html_files = True
        with Remote("mlflow://m", registry.env()) as remote:
            code, text = remote.refusal()
            report.check("MLmodel is a web page", code == 69 and "web page" in text, (code, text))
            registry.html_files = False
            remote.serve()
            report.equal("until it is none", remote.ask(), (200, "1", 1001))
    with Mlflow() as registry:
        registry.name = "My Model"
        registry.add(1, 1001)
        files = registry.versions[1][1]
        files["manifest.sha256"] = "".join(
            f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in files.items()).encode()
        with Remote("mlflow://My%20Model", registry.env()) as remote:
            code, text = remote.refusal()
            report.check("a name that is none here", code == 65 and "--model-name" in text,
                         (code, text))
            remote.serve("--model-name", "m")
            report.equal("under another", remote.ask(), (200, "1", 1001))
            report.check("checked by its manifest", not remote.log_lines("warn"),
                         remote.server.stderr())


def mlflow_hangs(report):
    with Mlflow() as registry:
        registry.add(1, 1001)
        with Remote("mlflow://m", registry.env()) as remote:
            server = remote.serve()
            registry.hangs = True
            time.sleep(1)
            server.signal()
            report.equal("SIGTERM does not wait for it", server.wait(10), 0)
            server = remote.serve(wait=False)
            remote.says(report, "a start says what it waits for", "waiting for the MLflow server")
            server.signal()
            report.check("and ends", server.wait(15) is not None, server.stderr()[-500:])


def mlflow_refusals(report):
    with Mlflow() as registry:
        registry.add(1, 1001)
        registry.add(2, 2001, uri="/home/somebody/mlruns/1/abc/artifacts/model")
        cases = {
            "another token": ("mlflow://m", {"MLFLOW_TRACKING_TOKEN": "x"}, 65, "credentials"),
            "no such model": ("mlflow://nobody", {}, 66, "nobody"),
            "no such version": ("mlflow://m/7", {}, 66, "version 7"),
            "no such stage": ("mlflow://m/Staging", {}, 66, "Staging"),
            "no such alias": ("mlflow://m@x", {}, 66, "'x'"),
            "files on the server's own disk": ("mlflow://m/2", {}, 65, "--serve-artifacts"),
            "no server named": ("mlflow://m", {"MLFLOW_TRACKING_URI": ""}, 65,
                                "MLFLOW_TRACKING_URI"),
        }
        for what, (url, env, code, word) in cases.items():
            with Remote(url, {**registry.env(), **env}) as remote:
                got, text = remote.refusal()
                report.check(what, got == code and word in text and "somebody" not in text,
                             (got, text))
        registry.html = True
        with Remote("mlflow://m/1", registry.env()) as remote:
            code, text = remote.refusal()
            report.check("HTML", code == 69 and "web page" in text, (code, text))


def mlflow_on_s3(report):
    with S3() as s3, Mlflow() as registry:
        for name, data in (("MLmodel", MLMODEL.encode()), ("model.onnx", tiny_onnx.model(7))):
            s3.put(f"runs/1/model/{name}", data)
        registry.add(3, 0, uri=f"s3://{BUCKET}/runs/1/model")
        with Remote("mlflow://m", {**s3.env(), **registry.env(),
                                   "AWS_ENDPOINT_URL": s3.env()["AWS_ENDPOINT_URL"]}) as remote:
            remote.serve()
            report.equal("artifacts in S3", remote.ask(), (200, "3", 7))


# ---- Google ----


class Google(Web):
    """Bucket `models`, for whoever has the token; and a token for whoever signs with the key."""

    def __init__(self, public_key=None):
        super().__init__(self.answer)
        self.objects, self.token, self.public_key, self.claims = {}, "google-token", public_key, {}

    def answer(self, handler):
        path, query = query_of(handler)
        if path == "/token":
            return self.exchange(handler)
        if handler.headers.get("Authorization") != f"Bearer {self.token}":
            return reply(handler, b"<Error><Code>AccessDenied</Code></Error>", 403,
                         "application/xml")
        if path == "/models":
            rows = "".join(
                f"<Contents><Key>{key}</Key><Generation>1</Generation>"
                f"<ETag>\"{hashlib.md5(data).hexdigest()}\"</ETag><Size>{len(data)}</Size>"
                f"</Contents>" for key, data in self.objects.items()
                if key.startswith(query["prefix"]))
            return reply(handler, f"<?xml version='1.0' encoding='UTF-8'?><ListBucketResult xmlns="
                         f"'http://doc.s3.amazonaws.com/2006-03-01'><IsTruncated>false"
                         f"</IsTruncated>{rows}</ListBucketResult>".encode(),
                         kind="application/xml")
        data = self.objects.get(urllib.parse.unquote(path.removeprefix("/models/")))
        if data is None:
            return reply(handler, b"", 404)
        reply(handler, data, accept_ranges="bytes", etag=f'"{hashlib.md5(data).hexdigest()}"')

    def exchange(self, handler):
        """Checks the assertion as Google does: openssl knows whether the key signed it."""
        form = urllib.parse.parse_qs(handler.body.decode())
        head, claims, signature = form["assertion"][0].split(".")
        pad = lambda text: base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        self.claims = json.loads(pad(claims))
        with tempfile.NamedTemporaryFile() as file:
            file.write(pad(signature))
            file.flush()
            right = subprocess.run(
                ["openssl", "dgst", "-sha256", "-verify", self.public_key, "-signature", file.name],
                input=f"{head}.{claims}".encode(), capture_output=True).returncode == 0
        if not right:
            return reply(handler, b'{"error":"invalid_grant"}', 400, "application/json")
        reply(handler, json.dumps({"access_token": self.token, "expires_in": 3599,
                                   "token_type": "Bearer"}).encode(), kind="application/json")


def google(report):
    with tempfile.TemporaryDirectory() as scratch:
        key, public = Path(scratch, "key.pem"), Path(scratch, "public.pem")
        subprocess.run(["openssl", "genpkey", "-algorithm", "RSA", "-out", key], check=True,
                       capture_output=True)
        subprocess.run(["openssl", "pkey", "-in", key, "-pubout", "-out", public], check=True)
        with Google(public) as store:
            store.objects = {"prod/m/v1/model.onnx": tiny_onnx.model(1001)}
            account = Path(scratch, "account.json")
            account.write_text(json.dumps({
                "type": "service_account", "client_email": "a@b.iam.gserviceaccount.com",
                "private_key": key.read_text(), "token_uri": store.url + "/token"}))
            base = {"HOME": scratch, "STORAGE_EMULATOR_HOST": store.url,
                    "GCE_METADATA_HOST": "127.0.0.1:1"}
            ways = {"a token": {"GOOGLE_OAUTH_ACCESS_TOKEN": "google-token"},
                    "a service account": {"GOOGLE_APPLICATION_CREDENTIALS": str(account)}}
            for what, env in ways.items():
                with Remote("gs://models/prod", {**base, **env}) as remote:
                    remote.serve()
                    report.equal(what, remote.ask(), (200, "v1", 1001))
                    store.objects["prod/m/v2/model.onnx"] = tiny_onnx.model(2001)
                    remote.serves(report, f"{what}: a new version", "v2", 2001)
                    del store.objects["prod/m/v2/model.onnx"]
            report.equal("the assertion is for reading", store.claims.get("scope"),
                         "https://www.googleapis.com/auth/devstorage.read_only")
            for what, env in (("another token", {"GOOGLE_OAUTH_ACCESS_TOKEN": "x"}), ("none", {})):
                with Remote("gs://models/prod", {**base, **env}) as remote:
                    code, text = remote.refusal()
                    report.check(f"{what} is refused", code == 65 and "credentials" in text,
                                 (code, text))


# ---- Web servers ----


def web(report):
    files, forbidden = {}, set()

    def answer(handler):
        path = query_of(handler)[0]
        data = files.get(path)
        if path in forbidden:
            return reply(handler, b"no", 403, "text/plain")
        if data is None:
            return reply(handler, b"no such page", 404, "text/plain")
        reply(handler, data, etag=f'"{hashlib.sha1(data).hexdigest()}"', accept_ranges="bytes")

    def digest(data):
        return hashlib.sha256(data).hexdigest()

    with Web(answer) as site:
        first, second = tiny_onnx.model(1001, ballast=20 << 20), tiny_onnx.model(2001)
        files["/m.onnx"] = first
        url = f"{site.url}/m.onnx"
        with Remote(f"{url}#sha256={digest(first)}", {}) as remote:
            remote.serve()
            report.equal("a digest in the URL", remote.ask(), (200, "1", 1001))
            report.check("is not warned of", not remote.log_lines("warn"), remote.server.stderr())
        with Remote(f"{url}#sha256={digest(second)}", {}) as remote:
            remote.serve(wait=False)
            remote.says(report, "a wrong digest is said", "m.onnx",
                        f"its URL says {digest(second)}")
            report.check("and not served", remote.ask()[0] in (404, 503), remote.ask())
        with Remote(url, {}) as remote:
            remote.serve()
            report.check("without one: a warning", remote.log_lines("warn", "#sha256") and
                         len(remote.log_lines("warn")) == 1, remote.server.stderr())
        forbidden.add("/m.onnx.sha256")
        with Remote(url, {}) as remote:
            remote.serve()
            report.equal("a bucket that hides what it lacks", remote.ask(), (200, "1", 1001))
        forbidden.clear()
        files["/m.onnx.sha256"] = f"{digest(first)}  m.onnx\n".encode()
        with Remote(url, {}) as remote:
            remote.serve()
            report.equal("a digest beside it", remote.ask(), (200, "1", 1001))
            files["/m.onnx.sha256"] = f"{digest(second)}  m.onnx\n".encode()
            files["/m.onnx"] = second
            remote.serves(report, "and another file with another", "1", 2001)
        files["/f/m/v3/model.onnx"] = first
        with Remote(f"{site.url}/f/m/v3/model.onnx", {}) as remote:
            remote.serve()
            report.equal("a version's file keeps both names", remote.ask(), (200, "v3", 1001))
        files.update({"/repo/m/v1/model.onnx": first, "/repo/m/v2/model.onnx": second,
                      "/repo/m/model.yaml": b"versions: [v1]\n"})
        listed = {name.removeprefix("/repo/"): data for name, data in files.items()
                  if name.startswith("/repo/")}
        files["/repo/manifest.sha256"] = "".join(
            f"{digest(data)}  {name}\n" for name, data in listed.items()).encode()
        with Remote(f"{site.url}/repo/", {}) as remote:
            remote.serve()
            report.equal("a tree with its manifest", remote.ask(), (200, "v1", 1001))
            yaml = b"versions: all\n"
            files["/repo/m/model.yaml"] = yaml
            files["/repo/manifest.sha256"] = files["/repo/manifest.sha256"].replace(
                digest(listed["m/model.yaml"]).encode(), digest(yaml).encode())
            remote.serves(report, "which changes", "v2", 2001)
        for what, url, code, word in (
                ("no manifest", f"{site.url}/", 66, "manifest.sha256"),
                ("no such file", f"{site.url}/x.onnx", 66, "does not have"),
                ("nobody there", "http://127.0.0.1:1/x.onnx", 69, "the web server"),
                ("a short digest", f"{site.url}/m.onnx#sha256=12", 65, "64")):
            with Remote(url, {}) as remote:
                got, text = remote.refusal()
                report.check(what, got == code and word in text, (got, text))


def replaced_meanwhile(report):
    """A web server that knows dates alone, whose file is replaced after its first piece was fetched."""
    first, second = (tiny_onnx.model(code, ballast=60 << 20) for code in (1001, 2001))
    assert len(first) == len(second)
    pieces = []

    def answer(handler):
        if query_of(handler)[0] != "/m.onnx":
            return reply(handler, b"no such page", 404, "text/plain")
        data = second if pieces else first
        day = "Mon, 02 Nov 2026" if pieces else "Sun, 01 Nov 2026"
        if handler.command == "GET":
            pieces.append(handler.headers.get("Range"))
        reply(handler, data, accept_ranges="bytes", last_modified=f"{day} 00:00:00 GMT")

    with Web(answer) as site, Remote(f"{site.url}/m.onnx", {}) as remote:
        remote.serve(wait=False)
        remote.serves(report, "the new one, and no mixture", "1", 2001)
        report.check("it is said", remote.log_lines("has another object by now"),
                     remote.server.stderr())
        report.check("all of it was fetched again", len(pieces) >= 3, pieces)


if __name__ == "__main__":
    Report("remote_registries").run(mlflow, mlflow_changes, mlflow_hangs, mlflow_refusals, mlflow_on_s3, google, web,
                                    replaced_meanwhile)
