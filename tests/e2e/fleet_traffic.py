#!/usr/bin/python3
# takes: 40 s
"""Fifty simulated replicas (tools/sim) that beat at a Redis with the server's own programs: what
they say is read, each event once and in order, by a simulated leader and by a server."""

import functools
import sys

from lib.server import ROOT, Report

sys.path.insert(0, str(ROOT / "tools/sim"))
import fleet_model  # noqa: E402
import fleet_server  # noqa: E402
import shared_state  # noqa: E402
from fleet_simulation import Plan, simulate, wrong_with  # noqa: E402

SMALL = Plan(replicas=50, outcomes=5e3, seconds=4)


def simulated(report):
    result = simulate(SMALL)
    said, seen = result["said"], result["seen"]
    report.equal("what was said was read, once, in order", wrong_with(result), [])
    report.check("something was said", said["events"] >= 50, said)
    report.check("as many outcomes as events or more", said["outcomes"] >= said["events"], said)
    report.check("every replica was heard", len({*range(50)} - set(seen["by replica"])) == 0,
                 seen["by replica"])
    report.equal("the leader hears of all, itself too", seen["replicas"], 51)


def in_large_events(report):
    """Some hundred kilobytes each, so that one answer has not room for all."""
    result = simulate(Plan(replicas=5, outcomes=2e5, seconds=2, processes=2))
    report.equal("what was said was read, once, in order", wrong_with(result), [])
    report.check("they were large", result["said"]["outcomes"] > 1000 * result["said"]["events"],
                 result["said"])


def nothing_happens(report):
    result = simulate(Plan(replicas=5, outcomes=0, seconds=1))
    report.equal("no event", (result["said"]["events"], result["seen"]["events"]), (0, 0))
    report.check("they beat", result["said"]["beats"] >= 10, result["said"])


def without_room(report):
    """Redis may keep less than what comes until it is forgotten: what it did not keep is said
    again, and counts once."""
    result = simulate(Plan(replicas=10, outcomes=3e4, seconds=4, most_waiting=10**6))
    report.check("some were refused", result["said"]["refused"] > 0, result["said"])
    report.check("never more was kept", result["waiting"] <= 10**6, result["waiting"])
    report.equal("what was said was read, once, in order", wrong_with(result), [])


def a_server_leads(report):
    for what, leader in (("simple", fleet_server.ServerLeader), ("open", functools.partial(
            fleet_server.ServerLeader, users=False, ids=False))):
        result = simulate(SMALL, leader)
        seen = result["seen"]
        report.check(f"{what}: its programs are those of the sources", seen["same programs"])
        report.check(f"{what}: something was said", result["said"]["outcomes"] > 1000,
                     result["said"])
        report.equal(f"{what}: it has counted what was said", wrong_with(result), [])
        report.equal(f"{what}: it hears of all", (seen["fleet"]["leads"],
                                                  seen["fleet"]["replicas"]), (True, 51))


def formulas(report):
    """Those that need no clock."""
    plan = Plan(replicas=1000, outcomes=1e6)
    often = fleet_model.counts(plan)
    report.equal("beats", round(often["beat"]), 10_010)
    report.equal("events", round(often["event"]), 10_000)
    report.equal("bytes of outcomes", often["byte"], 80e6)
    report.equal("an event for each outcome at most",
                 fleet_model.counts(Plan(replicas=1000, outcomes=100))["event"], 100)
    beat = shared_state.command("EVALSHA", shared_state.digest("beat"), 1, shared_state.prefix(),
                                *shared_state.beat_words("r-" + "0" * 16, 10**6, b""))
    report.equal("bytes of a beat", fleet_model.sizes()["beat in"], len(beat))
    report.equal("equations", [round(x, 9) for x in fleet_model.solve([[0, 2], [3, 1]], [4, 11])],
                 [3, 2])


if __name__ == "__main__":
    Report("fleet_traffic").run(formulas, simulated, in_large_events, nothing_happens,
                                without_room, a_server_leads)
