#!/usr/bin/python3
# alone: no request may go to a canary 100 ms after the one that decided against it
"""How soon a bad canary gets nothing any more."""

import time

from lib.canary import AFTER, BAD, GOOD, Tried
from lib.release import Load, request
from lib.server import Report


def soon(report):
    """Within 100 ms of the deciding request no further one goes to the canary: when it begins under
    load, at whatever moment, as when it has run for a while."""
    for i, (share, before, wait) in enumerate(
            ((50, 0, 0), (50, 0.05, 0), (50, 0.1, 0), (50, 0.15, 0), (50, 0.2, 0), (5, 0.1, 0),
             (50, 0, 0.7), (5, 0, 0.7))):
        what = f"{i}: {share} %, " + ("after a while" if wait else "straight away")
        late, said = tried(report, what, share, before, wait)
        if late > AFTER:  # a pause of the machine, perhaps: the server's own delay comes again
            print(f"  {what}: {said}; once more", flush=True)
            late, said = tried(report, what, share, before, wait)
        report.check(f"{what}: no request after 100 ms", late <= AFTER, said)


def tried(report, what, share, before, wait):
    """How long after the deciding request the canary's last one was sent, and the same in words."""
    with Tried() as folder:
        row = [GOOD if wait else BAD]
        with Load(folder.server, lambda n: request(features=row[0])) as load:
            time.sleep(before)
            folder.start(start=share, interval="60s")
            time.sleep(wait)
            row[0] = BAD
            back = folder.reaches("rolled_back")
            time.sleep(0.3)
        failed = sorted((one for one in load.answers if one.status == 500),
                        key=lambda one: one.came)
        if not report.check(f"{what}: rolled back", back and failed, folder.control.get()):
            return 0, ""
        # A canary of which every request fails is decided about after some 10.
        decided = failed[min(20, len(failed)) - 1].came
        late = failed[-1].sent - decided
        return late, f"{len(failed)} failed, the last {late * 1000:.0f} ms after the 20th"


if __name__ == "__main__":
    Report("release_canary_soon").run(soon)
