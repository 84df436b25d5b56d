#!/usr/bin/python3
# takes: 70 s
"""Models in an S3 bucket: a real server, wrong keys, and all that networks do."""

import base64
import hashlib
import json
import os
import re
import time
import zlib

from lib import tiny_onnx
from lib.faults import FaultProxy, Web, reply
from lib.folder import Asking, nobody_failed, wait_until
from lib.remote import Remote
from lib.s3 import BUCKET, KEY, NO_AWS, S3, SECRET
from lib.server import BINARY, Report, environment

MIB = 1 << 20
URL = f"s3://{BUCKET}/prod"
LARGE = 40 * MIB


def put(s3, model, version, code, **more):
    s3.put(f"prod/{model}/{version}/model.onnx", tiny_onnx.model(code, **more))


def manifest(*files):
    return "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in files).encode()


# ---- Serving ----


def hot_swap(report):
    with S3() as s3:
        put(s3, "m", "v1", 1001)
        s3.put("prod/m/model.yaml", b"warmup: 2\n")
        s3.fill("prod/data", 1100)
        with Remote(URL, s3.env()) as remote:
            remote.serve()
            report.equal("the first version, among 1100 other keys", remote.ask(),
                         (200, "v1", 1001))
            with Asking(remote) as asking:
                put(s3, "m", "v2", 2001)
                remote.serves(report, "an uploaded version takes over", "v2", 2001)
                put(s3, "m", "v2", 2002)
                remote.serves(report, "so does another file of the same version", "v2", 2002)
                s3.delete("prod/m/v2/model.onnx")
                remote.serves(report, "a removed version leaves", "v1", 1001)
            nobody_failed(report, "versions come and go", asking)
            s3.put("prod/m/model.yaml", b"labels: {")
            remote.says(report, "a mistake in model.yaml is said", "error", "model.yaml:1:")
            report.equal("and changes nothing", remote.ask(), (200, "v1", 1001))


def one_file(report):
    with S3() as s3:
        put(s3, "m", "v3", 3001)
        put(s3, "m", "v4", 4001)
        with Remote(URL + "/m/v3/model.onnx", s3.env()) as remote:
            remote.serve()
            report.equal("only the file that was named", remote.ask(), (200, "v3", 3001))
            report.equal("the other is not there", remote.ask(version="v4")[0], 404)
        s3.put("prod/m/v3/model.pt", b"PK")
        with Remote(URL + "/m/v3/model.pt", s3.env()) as remote:
            code, text = remote.refusal()
            report.check("a file of another kind", code == 65 and
                         "'model.pt' is no model file; known endings are" in text, (code, text))


def by_call(report):
    """With explicit control a load sees what the store has then, not what it had before."""
    with S3() as s3:
        put(s3, "m", "v1", 1001)
        with Remote(URL, s3.env()) as remote:
            server = remote.serve("--model-control", "explicit", "--load-model", "*")
            report.equal("loaded at the start", remote.ask(), (200, "v1", 1001))
            put(s3, "m", "v2", 2001)
            connection = server.connection()
            connection.request("POST", "/v2/repository/models/m/load")
            report.equal("a load", connection.getresponse().status, 200)
            connection.close()
            report.equal("has the new version", remote.ask(), (200, "v2", 2001))


def half_uploaded(report):
    with S3() as s3:
        put(s3, "m", "v1", 1001)
        with Remote(URL, s3.env()) as remote:
            remote.serve()
            model, labels = tiny_onnx.model(2001), b"a\nb\n"
            with Asking(remote) as asking:
                s3.put("prod/m/v2/manifest.sha256",
                       manifest(("model.onnx", model), ("labels.txt", labels)))
                s3.put("prod/m/v2/model.onnx", model[:-40])
                time.sleep(1.5)
                report.equal("half of a version does not serve", remote.ask(),
                             (200, "v1", 1001))
                s3.put("prod/m/v2/model.onnx", model)
                time.sleep(1)
                report.equal("nor one of two files", remote.ask(), (200, "v1", 1001))
                s3.put("prod/m/v2/labels.txt", labels)
                remote.serves(report, "all of it does", "v2", 2001)
            nobody_failed(report, "an upload in pieces", asking)


