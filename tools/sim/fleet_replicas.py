"""Replicas as far as Redis sees them: each has a connection of its own and beats; one of them reads
what all have said and forgets it.

An event is what a replica would send: outcomes of 80 bytes. The first one's id tells whose it is and
the how manieth, by which the reader knows that each has come once.
"""

import heapq
import os
import random
import select
import socket
import time

import shared_state
from shared_state import EVENT_HEAD, ID_AT, OUTCOME, Calls, Heard, bulk, numbers

NAN = float("nan")
LEADER = "r-leader"
SIMPLE = OUTCOME.pack(1, 0, 0, 0, 1.0, NAN, 0, 0, 1, 0.5, 1.0, 0, 0, 0)
LONGEST_WAIT = 20.0  # for the last answers


def name_of(number):
    return f"r-{number:016x}"


class Events:
    """Makes the bytes of events of `k` outcomes like `template`. `columns`: the bytes of an outcome
    that are random in each; without any the first one's id tells replica and sequence, and the
    others are alike, which is quicker to make and the same to Redis."""

    def __init__(self, template, columns):
        self.template, self.columns = template, columns
        self.made = {}
        self.random = os.urandom(1 << 20) if columns else b""

    def __call__(self, k, replica, sequence):
        event = self.made.get(k)
        if event is None:
            event = self.made[k] = bytearray(EVENT_HEAD.pack(b"o", k) + self.template * k)
        for column in self.columns or ():
            at = random.randrange(len(self.random) - k)
            event[EVENT_HEAD.size + column::OUTCOME.size] = self.random[at:at + k]
        if self.columns is None:
            event[ID_AT:ID_AT + 16] = (replica.to_bytes(8, "little") +
                                       sequence.to_bytes(8, "little"))
        return bytes(event)


class Follower:
    """One replica: beats, and says again what was not kept."""

    def __init__(self, number, port, plan):
        self.number = number
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        words = shared_state.beat_words(name_of(number), 0, b"", stretch=plan.stretch,
                                        most_waiting=plan.most_waiting)
        head = ("EVALSHA", shared_state.digest("beat"), 1, shared_state.prefix(), *words[:3])
        self.head = b"*%d\r\n" % (4 + len(words)) + b"".join(map(bulk, head))
        self.tail = b"".join(map(bulk, words[5:]))
        self.sequence, self.event, self.outcomes = 0, b"", 0
        self.owed, self.owed_since = 0.0, 0.0
        self.sent = 0.0
        self.under_way = self.says = False  # a beat; one with the event
        self.quiet_until = 0.0
        self.unsent = memoryview(b"")  # of the beat that is under way
        self.answer = b""

    def beat(self, now, rate, events):
        """What has happened since the last one becomes an event, unless one is still being said."""
        self.owed += rate * (now - self.owed_since)
        self.owed_since = now
        if not self.event:
            k = min(int(self.owed), numbers()["in_event"])
            if k > 0:
                self.owed -= k
                self.sequence += 1
                self.event, self.outcomes = events(k, self.number, self.sequence), k
        self.sent = now
        self.says = bool(self.event) and now >= self.quiet_until
        event = self.event if self.says else b""
        self.unsent = memoryview(b"".join((self.head, bulk(self.sequence), bulk(event), self.tail)))
        return self.flush()

    def flush(self):
        """Whether all is sent."""
        try:
            while self.unsent:
                self.unsent = self.unsent[self.socket.send(self.unsent):]
        except BlockingIOError:
            return False
        return True

    def receive(self):
        """The words of an answer; None: not all of it is here yet."""
        try:
            data = self.socket.recv(1 << 16)
        except BlockingIOError:
            return None
        if not data:
            raise RuntimeError("Redis has closed a replica's connection")
        self.answer += data
        # No text of such an answer has a line's end in it: that of what was published has none.
        lines = self.answer.split(b"\r\n")
        if lines[0][:1] != b"*":
            raise RuntimeError(f"Redis refuses a beat: {lines[0]!r}")
        if len(lines) < 2 * int(lines[0][1:]) + 2:
            return None
        self.answer = b""
        return lines[2::2]


