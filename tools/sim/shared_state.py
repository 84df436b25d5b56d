"""What replicas say to each other in Redis, taken from the sources, so that what is simulated cannot
drift from what the server does: the programs of src/state/redis_scripts.cc, and the numbers that
say how often and how much.

Whatever is not found as expected raises: the sources look different now, and this must follow.
"""

import functools
import hashlib
import re
import struct
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SRC = ROOT / "src"

# A packed outcome of src/release/happenings.cc: release, unit, id (high, low), prediction, label,
# at, arm, epoch, probability, millis, ending, unsound, recalled.
OUTCOME = struct.Struct("<QQQQddqIIffBBB5x")
EVENT_HEAD = struct.Struct("<cI")  # 'o', how many
ID_AT = EVENT_HEAD.size + 16  # of the first outcome's id in an event


class Drift(RuntimeError):
    """The sources do not look as this expects."""


def read(path):
    return (SRC / path).read_text(encoding="utf-8")


@functools.cache
def programs():
    """{name in RedisScripts: its Lua}, put together as RedisScript does it: one part after the
    other."""
    text = read("state/redis_scripts.cc")
    parts = dict(re.findall(r'constexpr const char\* (k\w+) = R"\((.*?)\)";', text, re.DOTALL))
    out = {name: "".join(parts[part] for part in used.split(", "))
           for name, used in re.findall(r"\.(\w+) = \{(k\w+(?:, k\w+)*)\}", text)}
    declared = set(re.findall(r"^  RedisScript (\w+);", read("state/redis_scripts.h"), re.MULTILINE))
    if not declared or set(out) != declared:
        raise Drift(f"redis_scripts.h has {sorted(declared)}, found were {sorted(out)}")
    return out


def digest(name):
    """What Redis calls this program."""
    return hashlib.sha1(programs()[name].encode()).hexdigest()


def number(path, pattern):
    """The one number in this source, as C++ writes numbers."""
    found = re.findall(pattern, read(path))
    if len(found) != 1:
        raise Drift(f"{path}: {pattern} is there {len(found)} times, expected was once")
    return int(found[0].replace("'", ""))


@functools.cache
def numbers():
    """Times in milliseconds, sizes in bytes."""
    fleet, link = "core/fleet.h", "release/fleet_link.h"
    if len(re.findall(r"sizeof\(PackedOutcome\) == 80\b", read("release/happenings.cc"))) != 1:
        raise Drift("an outcome is not 80 bytes any more")
    return {
        "lease": number(fleet, r"kLease\{([\d']+)\}"),
        "gone": number(fleet, r"kGone\{([\d']+)\}"),
        "letter": number(fleet, r"kLetterKept\{([\d']+)\}"),
        "letters": number(fleet, r"\bkMostLetters = ([\d']+);"),
        "waiting": number(fleet, r"kMostWaiting = std::size_t\{(\d+)\} << 20;") << 20,
        "beat": number(link, r"\bkBeat\{([\d']+)\}"),
        "quick": number(link, r"\bkQuickBeat\{([\d']+)\}"),
        "held": number(link, r"kMostHeld = ([\d']+);"),
        "in_event": number("release/fleet_link.cc", r"kMostInEvent = ([\d']+);"),
        "read": number("release/fleet.cc", r"\bkRead\{([\d']+)\}"),
        "pieces": number("release/fleet.cc", r"kMostPieces = ([\d']+);"),
        "save": number("release/releases.cc", r"\bkSave\{([\d']+)\}"),
        "at_once": number("state/redis_fleet.cc", r'kBytesAtOnce = "(\d+)";'),
        "patience": number("state/redis_calls.h", r"kPatience\{([\d']+)\}"),
    }


@functools.cache
def prefix():
    found = re.findall(r'kPrefix = "([^"]+)";', read("state/redis_calls.h"))
    if len(found) != 1:
        raise Drift(f"redis_calls.h has {len(found)} prefixes, expected was one")
    return found[0]


def bulk(word):
    word = word if isinstance(word, bytes) else str(word).encode()
    return b"$%d\r\n%s\r\n" % (len(word), word)


def command(*words):
    return b"*%d\r\n" % len(words) + b"".join(map(bulk, words))


class Calls:
    """A connection that waits for each answer. `asked` counts programs, `bytes` what went both
    ways."""

    def __init__(self, connection):
        self.connection = connection
        self.reader = connection.makefile("rb", 1 << 20)
        self.asked = self.bytes = 0

    def send(self, *words):
        data = command(*words)
        self.connection.sendall(data)
        self.bytes += len(data)
        return self._reply()

    def run(self, name, *words):
        """What this program answers: a list of texts (bytes), as each of them must."""
        self.asked += 1
        reply = self.send("EVALSHA", digest(name), 1, prefix(), *words)
        if not isinstance(reply, list) or not all(isinstance(word, bytes) for word in reply):
            raise RuntimeError(f"{name}: not a list of texts")
        return reply

    def load(self):
        """Redis knows all programs from now on, by the digests that the server uses."""
        for name, program in programs().items():
            said = self.send("SCRIPT", "LOAD", program)
            if said.decode() != digest(name):
                raise RuntimeError(f"{name}: Redis calls it {said}")

    def _reply(self):
        line = self.reader.readline()
        self.bytes += len(line)
        kind, rest = line[:1], line[1:-2]
        if kind == b"$":
            if rest == b"-1":
                return None
            size = int(rest) + 2
            self.bytes += size
            return self.reader.read(size)[:-2]
        if kind == b"*":
            return [self._reply() for _ in range(int(rest))]
        if kind in (b"+", b":"):
            return rest
        raise RuntimeError(f"Redis refuses: {line!r}")


class Heard:
    """An answer to a beat, taken apart as src/state/redis_fleet.cc does it; raises where it is not
    well formed."""

    def __init__(self, words):
        self.words, self.next = words, 0
        self.now = self._number()
        self.life, self.leader = self._text(), self._text().decode()
        self.token = self._number()
        kept = self._text()
        self.published = self._list(self._text, self._number, self._text)
        self.answers = self._list(self._text, self._text, self._text)
        self.questions = self._list(self._text, self._text, self._text)
        self.replicas = self._list(self._text, self._number, self._number)
        if self.next != len(words) or kept not in (b"0", b"1") or not self.life:
            raise RuntimeError(f"an answer to a beat is not well formed: {words[:12]}")
        self.kept = kept == b"1"

    def _text(self):
        self.next += 1
        return self.words[self.next - 1]

    def _number(self):
        word = self._text()
        if not word.isdigit():
            raise RuntimeError(f"an answer to a beat has {word[:20]!r}, expected was a number")
        return int(word)

    def _list(self, *fields):
        return [tuple(field() for field in fields) for _ in range(self._number())]


def beat_words(replica, sequence, event, wants=0, stretch=1, most_waiting=None):
    """Of a replica that has no letters and has heard of no release. `wants`: the lease. `stretch`:
    times are so much longer. `most_waiting`: bytes of events that are kept at most."""
    know = numbers()
    lease, gone, letter = (round(know[name] * stretch) for name in ("lease", "gone", "letter"))
    return (replica, wants, 0, sequence, event, lease, gone, letter, know["letters"],
            most_waiting or know["waiting"], 0, 0)