# ---- Who may read ----


def credentials(report):
    def container(handler):
        right = handler.headers.get("Authorization") == "of the container"
        body = {"AccessKeyId": KEY, "SecretAccessKey": SECRET, "Token": "",
                "Expiration": "2099-01-01T00:00:00Z"}
        reply(handler, json.dumps(body).encode() if right else b"", 200 if right else 403,
              "application/json")

    with S3() as s3, Web(container) as web:
        put(s3, "m", "v1", 1001)
        with Remote(URL, s3.env(secret="WRONG-SECRET")) as remote:
            code, text = remote.refusal()
            report.equal("wrong keys end the server at once", code, 65)
            report.check("with a sentence that shows neither key nor address",
                         "credentials" in text and "WRONG" not in text and "127." not in text,
                         text)
            aws = remote.path / "credentials"
            aws.write_text(f"[default]\naws_access_key_id = nobody\naws_secret_access_key = x\n"
                           f"[mine]\naws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\n")
            endpoint = {**NO_AWS, "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{s3.port}"}
            ways = {
                "a profile of the credentials file": {
                    "AWS_SHARED_CREDENTIALS_FILE": str(aws), "AWS_PROFILE": "mine"},
                "the container's credentials": {
                    "AWS_CONTAINER_CREDENTIALS_FULL_URI": web.url + "/keys",
                    "AWS_CONTAINER_AUTHORIZATION_TOKEN": "of the container"},
                "nobody's": {},
            }
            for what, env in ways.items():
                remote.env = {**endpoint, **env}
                remote.serve()
                report.equal(what, remote.ask(), (200, "v1", 1001))


def on_a_terminal(env, *arguments):
    import pty
    import subprocess
    ours, theirs = pty.openpty()
    done = subprocess.run([str(BINARY), *arguments], stdin=theirs, stdout=theirs, stderr=theirs,
                          timeout=60, env=env)
    os.close(theirs)
    text = b""
    try:
        while more := os.read(ours, 65536):
            text += more
    except OSError:
        pass  # the end of a terminal
    os.close(ours)
    return done.returncode, text.decode()


def commands(report):
    import subprocess
    with S3() as s3, Remote(URL, s3.env()) as remote:
        put(s3, "m", "v1", 1001)
        env = {**environment(), **s3.env(), "XDG_CACHE_HOME": str(remote.cache)}

        def run(*arguments):
            done = subprocess.run([str(BINARY), *arguments], capture_output=True, timeout=60,
                                  env=env)
            return done.returncode, done.stdout.decode() + done.stderr.decode()

        code, text = run("predict", URL, "--data", "[0.5, 0]", "--json")
        report.check("predict", code == 0 and json.loads(text)["prediction"] == 1001.5, text)
        s3.stop()
        code, text = run("predict", URL, "--data", "[0.5, 0]")
        report.check("predict from the cache, and says so", code == 0 and "1001.5" in text and
                     "serving what the cache has" in text and "info" not in text, text)
        s3.start()
        code, text = on_a_terminal({**env, "XDG_CACHE_HOME": str(remote.cache / "empty")},
                                   "predict", URL, "--data", "[0.5, 0]")
        report.check("on a terminal it shows the download", code == 0 and "1001.5" in text and
                     "downloaded and checked" in text, text)
        code, text = run("inspect", URL + "/m/v1/model.onnx", "--json")
        report.check("inspect", code == 0 and json.loads(text)["engine"] == "onnx", text)
        code, text = run("predict", "s3://nothing-here", "--data", "[1]")
        report.check("no such bucket", code == 66 and "does not exist" in text, (code, text))
        code, text = run("predict", "ftp://x/y", "--data", "[1]")
        report.check("no such scheme", code == 65 and "s3://" in text, (code, text))


# ---- What goes wrong ----


