"""A `sluice serve` as the leader of simulated replicas: they say the outcomes of a release that it
runs, and its own counters say what it has taken up.

What an outcome of this release looks like is read from Redis, where the server itself has said one;
so that one is of the very bytes that it writes.
"""

import os
import socket
import sys
import time

import shared_state
from shared_state import EVENT_HEAD, OUTCOME, ROOT, Calls

sys.path.insert(0, str(ROOT / "tests/e2e"))
from lib.folder import LOOKING, Folder, wait_until  # noqa: E402
from lib.release import Control, Pipe, code, request  # noqa: E402
from lib.server import Server  # noqa: E402

SPLIT = {"policy": "split", "weights": {"v1": 0.5, "v2": 0.5}}
EVENTS = shared_state.prefix() + "events"
UNIT, ID = range(8, 16), range(16, 32)
TRIES = 40
SECONDS = 20  # for what was said last
TICK = 1 / os.sysconf("SC_CLK_TCK")


class ServerLeader:
    """`users`: outcomes are of different users; `ids`: each has a request id, as those of the simple
    API have, and waits for feedback."""

    calls = 0  # it does not say how many

    def __init__(self, port, plan, users=True, ids=True):
        if plan.stretch != 1:
            raise ValueError("a server's time cannot be stretched")
        self.columns = ((*UNIT,) if users else ()) + ((*ID,) if ids else ())
        self.redis = Calls(socket.create_connection(("127.0.0.1", port)))
        self.folder = Folder()
        self.server = None
        try:
            for version in ("v1", "v2"):
                self.folder.put("m", version, code(version))
            self.server = Server(self.folder.path, extra=[
                *LOOKING, "--state", f"redis://127.0.0.1:{port}/0"])
            self.control = Control(self.server)
            status, body = self.control.put(SPLIT)
            if status != 200:
                raise RuntimeError(f"PUT release: {status} {body}")
            self.same_programs = self._same_programs()
            self.template = self._template(users, ids)
        except BaseException:
            self.end()
            raise

    def _same_programs(self):
        """Whether the server's program is the one that the sources have: Redis, which forgets all
        of them, learns it from the server's next beat."""
        self.redis.send("SCRIPT", "FLUSH")
        name = shared_state.digest("beat")
        known = wait_until(lambda: self.redis.send("SCRIPT", "EXISTS", name) == [b"1"], 5)
        self.redis.load()
        return known is not None

    def _template(self, users, ids):
        """One outcome of its own, from the list. It is there until what was seen has been stored."""
        if wait_until(self._ask_and_look, 10) is None:
            raise RuntimeError("the server says nothing of a request that it has answered")
        event = dict(zip(self.found[0][1][::2], self.found[0][1][1::2]))[b"b"]
        kind, k = EVENT_HEAD.unpack_from(event)
        # What was asked again because the first was late comes with it.
        if kind != b"o" or k < 1 or len(event) != EVENT_HEAD.size + k * OUTCOME.size:
            raise shared_state.Drift("an event of outcomes does not look as expected")
        out = bytearray(event[EVENT_HEAD.size:EVENT_HEAD.size + OUTCOME.size])
        if not users:
            out[UNIT.start:UNIT.stop] = bytes(len(UNIT))
        if not ids:
            out[ID.start:ID.stop] = bytes(len(ID))
        wait_until(lambda: self.redis.send("XLEN", EVENTS) == b"0", 10)
        self.own = self.counted()
        return bytes(out)

    def _ask_and_look(self):
        """Whether it has said something: not as long as the release does not hold yet."""
        with Pipe(self.server) as pipe:
            (status, body), = pipe.ask([request(user_id="somebody")])
        if status != 200:
            raise RuntimeError(f"the server does not answer: {status} {body}")
        return wait_until(self._look, 0.3, every=0.005) is not None

    def _look(self):
        self.found = self.redis.send("XRANGE", EVENTS, "-", "+")
        return self.found

    def counted(self):
        """Requests of all arms."""
        return sum(arm["requests"] for arm in self._status()["arms"].values())

    def _status(self):
        """A server that has to wait for Redis says so; it is asked again."""
        for _ in range(TRIES):
            status, body = self.control.call("GET", "/api/models/m/release")
            if status == 200:
                return body
            time.sleep(0.3)
        raise RuntimeError(f"GET release: {status} {body}\n{self.log()}")

    def look(self):
        """CPU seconds of the whole process, which answers nobody meanwhile."""
        with open(f"/proc/{self.server.pid}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return {"leader cpu": (int(fields[11]) + int(fields[12])) * TICK,
                "leader counted": self.counted()}

    def log(self):
        """What it has logged last."""
        return self.server.stderr()[-3000:]

    def check(self):
        if self.server.process.poll() is not None:
            raise RuntimeError(f"the server has ended:\n{self.server.stderr()}")

    def finish(self, said):
        """What it has counted of what was said. `wrong`: what is more than that, later."""
        want = said["outcomes"] + self.own
        wait_until(lambda: self.counted() >= want, SECONDS, every=0.1)
        wait_until(lambda: self.redis.send("XLEN", EVENTS) == b"0", 10, every=0.1)
        status = self._status()
        return {"outcomes": self.counted() - self.own, "wrong": [],
                "same programs": self.same_programs, "fleet": status["fleet"],
                "feedback": status["feedback"], "log": self.log(),
                "rss": self.server.rss_bytes()}

    def end(self):
        if self.server is not None:
            self.server.kill()
        self.folder.__exit__()
