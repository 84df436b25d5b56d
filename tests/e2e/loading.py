#!/usr/bin/python3
"""When versions are loaded: on demand, again and again, within a bound of memory, as files come."""

import json
import statistics
import threading
import time

from lib import oip, rpc, tiny_onnx
from lib.folder import LOOKING, POLL, Asking, Folder, nobody_failed, wait_until
from lib.server import Report
from lib.swap_load import connect, raw_request, read_answer

LAZY = "loading: lazy\n"
ROW = oip.Tensor("x", "FP32", [1, 2], [0.5, 0.0])
MIB = 1 << 20
# A good part of a second to load, on any machine: the runs before it is ready take it.
SLOW = LAZY + "warmup: 1500\n"
SLOW_WORK = 100


def ready_lines(folder, model):
    return len(folder.log_lines(f"model {model} ", "is ready"))


# ---- Lazy ----


def lazy(report):
    with Folder() as folder:
        folder.put("m", "v1", 1001, work=SLOW_WORK)
        folder.yaml("m", LAZY + "warmup: 2000\n")
        server = folder.serve()
        report.equal("health", server.get("/health")[0], 200)
        report.equal("ready", server.get("/ready")[0], 200)
        report.equal("not loaded unasked", folder.state("m", "v1"), "unloaded")
        clients = [connect(server) for _ in range(200)]
        began = time.monotonic()
        for client in clients:
            client.sendall(raw_request(0.5))
        answers = [read_answer(client, b"") for client in clients]
        first = time.monotonic() - began
        for client in clients:
            client.close()
        right = sum(status == b"200" and json.loads(data)["prediction"] == 1001.5
                    for status, data, _ in answers)
        report.equal("200 first requests at once", right, 200)
        report.equal("loaded once", ready_lines(folder, "m"), 1)
        began = time.monotonic()
        report.equal("a later one", folder.ask(), (200, "v1", 1001))
        later = time.monotonic() - began
        report.check("which does not wait", later < first / 2, f"{first:.2f} s, {later:.2f} s")
        print(f"  200 first requests: {first:.2f} s, a later one {later * 1000:.1f} ms")


def every_api(report):
    """Whatever the first request is, it loads."""
    def stream(stubs, model):
        calls = iter([oip.grpc_request(model, "", [ROW])])
        return [one.error_message for one in stubs.ModelStreamInfer(calls, timeout=20)] == [""]

    with Folder() as folder:
        kinds = {
            "simple": lambda m: folder.ask(m)[0] == 200,
            "simple-version": lambda m: folder.ask(m, "v1")[0] == 200,
            "oip": lambda m: rest.infer(f"/v2/models/{m}", [ROW])["y"].values == [7.5],
            "oip-binary": lambda m: rest.infer(f"/v2/models/{m}", [ROW], binary=True)
                                    ["y"].values == [7.5],
            "oip-version": lambda m: rest.infer(f"/v2/models/{m}/versions/v1", [ROW])
                                     ["y"].values == [7.5],
            "tfs": lambda m: json.loads(rest.call(
                "POST", f"/v1/models/{m}:predict", {"instances": [[0.5, 0]]})[1])
                ["predictions"] == [[7.5]],
            "grpc": lambda m: predict(rpc.prediction_pb2.PredictRequest(
                features=[0.5, 0], model=m), timeout=20).prediction == 7.5,
            "oip-grpc": lambda m: oip.grpc_outputs(stubs.ModelInfer(
                oip.grpc_request(m, "", [ROW]), timeout=20))["y"].values == [7.5],
            "oip-stream": lambda m: stream(stubs, m),
            "metadata": lambda m: json.loads(rest.call("GET", f"/v2/models/{m}")[1])
                                  ["inputs"][0]["name"] == "x",
            "metadata-version": lambda m: rest.status(
                "GET", f"/v2/models/{m}/versions/v1") == 200,
            "metadata-grpc": lambda m: stubs.ModelMetadata(
                rpc.oip_pb2.ModelMetadataRequest(name=m), timeout=20).inputs[0].name == "x",
            "tfs-metadata": lambda m: rest.status("GET", f"/v1/models/{m}/metadata") == 200,
        }
        for name in kinds:
            folder.put(name, "v1", 7)
            folder.yaml(name, LAZY)
        server = folder.serve()
        rest = oip.Rest(server)
        report.equal("ready to be asked", rest.status("GET", "/v2/models/oip/ready"), 200)
        report.equal("nothing is loaded", folder.log_lines("is ready"), [])
        with rpc.channel(server.grpc) as channel:
            predict, stubs = rpc.predict(channel), rpc.Oip(channel)
            for name, ask in kinds.items():
                try:
                    report.check(f"first is {name}", ask(name))
                except Exception as error:
                    report.check(f"first is {name}", False, repr(error)[:300])
                report.equal(f"{name} loads once", ready_lines(folder, name), 1)