def faults(report):
    with S3() as s3, FaultProxy(s3.port) as proxy:
        put(s3, "m", "v1", 1001)
        with Remote(URL, s3.env(proxy.port)) as remote:
            proxy.fails = 3
            remote.serve()
            report.equal("a store that is busy at first", remote.ask(), (200, "v1", 1001))
            with Asking(remote) as asking:
                proxy.cuts = 4
                put(s3, "m", "v2", 2001, ballast=LARGE)
                remote.serves(report, "connections that are cut", "v2", 2001)
                report.check("what had come is not fetched again",
                             proxy.poured("v2") < LARGE + 2 * MIB, proxy.poured("v2"))
                report.check("it was cut", any(0 < at % (16 * MIB) for _, at, _ in proxy.log),
                             proxy.log)
                proxy.flips = 1
                put(s3, "m", "v3", 3001, ballast=LARGE)
                remote.serves(report, "a wrong byte is found, and fetched again", "v3", 3001)
                report.check("and said", remote.log_lines("v3", "digest"),
                             remote.server.stderr()[-800:])
                proxy.flips = 10 ** 6
                put(s3, "m", "v4", 4001, ballast=LARGE)
                remote.says(report, "wrong bytes again and again", "v4", "digest")
                report.equal("serve nobody", remote.ask(), (200, "v3", 3001))
                proxy.calm()
                remote.serves(report, "until they are right", "v4", 4001)
            nobody_failed(report, "faults", asking)


def checksums(report):
    """As Amazon says them since 2024, and as it encrypts: the ETag is no digest then."""
    encrypted = {"x-amz-server-side-encryption": "aws:kms"}
    model = tiny_onnx.model(1001)

    def says(data):
        return {"x-amz-checksum-crc32": base64.b64encode(
            zlib.crc32(data).to_bytes(4, "big")).decode(), "x-amz-checksum-type": "FULL_OBJECT"}
    with S3() as s3:
        for name, more in (("bare", {}), ("sound", says(model)), ("wrong", says(model + b"x"))):
            s3.put(f"prod/{name}/v1/model.onnx", model, encrypted | more)
        with Remote(URL, s3.env()) as remote:
            remote.serve(wait=False)
            remote.says(report, "what nobody can check is said", "bare", "nothing is known")
            remote.says(report, "a wrong checksum", "wrong", "digest")
            wait_until(lambda: remote.ask("sound")[0] == 200, 10)
            report.equal("a sound one", remote.ask("sound"), (200, "v1", 1001))
            report.check("and no warning", not remote.log_lines("sound", "nothing is known"),
                         remote.server.stderr()[-800:])
            report.check("the wrong one serves nobody", remote.ask("wrong")[0] in (404, 503),
                         remote.ask("wrong"))


def stalled(report):
    with S3() as s3, FaultProxy(s3.port) as proxy:
        put(s3, "m", "v1", 1001, ballast=LARGE)
        with Remote(URL, s3.env(proxy.port)) as remote:
            proxy.stalls = 1
            proxy.rate = 12 * MIB  # of each connection
            remote.serve(wait=False)
            remote.says(report, "progress is shown", "downloading", " %)", " a second")
            remote.serves(report, "a connection that stands still is given up", "v1", 1001,
                          seconds=40)


def slow(report):
    """Nothing waits for the downloads of others: not what is small, nor what is in the cache."""
    with S3() as s3, FaultProxy(s3.port) as proxy:
        for model in "ab":
            put(s3, model, "v1", 7, ballast=LARGE)
        put(s3, "c", "v1", 1001)
        with Remote(URL, s3.env(proxy.port)) as remote:
            proxy.rate = MIB
            remote.serve(wait=False)
            remote.serves(report, "a small model beside two that are slow", "v1", 1001, model="c")
            put(s3, "c", "v2", 2001)
            remote.serves(report, "and a new version of it", "v2", 2001, model="c")
            report.check("the slow ones still come", proxy.poured("/a/v1") < LARGE and
                         proxy.poured("/b/v1") < LARGE, proxy.log)
            proxy.calm()
            for model in "ab":
                remote.serves(report, f"until they are there: {model}", "v1", 7, model=model)
            remote.stop()
            for model in "ab":
                put(s3, model, "v2", 8, ballast=LARGE)
            proxy.rate = MIB
            remote.serve(wait=False)
            for model, version, code in (("a", "v1", 7), ("b", "v1", 7), ("c", "v2", 2001)):
                remote.serves(report, f"what the cache has beside slow new versions: {model}",
                              version, code, model=model)


