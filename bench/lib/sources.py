"""The group `sources`: how fast a large model comes from a store on loopback, beside curl.

Each round fetches the same object with `curl -o`, and serves it with an empty cache; what counts is
the time from the start of the process to /ready, and, beside it, the download alone, as the
server's log says it. From s3rver, which is the S3 server that the tests use: an object that was
uploaded in parts, as the AWS CLI does with all above 8 MB; one that was put in one piece and has a
checksum beside its ETag, as every object at Amazon since December 2024; and one without, as older
ones and other stores have them, of which nothing is known but one MD5. And from nginx, which is much
faster, so that it shows what the other hides.
"""
import base64
import hashlib
import http.client
import json
import mmap
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from . import report
from .crc64 import crc64nvme
from .servers import BENCH, BenchError, Server, need

BUCKET = "models"
NAMES = {"parts": "s3rver, in parts", "told": "s3rver, in one piece, with its CRC-64",
         "piece": "s3rver, in one piece, one MD5", "web": "nginx"}
# Each in a folder of its own: a model's file comes with what lies beside it.
FILES = {store: f"{store}/large.onnx" for store in NAMES}
PART = 8 << 20  # the AWS CLI's
# Anonymous, and nothing of this machine's configuration.
ENV = {"HOME": "/nonexistent", "AWS_EC2_METADATA_DISABLED": "true"}
DONE = re.compile(r"downloaded and checked, .* in ([0-9]+) ms")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