def deadline(report):
    """Who cannot wait is told so; the loading goes on for others."""
    with Folder() as folder:
        folder.put("m", "v1", 1001, work=SLOW_WORK)
        folder.yaml("m", SLOW)
        server = folder.serve()
        began = time.monotonic()
        report.equal("a short deadline", folder.ask(timeout_ms=60)[0], 504)
        took = time.monotonic() - began
        report.check("kept", 0.055 <= took < 1.5, took)
        with rpc.channel(server.grpc) as channel:
            request = rpc.prediction_pb2.PredictRequest(features=[0.5, 0], model="m")
            report.equal("gRPC", rpc.failure(rpc.predict(channel), request, timeout=0.06)[0],
                         "DEADLINE_EXCEEDED")
        report.equal("others wait", folder.ask(), (200, "v1", 1001))
        whole = time.monotonic() - began
        report.check("loading took longer than the deadline", whole > 0.2, whole)
        report.equal("loaded once", ready_lines(folder, "m"), 1)


def waiting(report):
    """Who waits for a model is answered whatever becomes of it, and before the server ends."""
    def ask_while(what):
        answers = []
        wait_until(lambda: folder.state("m", "v1") == "unloaded")
        client = threading.Thread(target=lambda: answers.append(folder.ask()))
        client.start()
        took = wait_until(lambda: folder.state("m", "v1") == "loading", 5)
        report.check("state", took is not None, folder.models())
        what()
        report.equal("it still waits", answers, [])
        client.join(30)
        return answers[0][0] if answers else None

    with Folder() as folder:
        folder.put("m", "v1", 1001, work=2 * SLOW_WORK)
        folder.yaml("m", SLOW)
        folder.put("beside", "v1", 7)
        server = folder.serve()
        status = ask_while(lambda: folder.remove("m"))
        report.check("its model is removed", status in (200, 404, 503), status)
        folder.yaml("m", SLOW)
        folder.put("m", "v1", 1001, work=2 * SLOW_WORK)
        report.equal("a bad model.yaml", ask_while(lambda: folder.yaml("m", "loading: [")), 200)
        folder.remove("m")
        wait_until(lambda: "m" not in folder.models())
        folder.yaml("m", SLOW)
        folder.put("m", "v1", 1001, work=2 * SLOW_WORK)
        report.equal("SIGTERM", ask_while(server.signal), 200)
        report.equal("exit code", server.wait(), 0)


def lazy_and_bad(report):
    """Told why, tried once, tried again when something changes."""
    with Folder() as folder:
        good = tiny_onnx.model(1002)
        folder.put("m", "v1", good[:-20])
        folder.yaml("m", LAZY)
        folder.put("labels", "v1", 7, work=300)
        folder.yaml("labels", LAZY + "warmup: 400\ninputs: [{name: only}]\n")
        folder.serve()
        for model, word in (("m", "valid"), ("labels", "columns")):
            began = time.monotonic()
            answer = folder.ask(model)
            first = time.monotonic() - began
            report.check(f"{model}: the first is told why", answer[0] == 503 and word in answer[2],
                         answer)
            # The median: a pause of the machine makes one of them slow, not most.
            answers, times = zip(*(timed(lambda: folder.ask(model)) for _ in range(50)))
            took = statistics.median(times)
            report.check(f"{model}: 50 more are told why",
                         all(one[0] == 503 and word in one[2] for one in answers), answers[0])
            report.check(f"{model}: at once", took < max(0.01, first / 2),
                         f"{first * 1000:.1f} ms, then {took * 1000:.1f} ms")
            report.equal(f"{model}: state", folder.state(model, "v1"), "failed")
            report.equal(f"{model}: one line", len(folder.log_lines(f"model {model} ", "error")), 1)
        folder.put("m", "v1", good)
        folder.yaml("labels", LAZY)
        for model, code in (("m", 1002), ("labels", 7)):
            took = wait_until(lambda: folder.ask(model) == (200, "v1", code))
            report.check(f"{model}: mended, it is loaded", took is not None,
                         (folder.ask(model), folder.models()[model]))


def timed(call):
    """What it answers, and the seconds that it took."""
    began = time.monotonic()
    return call(), time.monotonic() - began