def resumed(report):
    with S3() as s3, FaultProxy(s3.port) as proxy:
        put(s3, "m", "v1", 1001, ballast=2 * LARGE)
        with Remote(URL, s3.env(proxy.port)) as remote:
            proxy.rate = 12 * MIB
            remote.serve(wait=False)
            took = wait_until(lambda: proxy.poured("model.onnx") >= 40 * MIB, 30)
            report.check("half of it has come", took is not None, proxy.log)
            remote.stop()
            remote.serve(wait=False)
            time.sleep(0.5)
            remote.server.signal()
            report.equal("SIGTERM ends it while it downloads", remote.server.wait(), 0)
            before, proxy.rate = proxy.poured("model.onnx"), 0
            remote.serve()
            report.equal("after kill -9, SIGTERM and a new start", remote.ask(),
                         (200, "v1", 1001))
            remote.says(report, "it goes on", "goes on after")
            more = proxy.poured("model.onnx") - before
            # Of each of two pieces the last 4 MiB are not noted, and what lies in sockets.
            report.check("and does not begin anew", more <= 2 * LARGE - 20 * MIB, (before, more))


def store_is_down(report):
    with S3() as s3:
        put(s3, "m", "v1", 1001)
        s3.put("prod/m/model.yaml", b"warmup: 2\n")
        with Remote(URL, s3.env()) as remote:
            remote.serve()
            s3.stop()
            remote.says(report, "a store that goes away is said", "warn", "what was listed before")
            report.equal("what runs goes on", remote.ask(), (200, "v1", 1001))
            remote.serve()
            report.equal("a start from the cache", remote.ask(), (200, "v1", 1001))
            report.check("says so", remote.log_lines("warn", "serving what the cache has"),
                         remote.server.stderr())
            s3.start()
            put(s3, "m", "v2", 2001)
            remote.serves(report, "a new version as soon as the store is back", "v2", 2001,
                          seconds=40)
            s3.stop()
            damage(remote.cache)
            remote.serve(wait=False)
            remote.says(report, "a damaged cache is found out", "damaged on this disk")
            took = wait_until(lambda: remote.state("m", "v2") == "failed" or
                              "not in the cache" in remote.reason("m", "v2"), 15)
            report.check("and not served", took is not None, remote.models())
            s3.start()
            remote.serves(report, "but downloaded again", "v2", 2001, seconds=40)
            s3.stop()
        with Remote(URL, s3.env()) as remote:
            code, text = remote.refusal()
            report.check("without store and cache there is nothing, and it says who was asked",
                         code == 69 and "the S3 bucket of AWS_ENDPOINT_URL" in text and
                         f":{s3.port}" not in text and SECRET not in text, (code, text))


