"""A repository to try canaries in, and what every decision must tell."""

import re

from . import tiny_onnx
from .folder import Folder, wait_until
from .release import Control, by_time, code, decision, request, seconds_of

# The bound of the contract: no request that is sent so long after the decision has the canary.
AFTER = 0.1  # seconds
ENOUGH = 60  # requests after that, so that there is something to see
BAD = (0.5, 9)  # the row that makes a fragile version fail
GOOD = (0.5, 0)
CANARY = {"policy": "canary", "stable": "v1", "canary": "v2"}


class Tried(Folder):
    """Model m: v1 is sound, v2 fails for BAD rows, v3 is slow, v4 is sound, v5 answers NaN where a row has a
    number below 0, v6 is several times as slow as v1, and still takes no millisecond."""

    def __init__(self, yaml=""):
        super().__init__()
        self.text = yaml

    def __enter__(self):
        self.put("m", "v1", code("v1"))
        self.put("m", "v2", tiny_onnx.fragile(code("v2")))
        self.put("m", "v3", code("v3"), work=2000)
        self.put("m", "v4", code("v4"))
        self.put("m", "v5", tiny_onnx.rooted(code("v5")))
        self.put("m", "v6", code("v6"), work=80)
        if self.text:
            self.yaml("m", self.text)
        self.control = Control(self.serve())
        return self

    def start(self, **more):
        status, body = self.control.put({**CANARY, **more})
        if status != 200:
            raise RuntimeError(f"PUT release: {status} {body}")
        return body

    def standing(self):
        return self.control.get()["state"]

    def reaches(self, state, seconds=30):
        return wait_until(lambda: self.standing() == state, seconds) is not None


def some_bad(n):
    """5 % of the rows."""
    return request(features=BAD if n % 20 == 7 else GOOD)


def explained(report, what, status):
    """Every decision has a time, one English sentence and numbers."""
    for entry in by_time(status["history"]):
        reason = entry["reason"]
        report.check(f"{what}: {entry['decision']} in one sentence",
                     re.fullmatch(r"\S.+\.", reason) and ". " not in reason, reason)
        report.check(f"{what}: {entry['decision']} has its time and weights",
                     seconds_of(entry) > 0 and abs(sum(entry["weights"].values()) - 1) < 1e-6,
                     entry)
        if entry["decision"] != "start":
            report.check(f"{what}: {entry['decision']} has the numbers behind it",
                         {each["metric"] for each in entry["numbers"]} >= {"errors", "latency"},
                         entry)
        if entry["by"] == "judge":
            report.check(f"{what}: {entry['decision']} says the numbers",
                         re.search(r"\d", reason), reason)


def load_after(control, load):
    """Until there was load after the canary was taken back, where it was."""
    entry = decision(control.get(), "rollback")
    if entry is None:
        return
    since = seconds_of(entry) + AFTER
    wait_until(lambda: sum(one.sent > since for one in load.answers) >= ENOUGH, 20)


def nobody_after(report, what, load, entry, version):
    """From 100 ms after the decision on, the version gives no answer and no failure."""
    since = seconds_of(entry) + AFTER
    late = [one for one in load.answers if one.sent > since]
    report.check(f"{what}: there was load afterwards", len(late) > 50, len(late))
    wrong = [(one.sent - since, one.status) for one in late
             if one.version == version or one.status != 200]
    report.equal(f"{what}: none of it had {version}", wrong[:5], [])