def lazy_newer(report):
    """A newer version that is bad costs nobody anything; a good one takes over."""
    with Folder() as folder:
        folder.put("m", "v1", 1001)
        folder.yaml("m", LAZY)
        folder.serve()
        report.equal("v1", folder.ask(), (200, "v1", 1001))
        with Asking(folder) as asking:
            folder.put("m", "v2", b"no model")
            time.sleep(5 * POLL)
        nobody_failed(report, "a bad newer version", asking)
        with Asking(folder) as asking:
            folder.put("m", "v3", 3001)
            took = wait_until(lambda: folder.ask() == (200, "v3", 3001))
            report.check("v3 takes over", took is not None, folder.models()["m"])
        nobody_failed(report, "a good newer version", asking)
        folder.stop()
        folder.remove("m", "v3")
        folder.serve()
        report.equal("from the start: the newest is bad, v1 answers the first request",
                     folder.ask(), (200, "v1", 1001))


def lazy_removed(report):
    """The only loaded version is removed: the newest of the others is loaded unasked, and it goes."""
    with Folder() as folder:
        for number in (1, 2, 4):
            folder.put("m", f"v{number}", 1000 * number + 1)
        folder.put("m", "v3", b"no model")
        folder.yaml("m", LAZY)
        folder.serve()
        report.equal("v4 is loaded", folder.ask(), (200, "v4", 4001))
        with Asking(folder) as asking:
            folder.remove("m", "v4")
            took = wait_until(lambda: folder.state("m", "v2") == "ready")
            report.check("v2 is loaded, as v3 is bad", took is not None, folder.models()["m"])
            took = wait_until(lambda: "v4" not in folder.models()["m"])
            report.check("v4 goes", took is not None, folder.models()["m"])
        nobody_failed(report, "while it is removed", asking)
        report.equal("v2 answers", folder.ask(), (200, "v2", 2001))
        report.equal("v1 still rests", folder.state("m", "v1"), "unloaded")


# ---- Again and again ----


def ttl(report):
    with Folder() as folder:
        folder.put("m", "v1", 1001)
        folder.yaml("m", "loading: {ttl: 1s}\n")
        began = time.monotonic()
        folder.serve()
        with Asking(folder) as asking:
            time.sleep(2.6)
        lines = folder.log_lines("is replaced")
        # The first second begins when it is loaded, later than `began`.
        most = int(time.monotonic() - began)
        report.check("one reload a second", 1 <= len(lines) <= most, (lines, most))
        nobody_failed(report, "reloads", asking)


# ---- Memory ----


def evicted(folder, model):
    return len(folder.log_lines(f"model {model} ", "makes room"))


def memory(report):
    """Room for two of three; the least recently used goes, and comes back by itself."""
    with Folder() as folder:
        for model in "abc":
            folder.put(model, "v1", 7, ballast=16 * MIB)
            folder.yaml(model, LAZY)
        server = folder.serve(*LOOKING, "--max-models-memory", "50MiB")
        for model in "aba":
            report.equal(model, folder.ask(model), (200, "v1", 7))
            time.sleep(0.02)
        report.equal("both have room", [evicted(folder, m) for m in "abc"], [0, 0, 0])
        for model, victim in (("c", "b"), ("b", "a"), ("a", "c")):
            report.equal(model, folder.ask(model), (200, "v1", 7))
            report.equal(f"{model} makes {victim} go", evicted(folder, victim), 1)
            report.equal("which can be asked again", folder.state(victim, "v1"), "unloaded")
            time.sleep(0.02)
        before = server.rss_bytes()
        with Asking(folder, "a", "b") as one, Asking(folder, "c", "a") as other:
            time.sleep(1)
        nobody_failed(report, "one after the other", one)
        nobody_failed(report, "and beside", other)
        took = wait_until(lambda: server.rss_bytes() < before + 40 * MIB, seconds=8)
        report.check("memory is bounded", took is not None, (before, server.rss_bytes()))
        ready = sum(folder.state(model, "v1") == "ready" for model in "abc")
        report.check("never all three", ready <= 2, ready)


def no_room(report):
    """One that does not fit is told so, and served once there is room."""
    with Folder() as folder:
        folder.put("eager", "v1", 7, ballast=16 * MIB)
        folder.put("m", "v1", 8, ballast=16 * MIB)
        folder.yaml("m", LAZY)
        folder.serve(*LOOKING, "--max-models-memory", "24MiB")
        answer = folder.ask("m")
        report.check("no room", answer[0] == 503 and "max_models_memory" in answer[2], answer)
        report.equal("the other stays", folder.ask("eager"), (200, "v1", 7))
        folder.remove("eager")
        took = wait_until(lambda: folder.ask("m") == (200, "v1", 8))
        report.check("then there is", took is not None, (folder.ask("m"), folder.models()))


# ---- As files come ----


def poll_off(report):
    with Folder() as folder:
        folder.put("m", "v1", 1001)
        folder.serve("--poll", "off")
        folder.put("m", "v2", 2001)
        folder.put("m", "v1", 1002)
        time.sleep(0.8)
        report.equal("nobody looks", folder.ask(), (200, "v1", 1001))