def damage(cache):
    for file in cache.rglob("v2/model.onnx"):
        data = bytearray(file.read_bytes())
        data[len(data) // 2] ^= 1
        file.write_bytes(data)


def cache_size(report):
    with S3() as s3:
        for model in "abc":
            put(s3, model, "v1", 7, ballast=8 * MIB)
            s3.put(f"prod/{model}/model.yaml", b"loading: lazy\n")
        with Remote(URL, s3.env()) as remote:
            remote.serve("--cache-size", "20MiB")
            for model in "abc":
                report.equal(f"{model} is served", remote.ask(model), (200, "v1", 7))
            size = sum(file.stat().st_size for file in remote.cache.rglob("*.onnx"))
            held = remote.log_lines("removed from the cache")
            report.check("the cache keeps its size", size <= 20 * MIB or not held, (size, held))
            put(s3, "d", "v1", 7, ballast=24 * MIB)
            took = wait_until(lambda: "--cache-size" in str(remote.models().get("d")), 15)
            report.check("one that is too large is told so", took is not None, remote.models())
    with S3() as s3:
        put(s3, "m", "v1", 7, ballast=8 * MIB)
        with Remote(URL, s3.env()) as remote:
            # The directory of other things, which are larger than the cache may be.
            elsewhere = remote.path / "elsewhere"
            theirs = [remote.cache / "photos" / "2019" / "a.raw", elsewhere / "x" / "b.raw"]
            for file in theirs:
                file.parent.mkdir(parents=True)
                file.write_bytes(b"x" * (21 * MIB))
            (remote.cache / "link").symlink_to(elsewhere)
            remote.serve("--cache-size", "20MiB")
            report.equal("in a directory of other things", remote.ask(), (200, "v1", 7))
            report.check("which stay", all(file.exists() for file in theirs))


def cut_off(report):
    """Weights are used in the cache's file until they are copied."""
    with S3() as s3:
        put(s3, "m", "v1", 1001, ballast=2 * LARGE)
        with Remote(URL, s3.env()) as remote:
            remote.serve("--log-level", "debug")
            report.equal("a large model is served", remote.ask(), (200, "v1", 1001))
            remote.says(report, "its weights are copied", "debug", "model's weights", "are copied")
            copies = [line.replace(str(remote.cache), "") for line in
                      open(f"/proc/{remote.server.pid}/maps") if str(remote.cache) in line]
            report.equal("and the file is not mapped any more", copies, [])
            for file in remote.cache.rglob("v1/model.onnx"):
                file.write_bytes(b"")
            report.equal("so that it may be cut off", remote.ask(), (200, "v1", 1001))
            put(s3, "m", "v2", 2001, ballast=2 * LARGE)
            remote.serves(report, "and another version takes over", "v2", 2001)


def long_listing(report):
    """10^5 keys, a thousand a page, from a server that has one model among them."""
    model = tiny_onnx.model(7)
    etag = hashlib.md5(model).hexdigest()
    pages = []

    def answer(handler):
        path = handler.path
        if "list-type=2" not in path:
            return reply(handler, model, etag=f'"{etag}"', accept_ranges="bytes")
        token = re.search(r"continuation-token=(\d+)", path)
        page = int(token[1]) if token else 0
        pages.append(page)
        rows = [f"<Contents><Key>prod/data/{page:03}/part-{i:04}.csv</Key><Size>7</Size>"
                f"<ETag>&quot;{i:032x}&quot;</ETag></Contents>" for i in range(1000)]
        if page == 99:
            rows.append(f"<Contents><Key>prod/m/v1/model.onnx</Key><Size>{len(model)}</Size>"
                        f"<ETag>&quot;{etag}&quot;</ETag></Contents>")
        more = ("<IsTruncated>true</IsTruncated><NextContinuationToken>"
                f"{page + 1}</NextContinuationToken>" if page < 99 else "")
        reply(handler, f"<ListBucketResult>{''.join(rows)}{more}</ListBucketResult>".encode(),
              kind="application/xml")

    with Web(answer) as web:
        with Remote(URL, {**NO_AWS, "AWS_ENDPOINT_URL": web.url}) as remote:
            server = remote.serve()
            report.equal("one model among 10^5 keys", remote.ask(), (200, "v1", 7))
            report.equal("every page was asked for", sorted(set(pages)), list(range(100)))
            took = wait_until(lambda: len(pages) >= 200, 30)
            report.check("and again", took is not None, len(pages))
            report.equal("which holds up nobody", remote.ask(), (200, "v1", 7))
            print(f"  memory with 10^5 keys: {server.rss_bytes() / MIB:.0f} MiB")


if __name__ == "__main__":
    Report("remote_models").run(hot_swap, one_file, by_call, half_uploaded, credentials, commands,
                                faults, checksums, stalled, slow, resumed, store_is_down, cache_size,
                                cut_off, long_listing)
