#!/usr/bin/python3
# takes: 60 s
"""sluice compress on networks that others trained: one reads lines, others hear words. Beside the
original they are asked by the server, and what is right is what was drawn and what was said."""

import json
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy
import onnx
from onnx import numpy_helper

from lib.networks import (FACES, HEARING, READER, accuracy, clip, draw, infer, read, say, stretches,
                          windows)
from lib.server import BINARY, Report, Server, environment

LICENCES = Path("/usr/share/common-licenses")  # every Debian has these texts


def compress(model, method, target, *more):
    return subprocess.run(
        [str(BINARY), "compress", str(model), "--method", method, "--output", str(target),
         "--seconds", "0.2", "--json", *map(str, more)],
        text=True, capture_output=True, timeout=200, env=environment())


def kept(report, model, method, target, *more):
    """Whether a version was written that ONNX's checker takes; prints what it is."""
    done = compress(model, method, target, *more)
    what = f"{model.parent.name} {method}"
    if not report.equal(f"{what}: kept", done.returncode, 0):
        print(done.stdout[-300:], done.stderr)
        return 1
    onnx.checker.check_model(str(target / "model.onnx"))
    found = json.loads(done.stdout)
    print(f"    {what}: {100 * found['size_ratio']:.2f} % of the bytes, "
          f"{found['latency_ratio']:.2f} × as fast, agreement "
          f"{100 * found['comparison']['agreement']:.2f} %", flush=True)
    return found["size_ratio"]


def weight_share(file, operators):
    """Of the file's bytes those that these operators multiply by."""
    graph = onnx.load(str(file)).graph
    sizes = {tensor.name: numpy_helper.to_array(tensor).nbytes for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].HasField("t"):
            sizes[node.output[0]] = numpy_helper.to_array(node.attribute[0].t).nbytes
    weights = {name for node in graph.node if node.op_type in operators
               for name in node.input[1:2]}
    return sum(sizes.get(name, 0) for name in weights) / file.stat().st_size


class Served:
    """Models in a repository, asked through a server that watches it."""

    def __init__(self, root):
        self.models = root / "models"
        self.server = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.server is not None:
            self.server.kill()

    def put(self, name, file):
        folder = self.models / name / "v1"
        folder.mkdir(parents=True)
        shutil.copy(file, folder / "model.onnx")
        return folder

    def start(self):
        """What is there now: versions are made while no server takes the processors."""
        if self.server is not None:
            self.server.kill()
        self.server = Server(self.models)
        self.connection = self.server.connection(60)

    def ask(self, model, version, array):
        """The only output, where there is only one input."""
        signature = self.server.get(f"/v2/models/{model}/versions/{version}")[1]
        name = signature["inputs"][0]["name"]
        path = f"/v2/models/{model}/versions/{version}"
        answer = infer(self.connection, path, {name: numpy.ascontiguousarray(array)})
        return next(iter(answer.values()))


# ---- the network that reads --------------------------------------------------------------------