class Stores:
    """The file, and both servers that have it."""

    def __init__(self, site, size, stack):
        self.site = site
        root = Path(site.temp, "stores", BUCKET)
        # s3rver keeps an object in a file of such a name; nginx serves the same bytes by another.
        file = root / (FILES["piece"] + "._S3rver_object")
        web = root / FILES["web"]
        told = root / (FILES["told"] + "._S3rver_object")
        for folder in (file.parent, web.parent, told.parent):
            folder.mkdir(parents=True)
        subprocess.run([sys.executable, BENCH / "peers/make_large.py", file, str(size)], check=True)
        web.hardlink_to(file)
        told.hardlink_to(file)
        self.size = file.stat().st_size
        with open(file, "rb") as bytes_, mmap.mmap(bytes_.fileno(), 0, prot=mmap.PROT_READ) as all_:
            self.sha256 = hashlib.sha256(all_).hexdigest()
            crc = crc64nvme(all_).to_bytes(8, "big")
        # What s3rver keeps of an object's headers, and answers with.
        root.joinpath(FILES["told"] + "._S3rver_metadata.json").write_text(json.dumps({
            "x-amz-checksum-crc64nvme": base64.b64encode(crc).decode(),
            "x-amz-checksum-type": "FULL_OBJECT"}))
        modules = need(site.root / ".deps/clients/node_modules/@20minutes/s3rver",
                       "./dev setup fetches it").parent.parent
        s3 = Server("s3rver", ["node", site.root / "tests/e2e/lib/s3rver.js", modules, root.parent,
                               BUCKET], site.temp, env={"S3RVER_PORT": str(port := free_port())},
                    port=port)
        stack.callback(s3.stop)
        self.servers = dict.fromkeys(NAMES, s3)
        self.ports = dict.fromkeys(NAMES, port) | {"web": free_port()}
        self.upload(file, port)
        text = (BENCH / "limits/nginx_files.conf.in").read_text()
        Path(site.temp, "files.conf").write_text(
            text.replace("@PORT@", str(self.ports["web"])).replace("@ROOT@", str(root.parent)))
        nginx = Server("nginx for files", ["nginx", "-p", f"{site.temp}/", "-c", "files.conf", "-e",
                                           "stderr"], site.temp, port=self.ports["web"])
        stack.callback(nginx.stop)
        self.servers["web"] = nginx

    def upload(self, file, port):
        """In parts, by S3's three calls."""
        place = f"/{BUCKET}/{FILES['parts']}"
        store = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

        def ask(method, query, body=None):
            store.request(method, place + query, body)
            answer = store.getresponse()
            text = answer.read().decode()
            if answer.status != 200:
                raise BenchError(f"s3rver refuses an upload in parts: {answer.status}")
            return answer.headers["ETag"], text

        upload = re.search("<UploadId>(.+?)</UploadId>", ask("POST", "?uploads")[1])[1]
        parts = ""
        with open(file, "rb") as bytes_:
            for number, part in enumerate(iter(lambda: bytes_.read(PART), b""), 1):
                etag, _ = ask("PUT", f"?partNumber={number}&uploadId={upload}", part)
                parts += f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"
        ask("POST", f"?uploadId={upload}",
            f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>")

    def object_url(self, store):
        return f"http://127.0.0.1:{self.ports[store]}/{BUCKET}/{FILES[store]}"

    def model_url(self, store):
        if store != "web":
            return f"s3://{BUCKET}/{FILES[store]}"
        return f"{self.object_url(store)}#sha256={self.sha256}"

    def curl(self, store):
        """Seconds."""
        out = Path(self.site.temp, "curled")
        began = time.monotonic()
        subprocess.run(["curl", "--fail", "--silent", "--show-error", "-o", out,
                        self.object_url(store)], check=True)
        took = time.monotonic() - began
        if out.stat().st_size != self.size:
            raise BenchError("curl got another size than the file's")
        out.unlink()
        return took

    def sluice(self, store):
        """Seconds to ready, of the download, and of the processors: this store's, and Sluice's."""
        cache = Path(self.site.temp, "cache")
        env = {**ENV, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.ports['parts']}"}
        before = self.servers[store].cpu_seconds()
        began = time.monotonic()
        server = self.site.serve(f"sluice from {store}", self.model_url(store), "--cache-dir",
                                 cache, env=env)
        took = time.monotonic() - began
        processors = {"store": self.servers[store].cpu_seconds() - before,
                      "own": server.cpu_seconds()}
        server.stop()
        shutil.rmtree(cache)
        said = DONE.search(server.log.read_text())
        return {"ready": took, "download": int(said[1]) / 1000 if said else took, **processors}


def measure(site, rounds, size, say, stack):
    stores, out = Stores(site, size, stack), Sources(size)
    for store in NAMES:
        stores.curl(store)  # warm-up: the file is in memory, and s3rver knows its digest
    for number in range(1, rounds + 1):
        for store, name in NAMES.items():
            curl = stores.curl(store)
            ours = stores.sluice(store)
            say(f"round {number}/{rounds}  {name}: curl {curl:.2f} s, Sluice downloads in "
                f"{ours['download']:.2f} s and is ready after {ours['ready']:.2f} s")
            out.rounds.setdefault(store, []).append({"curl": curl, **ours})
    return out


class Sources:
    """Seconds of each round: {store: [{curl, download, ready, store, own}]}; the last two are of the
    processors, while Sluice becomes ready."""

    def __init__(self, size):
        self.size, self.rounds = size, {}

    def table(self):
        lines = [("", "curl s", "download and check s", "to ready s", "curl MB/s", "download MB/s",
                  "CPU s of the store", "of Sluice")]
        for store, rounds in self.rounds.items():
            cell = {key: median(one[key] for one in rounds) for key in rounds[0]}
            rates = [f"{self.size / 1e6 / cell[key]:,.0f}" for key in ("curl", "download")]
            seconds = {key: f"{value:.2f}" for key, value in cell.items()}
            lines.append((NAMES[store], seconds["curl"], seconds["download"], seconds["ready"],
                          *rates, seconds["store"], seconds["own"]))
        return (f"A model of {self.size / 1e9:.2f} GB from a store on loopback, an empty cache\n" +
                report.aligned(lines))

    def cells(self):
        return [{"store": NAMES[store], "bytes": self.size, "rounds": rounds}
                for store, rounds in self.rounds.items()]

    def reach(self):
        for store, rounds in self.rounds.items():
            for key, what in (("ready", "to ready"), ("download", "downloaded and checked")):
                yield report.entry(f"sources, from {NAMES[store]}, {what}, of curl's rate",
                                   [one["curl"] / one[key] for one in rounds], report.AT_LEAST,
                                   0.8, "")
