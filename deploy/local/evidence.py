"""What clients and nginx have seen of one stretch of a proof, read from what they have written down."""

import json
from collections import Counter, defaultdict
from pathlib import Path

GOLDEN = Path(__file__).resolve().parents[2] / "examples/golden"
NEAR = 1e-3


class Answer:
    """One line of load.py's. `kind`: p through nginx, dN- directly to replica N, f feedback."""

    __slots__ = ("kind", "sent", "came", "user", "request_id", "status", "version", "what")

    def __init__(self, fields):
        (self.kind, self.sent, self.came, self.user, self.request_id, self.status, self.version,
         self.what) = fields


class Asked:
    """One line of nginx's log: which replicas it asked, in order, and what each said."""

    __slots__ = ("at", "status", "replicas", "statuses", "request_id", "path")

    def __init__(self, line):
        at, status, replicas, statuses, self.request_id, self.path = line.split("|")
        self.at, self.status = float(at), int(status)
        # A colon is between those of one location and those of the next.
        self.replicas, self.statuses = (text.replace(" : ", ", ").split(", ")
                                        for text in (replicas, statuses))


class Tail:
    """What has been added to a file since the last look, in whole lines."""

    def __init__(self, path):
        self.path, self.place = path, 0

    def lines(self):
        with open(self.path, "rb") as file:
            file.seek(self.place)
            data = file.read()
        data = data[:data.rfind(b"\n") + 1]
        self.place += len(data)
        return data.decode().splitlines()


def expected():
    """{of versions with an odd number, an even one: what each row's answer is}"""
    out = []
    for version in (2, 1):  # even ones are copies of v2, odd ones of v1
        with open(GOLDEN / f"breast_cancer.v{version}.jsonl") as lines:
            out.append([json.loads(line) for line in lines])
    return out


class Stretch:
    """All that was asked between two moments at which nothing was under way."""

    def __init__(self, answers, asked):
        self.all = [one for one in answers if one.kind != "f"]
        self.feedback = [one for one in answers if one.kind == "f"]
        self.asked = asked
        self.retried = [one for one in asked if len(one.replicas) > 1]

    def given(self):
        """{version: answers}; of failures, which have no version, None."""
        return Counter(one.version if one.status == 200 else None for one in self.all)

    def injected(self):
        """Failures that a version was told to have."""
        return [one for one in self.all if one.what == "injected_fault"]

    def failed(self):
        """All others."""
        return [(one.request_id, one.status, one.what) for one in self.all
                if one.status != 200 and one.what != "injected_fault"]

    def wrong(self, golden, besides=()):
        """Answers that are not what their version answers to that row."""
        out = []
        for one in self.all:
            if one.status != 200 or one.version in besides:
                continue
            row, prediction, confidence = one.what
            want = golden[int(one.version[1:]) % 2][row]
            if prediction != want["prediction"] or abs(confidence - want["confidence"]) > NEAR:
                out.append((one.request_id, one.version, one.what))
        return out

    def sequences(self, but=()):
        """{user: the versions that it had, in order, each repetition once}; without the requests with
        these ids."""
        out = defaultdict(list)
        for one in sorted(self.all, key=lambda one: one.sent):
            if one.status == 200 and one.request_id not in but and (
                    not out[one.user] or out[one.user][-1] != one.version):
                out[one.user].append(one.version)
        return out

    def last(self, version, kind):
        """When the last request was sent to which this version answered, or failed as told; 0: none."""
        return max((one.sent for one in self.all if one.kind == kind and
                    (one.version == version or one.what == "injected_fault")), default=0.0)

    def told(self):
        """Of feedback: taken, taken but the client had to tell it again to know, unknown, failed."""
        out = Counter()
        for one in self.feedback:
            if one.status == 200 or (one.status == 409 and len(one.what) > 1):
                out["taken"] += 1
                out["told again"] += len(one.what) > 1
            else:
                out["unknown" if one.status == 404 else "failed"] += 1
        return out

    def not_told(self):
        return [(one.request_id, one.status, one.what) for one in self.feedback
                if one.status not in (200, 404) and not (one.status == 409 and len(one.what) > 1)]

    def answered_by(self, address, since, until):
        """The ids of predictions that this replica answered between these times, by nginx's log."""
        return {one.request_id for one in self.asked
                if one.replicas[-1] == address and since <= one.at <= until and
                one.status == 200 and one.path != "/feedback"}