def lines_of(licence, count, random):
    """Lines of 4 to 16 characters: a text's words, with numbers here and there."""
    words = (LICENCES / licence).read_text().split()
    out, line = [], ""
    for word in words[random.integers(len(words) // 2):]:
        if random.random() < 0.12:
            word = f"{random.integers(9999)}"
        if len(line) + 1 + len(word) <= 16:
            line = f"{line} {word}".strip()
            continue
        if 4 <= len(line) <= 16:
            out.append(line)
        line = word
        if len(out) == count:
            return out
    raise RuntimeError(f"{licence} is too short")


def drawn(lines, random):
    return numpy.stack([draw(line, random.choice(FACES), int(random.integers(20, 44)), 320,
                             random)
                        for line in lines])


# R² of a reader says little: what is lost is counted
# here, in characters. Products are 38 % of the bytes, convolutions 61 %: dynamic-int8 by itself
# leaves those.
READING = (("dynamic-int8", 0.73), ("dynamic-int8:store=true", 0.27), ("static-int8", 0.27))


def reads(report, root, served):
    random = numpy.random.default_rng(17)
    model = served.put("reader", READER)
    numpy.save(root / "lines.npy", drawn(lines_of("Apache-2.0", 32, random), random))
    lines = lines_of("GPL-3", 64, random)
    pictures = drawn(lines, random)
    numpy.save(root / "held-out.npy", pictures[:4])
    for place, (method, most) in enumerate(READING, 2):
        size = kept(report, model, method, model.parent / f"v{place}", "--calibration",
                    root / "lines.npy", "--evaluate", root / "held-out.npy",
                    "--max-accuracy-drop", 1)
        report.check(f"reader {method}: smaller", size <= most, str(size))
    served.start()
    share = weight_share(READER, ("Conv", "MatMul"))
    print(f"    reader: {100 * (1 - share):.2f} % of the bytes are not weights of Conv and MatMul; "
          f"{len(lines)} lines, {sum(map(len, lines))} characters")
    right = {}
    for place in range(1, 2 + len(READING)):
        answers = [served.ask("reader", f"v{place}", pictures[at:at + 8])
                   for at in range(0, len(pictures), 8)]
        right[place] = accuracy(read(numpy.concatenate(answers)), lines)
    print("    reader: characters read rightly: original "
          f"{100 * right[1]:.2f} %, " +
          ", ".join(f"{method} {100 * right[place]:.2f} %"
                    for place, (method, _) in enumerate(READING, 2)), flush=True)
    report.check("the original reads what was drawn", right[1] >= 0.95, str(right[1]))
    for place, (method, _) in enumerate(READING, 2):
        report.check(f"{method} reads as well", right[1] - right[place] <= 0.01, str(right))


# ---- the networks that hear --------------------------------------------------------------------

# What is said, whether it is the wake word, and which timer it is (the network's own numbers).
# Each kind of answer is there, as pruning takes first what never has anything to do.
CALIBRATION = (["alexa", "set a timer for ten minutes", "start a one hour timer",
                "five minutes timer please", "what is the weather today"],
               ["en-gb", "en-us", "en-gb+m3"])
SAID = [("alexa", True, 0), ("set a timer for five minutes", False, 2),
        ("set a timer for one hour", False, 6), ("where is the station", False, 0),
        ("seven green apples", False, 0)]
VOICES = ["en-gb+f4", "en-gb+f5", "en-gb+m1"]
NETWORKS = {"spectrogram": "melspectrogram", "embedding": "embedding_model", "alexa": "alexa_v0.1",
            "timer": "timer_v0.1"}
STRETCHES = {"alexa": 16, "timer": 34}  # embeddings


def clips(utterances, random):
    """Four seconds each, in quiet and in noise."""
    return numpy.stack([clip(say(text, voice, int(random.integers(145, 170))),
                             random.choice([5, 30, 80]), random, 4) for text, voice in utterances])


class Hearing:
    def __init__(self, served, root):
        self.served, self.root = served, root
        self.folders = {name: served.put(name, HEARING / f"{file}.onnx")
                        for name, file in NETWORKS.items()}

    def windows(self, sound):
        return windows(self.served.ask("spectrogram", "v1", sound))

    def embeddings(self, cut, version):
        flat = self.served.ask("embedding", version, cut.reshape(-1, 76, 32, 1))
        return flat.reshape(*cut.shape[:2], 96)

    def scores(self, name, version, embeddings):
        """[clip, class]: the highest of all stretches. These networks take one at a time."""
        length = STRETCHES[name]
        cut = stretches(embeddings, length)
        out = [[self.served.ask(name, version, one[None])[0] for one in each]
               for each in cut[:, ::2]]
        return numpy.array(out).max(axis=1)

    def table(self, name, rows):
        numpy.save(self.root / f"{name}.npy", rows)
        return self.root / f"{name}.npy"

    def tables(self, cut, embeddings, which):
        """Files of what each network takes."""
        made = {"embedding": self.table(f"embedding-{which}", cut.reshape(-1, 76, 32, 1)[::5])}
        for name, length in STRETCHES.items():
            rows = stretches(embeddings, length).reshape(-1, length, 96)
            made[name] = self.table(f"{name}-{which}", rows)
        return made


def alexa_of(scores):
    return (scores[:, 0] > 0.5).tolist()


def timer_of(scores):
    best = scores[:, 1:].argmax(axis=1)
    return [int(place) + 1 if score > 0.5 else 0
            for place, score in zip(best, scores[:, 1:].max(axis=1))]


# Of the classifiers' bytes more than 99 % are weights of products.
HEARD = [("embedding", "v2", "static-int8", 0.27), ("embedding", "v3", "optimize", 1.01),
         ("alexa", "v2", "dynamic-int8", 0.27), ("alexa", "v3", "fp16", 0.51),
         ("timer", "v2", "dynamic-int8", 0.27),
         ("timer", "v3", "prune:sparsity=0.3,scope=layer", 1.0)]


def hears(report, root, served):
    random = numpy.random.default_rng(18)
    hearing = Hearing(served, root)
    served.start()
    usual = hearing.windows(clips([(text, voice) for text in CALIBRATION[0]
                                   for voice in CALIBRATION[1]], random))
    utterances = [(text, voice) for text, _, _ in SAID for voice in VOICES]
    cut = hearing.windows(clips(utterances, random))
    calibration = hearing.tables(usual, hearing.embeddings(usual, "v1"), "calibration")
    before = hearing.embeddings(cut, "v1")
    held_out = hearing.tables(cut, before, "held-out")
    for name, version, method, most in HEARD:
        size = kept(report, hearing.folders[name], method, hearing.folders[name].parent / version,
                    "--calibration", calibration[name], "--evaluate", held_out[name],
                    "--max-accuracy-drop", 0.02)
        report.check(f"{name} {method}: smaller", size <= most, str(size))
    served.start()
    decided(report, hearing, cut, before)


def decided(report, hearing, cut, before):
    """Every utterance is understood as it was said, by the originals and by what was made of them,
    embeddings of one in the classifiers of the other."""
    alexa = [wake for _, wake, _ in SAID for _ in VOICES]
    timer = [number for _, _, number in SAID for _ in VOICES]
    report.equal("the original hears alexa", alexa_of(hearing.scores("alexa", "v1", before)), alexa)
    report.equal("the original hears timers", timer_of(hearing.scores("timer", "v1", before)),
                 timer)
    small = hearing.embeddings(cut, "v2")
    cosine = ((before * small).sum(axis=2) /
              numpy.linalg.norm(before, axis=2) / numpy.linalg.norm(small, axis=2))
    print(f"    embedding static-int8: cosine similarity {cosine.mean():.4f} on average, "
          f"{cosine.min():.4f} at least, {len(cut)} utterances", flush=True)
    report.check("embeddings of int8 are the original's", cosine.mean() >= 0.99, str(cosine.mean()))
    same = hearing.embeddings(cut, "v3")
    report.check("optimised embeddings are the same", numpy.allclose(before, same, atol=1e-3),
                 str(numpy.abs(before - same).max()))
    for version, embeddings in (("v2", before), ("v3", before), ("v1", small), ("v2", small)):
        what = f"{version}, embeddings of {'int8' if embeddings is small else 'the original'}"
        report.equal(f"alexa {what}", alexa_of(hearing.scores("alexa", version, embeddings)), alexa)
        report.equal(f"timer {what}", timer_of(hearing.scores("timer", version, embeddings)), timer)


def control_flow(report, root, served):
    """A voice detector that is one If around two networks: said, and nothing written."""
    model = served.put("voice", HEARING / "silero_vad.onnx")
    random = numpy.random.default_rng(19)
    state = numpy.zeros((2, 1, 64)).tolist()
    with open(root / "calls.jsonl", "w") as out:
        for _ in range(3):
            sound = random.normal(0, 0.1, 512).round(4).tolist()
            out.write(json.dumps({"input": sound, "sr": 16000, "h": state, "c": state}) + "\n")
    for method in ("dynamic-int8", "static-int8"):
        done = compress(model, method, root / "refused", "--calibration", root / "calls.jsonl",
                        "--evaluate", root / "calls.jsonl")
        report.check(f"voice {method}: refused, with the reason", done.returncode == 65 and
                     "1 If node (control flow) is left alone" in done.stderr,
                     f"{done.returncode} {done.stderr}")
    report.check("nothing was written", not (root / "refused").exists())


def main():
    with tempfile.TemporaryDirectory(prefix="e2e-networks-") as scratch:
        def in_a_folder(test):
            def named(report):
                folder = Path(scratch) / test.__name__
                folder.mkdir()
                with Served(folder) as served:
                    test(report, folder, served)
            named.__name__ = test.__name__
            return named

        Report("compress_networks").run(*map(in_a_folder, (reads, hears, control_flow)))


if __name__ == "__main__":
    main()