class Followers:
    """`count` replicas in one process, from number `first` on, that say `rate` outcomes a second
    each. Run for `seconds`; `said` has what it came to."""

    def __init__(self, port, first, count, plan, template=SIMPLE, columns=None):
        """`plan`: see fleet_traffic.Plan."""
        self.plan, self.rate = plan, plan.outcomes / plan.replicas / plan.stretch
        self.first = first
        self.events = Events(template, columns)
        self.all = [Follower(first + i, port, plan) for i in range(count)]
        self.by_file = {one.socket.fileno(): one for one in self.all}
        self.poll = select.epoll()
        for file in self.by_file:
            self.poll.register(file, select.EPOLLIN)
        self.waiting = 0  # whose answer is not here
        self.said = {"beats": 0, "events": 0, "outcomes": 0, "refused": 0, "waits": []}

    def run(self, seconds):
        beat = self.plan.beat * self.plan.stretch
        began = time.monotonic()
        end = began + seconds
        # (when it is due, which), evenly through the first beat.
        due = [(began + beat * i / len(self.all), i) for i in range(len(self.all))]
        for one in self.all:
            one.owed_since = began
        while (now := time.monotonic()) < end:
            while due and due[0][0] <= now:
                self._beat(self.all[heapq.heappop(due)[1]], now)
            wait = (due[0][0] - time.monotonic()) if due else end - now
            for one in self._listen(min(wait, end - now)):
                heapq.heappush(due, (max(one.sent + beat, time.monotonic()),
                                     one.number - self.first))
        self._finish()
        return self.said

    def _finish(self):
        """What was said and not kept is said once more, until it is."""
        until = time.monotonic() + LONGEST_WAIT
        while time.monotonic() < until:
            self._listen(0.1)
            again = [one for one in self.all if one.event and not one.under_way]
            if not again and not self.waiting:
                return
            for one in again:
                self._beat(one, time.monotonic())
        raise RuntimeError(f"{self.waiting} replicas had no answer at the end, or their events "
                           "were not kept")

    def _beat(self, one, now):
        self.said["beats"] += 1
        self.waiting += 1
        one.under_way = True
        if not one.beat(now, self.rate, self.events):
            self.poll.modify(one.socket.fileno(), select.EPOLLIN | select.EPOLLOUT)

    def _listen(self, seconds):
        """Those that had their answer."""
        done = []
        for file, kinds in self.poll.poll(max(0.0, seconds)):
            one = self.by_file[file]
            if kinds & select.EPOLLOUT and one.flush():
                self.poll.modify(file, select.EPOLLIN)
            if not kinds & ~select.EPOLLOUT:
                continue
            words = one.receive()
            if words is not None:
                self._heard(one, Heard(words))
                done.append(one)
        return done

    def _heard(self, one, heard):
        self.waiting -= 1
        one.under_way = False
        self.said["waits"].append(time.monotonic() - one.sent)
        if not one.says:
            return
        if not heard.kept:
            self.said["refused"] += 1
            one.quiet_until = time.monotonic() + self.plan.back_off * self.plan.stretch
            return
        self.said["events"] += 1
        self.said["outcomes"] += one.outcomes
        one.event = b""


class Leader:
    """Beats, reads, forgets, as often as the server does. Keeps no event, and knows of each replica
    the last one."""

    def __init__(self, port, plan, calls):
        """`calls`: a shared counter of the programs that it has run."""
        self.plan, self.counter = plan, calls
        self.calls = Calls(socket.create_connection(("127.0.0.1", port)))
        self.place = 0
        self.last = {}
        self.seen = {"events": 0, "outcomes": 0, "replicas": 0, "wrong": [], "beats": 0, "reads": 0,
                     "behind": 0.0}
        self.token = 0

    def lead(self):
        """Takes the lease, which must be free."""
        self._beat()
        if not self.token:
            raise RuntimeError("the lease is somebody else's")

    def run(self, stop):
        stretch, know = self.plan.stretch, numbers()
        # Name, how often, and when it is due next.
        tasks = [[self._beat, self.plan.leader_beat * stretch], [self.read, know["read"] / 1000 *
                 stretch], [self.forget, know["save"] / 1000 * stretch]]
        began = time.monotonic()
        due = [began + every for _, every in tasks]
        pause = began + self.plan.warm + 0.5 * stretch if self.plan.pause else float("inf")
        while not stop.is_set():
            now = time.monotonic()
            if now >= pause:
                pause = float("inf")
                stop.wait(self.plan.pause * stretch)
                self._catch_up()
            for i, (task, every) in enumerate(tasks):
                if due[i] <= now:
                    task()
                    due[i] = now + every
            self.counter.value = self.calls.asked
            time.sleep(max(0.0, min(due) - time.monotonic()))
        while self.read():
            pass
        self.forget()
        return {**self.seen, "by replica": self.last}

    def _catch_up(self):
        began = time.monotonic()
        self._beat()
        while self.read():
            self.forget()
        self.seen["behind"] = (time.monotonic() - began) / self.plan.stretch

    def _beat(self):
        words = self.calls.run("beat", *shared_state.beat_words(
            LEADER, 0, b"", wants=1, stretch=self.plan.stretch))
        heard = Heard(words)
        self.seen["beats"] += 1
        self.seen["replicas"] = max(self.seen["replicas"], len(heard.replicas))
        self.token = heard.token if heard.leader == LEADER else 0

    def read(self):
        """How many events there were."""
        before, know = self.seen["events"], numbers()
        for _ in range(know["pieces"]):
            words = self._run("events", self.place, know["at_once"])
            self.seen["reads"] += 1
            if words[0] != b"ok" or len(words) % 3 != 1:
                raise RuntimeError(f"events are not well formed: {words[:2]}")
            if len(words) == 1:
                break
            for i in range(1, len(words), 3):
                self._take(int(words[i]), words[i + 1], words[i + 2])
        return self.seen["events"] - before

    def forget(self):
        words = self._run("forget_events", self.place)
        if words != [b"ok"]:
            raise RuntimeError(f"nothing was forgotten: {words}")

    def _run(self, name, *words):
        """Under the lease, which is taken again where it was over: on a machine that is busy."""
        said = self.calls.run(name, self.token, *words)
        if said == [b"fenced"]:
            self._beat()
            said = self.calls.run(name, self.token, *words)
        return said

    def _take(self, place, name, event):
        kind, k = EVENT_HEAD.unpack_from(event)
        replica = int.from_bytes(event[ID_AT:ID_AT + 8], "little")
        sequence = int.from_bytes(event[ID_AT + 8:ID_AT + 16], "little")
        right = (place == self.place + 1 and kind == b"o" and name.decode() == name_of(replica) and
                 len(event) == EVENT_HEAD.size + k * OUTCOME.size and
                 sequence == self.last.get(replica, 0) + 1)
        if not right and len(self.seen["wrong"]) < 5:
            self.seen["wrong"].append((place, self.place, name.decode(), replica, sequence))
        self.place, self.last[replica] = place, sequence
        self.seen["events"] += 1
        self.seen["outcomes"] += k
