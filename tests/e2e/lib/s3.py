"""A real S3 server (npm's s3rver, which checks signatures), and what is put into it."""

import datetime
import hashlib
import hmac
import http.client
import os
import shutil
import subprocess
import tempfile
import urllib.parse
from pathlib import Path

from .ports import free_port
from .server import ROOT

MODULES = ROOT / ".deps/clients/node_modules"
BUCKET = "models"
KEY, SECRET = "S3RVER", "S3RVER"  # s3rver's own
# Nothing of the machine that the test runs on may answer.
NO_AWS = {"HOME": "/nonexistent", "AWS_EC2_METADATA_DISABLED": "true", "AWS_REGION": "us-east-1"}


def signed(method, host, path, body):
    """The headers of a request without a query, by Signature Version 4."""
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    digest = hashlib.sha256(body).hexdigest()
    scope = f"{now[:8]}/us-east-1/s3/aws4_request"
    names = "host;x-amz-content-sha256;x-amz-date"
    canonical = "\n".join([method, path, "", f"host:{host}", f"x-amz-content-sha256:{digest}",
                           f"x-amz-date:{now}", "", names, digest])
    text = "\n".join(["AWS4-HMAC-SHA256", now, scope,
                      hashlib.sha256(canonical.encode()).hexdigest()])
    key = ("AWS4" + SECRET).encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), "sha256").digest()
    signature = hmac.new(key, text.encode(), "sha256").hexdigest()
    return {"x-amz-date": now, "x-amz-content-sha256": digest, "Authorization":
            f"AWS4-HMAC-SHA256 Credential={KEY}/{scope},SignedHeaders={names},"
            f"Signature={signature}"}


class S3:
    """`with S3() as s3:` is an empty bucket. `stop` and `start` are the store's absence."""

    def __init__(self):
        self.scratch = tempfile.TemporaryDirectory(prefix="e2e-s3-")
        self.port, self.process = free_port(), None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()
        self.scratch.cleanup()

    def start(self):
        self.process = subprocess.Popen(
            # Its tokens of the next page are DES.
            ["node", "--openssl-legacy-provider", str(ROOT / "tests/e2e/lib/s3rver.js"),
             str(MODULES), self.scratch.name, BUCKET],
            stdout=subprocess.PIPE, stdin=subprocess.DEVNULL,
            env={**os.environ, "S3RVER_PORT": str(self.port)})
        words = self.process.stdout.readline().split()
        if len(words) != 2:
            raise RuntimeError("s3rver does not start; has ./dev setup run?")

    def stop(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()
        self.process = None

    def call(self, method, key, body=b"", headers=None):
        host, path = f"127.0.0.1:{self.port}", f"/{BUCKET}/{urllib.parse.quote(key)}"
        connection = http.client.HTTPConnection(host, timeout=30)
        try:
            connection.request(method, path, body,
                               signed(method, host, path, body) | (headers or {}))
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {key}: {answer.status} {text[:300]!r}")

    def put(self, key, body, says=None):
        """`says`: headers with which the store answers for it, of those in s3rver.js."""
        self.call("PUT", key, body, says)

    def delete(self, key):
        self.call("DELETE", key)

    def get(self, key):
        """None where there is no such object."""
        file = Path(self.scratch.name, BUCKET, key + "._S3rver_object")
        return file.read_bytes() if file.exists() else None

    def keys(self):
        root = Path(self.scratch.name, BUCKET)
        return sorted(str(file.relative_to(root)).removesuffix("._S3rver_object")
                      for file in root.rglob("*._S3rver_object"))

    def clear(self):
        """As a new one."""
        folder = Path(self.scratch.name, BUCKET)
        shutil.rmtree(folder)
        folder.mkdir()

    def uploads(self):
        """Uploads in parts that are under way, or were left behind."""
        folder = Path(self.scratch.name, BUCKET, "._S3rver_uploads")
        return sorted(child.name for child in folder.iterdir()) if folder.exists() else []

    def fill(self, prefix, count):
        """So many small objects, straight into its directory."""
        folder = Path(self.scratch.name, BUCKET, prefix)
        folder.mkdir(parents=True)
        for number in range(count):
            name = f"part-{number:06}.csv._S3rver_object"
            folder.joinpath(name).touch()
            folder.joinpath(name + ".md5").write_text(hashlib.md5(b"").hexdigest())

    def env(self, port=None, key=KEY, secret=SECRET):
        """Of a server that reads from here, through the proxy at `port` where there is one."""
        keys = {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret} if key else {}
        return {**NO_AWS, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port or self.port}", **keys}