def takes_over(report, folder, version, code):
    took = wait_until(lambda: folder.ask() == (200, version, code))
    report.check(f"{version} takes over", took is not None, (folder.ask(), folder.models()["m"]))
    return took


def order(report):
    with Folder() as folder:
        folder.put("m", "v9", 9001)
        folder.serve()
        times = []
        with Asking(folder) as asking:
            for version, code in (("v10", 10001), ("v10.2", 10002), ("v10.10", 10010)):
                folder.put("m", version, code)
                times.append(takes_over(report, folder, version, code))
            folder.put("m", "v2", 2001)
            took = wait_until(lambda: folder.state("m", "v2") == "ready")
            report.check("an older one is loaded too", took is not None)
            report.equal("and does not take the traffic", folder.ask(), (200, "v10.10", 10010))
            report.equal("but can be named", folder.ask(version="v2"), (200, "v2", 2001))
        nobody_failed(report, "new versions", asking)
        if all(times):
            print(f"  a new version serves after {', '.join(f'{t:.2f} s' for t in times)}")


def choice(report):
    """`versions:` chooses; what is chosen is loaded before what ran before goes."""
    with Folder() as folder:
        folder.put("m", "v9", 9001)
        folder.put("m", "v10", 10001)
        folder.yaml("m", "versions: {latest: 1}\n")
        folder.serve()
        report.equal("the latest", folder.ask(), (200, "v10", 10001))
        report.equal("not the other", folder.ask(version="v9")[0], 404)
        with Asking(folder) as asking:
            folder.put("m", "v11", 11001)
            takes_over(report, folder, "v11", 11001)
            took = wait_until(lambda: folder.state("m", "v10") == "absent")
            report.check("the one before leaves", took is not None, folder.models())
        nobody_failed(report, "the latest changes", asking)
        with Asking(folder) as asking:
            folder.put("m", "v12", b"no model")
            time.sleep(5 * POLL)
            report.equal("a bad latest", folder.ask(), (200, "v11", 11001))
            folder.remove("m", "v12")
            time.sleep(2 * POLL)
        nobody_failed(report, "a bad latest", asking)
        with Asking(folder) as asking:
            for text, version, code in (("[v9]", "v9", 9001), ("[v9, v10]", "v10", 10001),
                                        ("all", "v11", 11001), ("[v10, v99]", "v10", 10001)):
                folder.yaml("m", f"versions: {text}\n")
                takes_over(report, folder, version, code)
        nobody_failed(report, "other choices", asking)
        report.check("a missing one is told", folder.log_lines("v99", "not there"))


def manifest(report):
    """A poll interval so long that only a manifest can be the reason for being served before."""
    with Folder() as folder:
        data, labels = tiny_onnx.model(2001), b"good\nbad\n"
        folder.put("m", "v1", 1001)
        folder.serve("--poll", "4s")
        file = folder.place("m", "v2")
        file.write_bytes(data[:100])
        folder.manifest("m", "v2", ("model.onnx", data), ("labels.txt", labels))
        time.sleep(1)
        report.equal("not all there", folder.ask(), (200, "v1", 1001))
        report.check("it says why", wait_until(
            lambda: "manifest" in folder.reason("m", "v2"), 2) is not None, folder.models())
        file.write_bytes(data)
        time.sleep(0.5)
        report.equal("a file is missing", folder.ask(), (200, "v1", 1001))
        file.with_name("labels.txt").write_bytes(labels)
        took = wait_until(lambda: folder.ask() == (200, "v2", 2001))
        report.check("complete: at once", took is not None and took < 2, took)
        other = tiny_onnx.model(3001)
        folder.manifest("m", "v3", ("model.onnx", data))
        folder.put("m", "v3", other)
        time.sleep(1)
        report.equal("a wrong digest", folder.ask(), (200, "v2", 2001))
        folder.manifest("m", "v3", ("model.onnx", other))
        took = wait_until(lambda: folder.ask() == (200, "v3", 3001))
        report.check("the right one: at once", took is not None and took < 2, took)
        folder.place("m", "v4", "manifest.sha256").write_text("what?\n")
        folder.put("m", "v4", 4001)
        time.sleep(0.7)
        report.equal("no manifest at all", folder.ask(), (200, "v3", 3001))
        report.check("it says so", wait_until(
            lambda: "sha256sum" in folder.reason("m", "v4"), 2) is not None, folder.models())


def main():
    Report("loading").run(lazy, every_api, deadline, waiting, lazy_and_bad, lazy_newer,
                          lazy_removed, ttl, memory, no_room, poll_off, order, choice, manifest)


if __name__ == "__main__":
    main()
