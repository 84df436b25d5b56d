#!/usr/bin/python3
"""How much the shared state of a fleet has to carry: replicas that beat at a real Redis with the
server's own programs, and one that leads, reads and forgets. Prints what was measured beside what
the formulas of fleet_model.py say. See docs/scale.md.

Usage: tools/sim/fleet_traffic.py [--replicas 10,100,1000] [--outcomes 1e4,1e5,1e6] [--seconds 5]
           [--stretch 1] [--beat 0.1] [--processes 1] [--rounds 3] [--redis "--appendonly yes"]
       tools/sim/fleet_traffic.py --server simple …    `sluice serve` leads instead, and counts

"reached" is the part of the beats that there was time for, "model" what the formulas say of those,
"if all" of all of them.

--stretch 4: a second of the fleet takes four, so that a small machine carries a large fleet; counts
and CPU time are told per second of the fleet. 0: as much as two idle cores need; --slower 3: three
times that, for cores that are not idle.
"""

import argparse
import functools
import json

import fleet_model
import fleet_server
from fleet_simulation import Plan, simulate, wrong_with

# --- the formulas' constants --------------------------------------------------------------------

# Cells that the table does not have, from which the five costs follow.
CALIBRATION = [
    dict(replicas=10, outcomes=0),
    dict(replicas=400, outcomes=0),
    dict(replicas=400, outcomes=0, beat=0.4),
    dict(replicas=400, outcomes=4e3),
    dict(replicas=200, outcomes=2e5),
]


def calibrate(options):
    """From the medians of some rounds, in which the cells take turns."""
    results = [[] for _ in CALIBRATION]
    for _ in range(options.rounds):
        for cell, found in zip(CALIBRATION, results):
            plan = Plan(**cell, seconds=options.seconds, redis=options.redis)
            plan.stretch = stretch_of(options, plan.outcomes, plan.replicas / plan.beat)
            found.append(checked(simulate(plan)))
    rows, right = [], []
    for found in results:
        found.sort(key=lambda result: result["redis cpu"])
        median = found[len(found) // 2]
        often = fleet_model.counts(as_reached(median))
        rows.append([1.0] + [often[part] for part in fleet_model.PARTS])
        right.append(median["redis cpu"])
    return dict(zip(("idle", *fleet_model.PARTS), fleet_model.solve(rows, right)))


def as_reached(result):
    """A machine that is busy beats less often than it should: the formulas are of what it did."""
    plan = Plan(**result["plan"])
    plan.beat = plan.replicas / result["beats/s"]
    return plan


def checked(result):
    wrong = wrong_with(result)
    if wrong:
        raise RuntimeError("; ".join(wrong) + "\n" + result["seen"].get("log", ""))
    return result


def stretch_of(options, outcomes, beats):
    return options.stretch or options.slower * max(1, round(outcomes / 2e5 + beats / 4e3))


def plans(options):
    for replicas in options.replicas:
        for outcomes in options.outcomes:
            yield Plan(replicas=replicas, outcomes=outcomes, seconds=options.seconds,
                       beat=options.beat, leader_beat=options.leader_beat,
                       stretch=stretch_of(options, outcomes, replicas / options.beat),
                       processes=options.processes, pause=options.pause,
                       most_waiting=int(options.most_waiting),
                       back_off=options.back_off, redis=options.redis)


HEAD = (f"{'replicas':>8} {'outcomes/s':>10} {'stretch':>7}  {'beats/s':>8} {'reached':>7}  "
        f"{'Redis CPU':>9} {'model':>6} {'off':>6} {'if all':>6}  {'MB/s in':>7} {'model':>6}  {'out':>6} "
        f"{'model':>6}  {'MB wait':>7} {'model':>6} {'memory':>6}  {'p50 ms':>6} {'p99':>6} "
        f"{'load':>5}")


def line(result, costs):
    plan = as_reached(result)
    wanted = plan.replicas / result["plan"]["beat"]
    model, full = (fleet_model.cpu(one, costs) if costs else float("nan")
                   for one in (plan, Plan(**result["plan"])))
    sizes = fleet_model.sizes()
    return (f"{plan.replicas:8,} {plan.outcomes:10,.0f} {plan.stretch:7g}  {result['beats/s']:8,.0f} "
            f"{result['beats/s'] / wanted:7.2f}  "
            f"{result['redis cpu']:9.3f} {model:6.3f} {model / result['redis cpu'] - 1:+6.0%} "
            f"{full:6.3f}  {result['in/s'] / 1e6:7.2f} {fleet_model.bytes_in(plan, sizes) / 1e6:6.2f}  "
            f"{result['out/s'] / 1e6:6.2f} {fleet_model.bytes_out(plan, sizes) / 1e6:6.2f}  "
            f"{result['waiting'] / 1e6:7.2f} {fleet_model.waiting(plan) / 1e6:6.2f} "
            f"{result['memory'] / 1e6:6.1f}  "
            f"{result['wait p50 ms']:6.1f} {result['wait p99 ms']:6.1f} {result['load']:5.1f}")


LEADERS = {
    "simple": fleet_server.ServerLeader,
    "open": functools.partial(fleet_server.ServerLeader, users=False, ids=False),
}


def listed(kind):
    return lambda text: [kind(float(word)) for word in text.split(",")]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--replicas", type=listed(int), default=[10, 100, 1000])
    parser.add_argument("--outcomes", type=listed(float), default=[1e4, 1e5, 1e6])
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--stretch", type=float, default=1)
    parser.add_argument("--slower", type=float, default=1, help="see --stretch 0")
    parser.add_argument("--rounds", type=int, default=1, help="for the formulas' constants")
    parser.add_argument("--beat", type=float, default=Plan.beat, help="seconds")
    parser.add_argument("--leader-beat", type=float, default=Plan.leader_beat)
    parser.add_argument("--pause", type=float, default=0,
                        help="seconds in which nobody leads, as after the leader's death")
    parser.add_argument("--most-waiting", type=float, default=0, help="bytes of events that Redis "
                        "keeps; 0: as many as with the server")
    parser.add_argument("--back-off", type=float, default=0, help="seconds until an event that was "
                        "not kept is said again; 0: at the next beat, as the server does")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--redis", type=lambda text: tuple(text.split()), default=())
    parser.add_argument("--server", choices=LEADERS, help="sluice serve leads; outcomes as of the "
                        "simple API (users and request ids) or of the open protocol (neither)")
    parser.add_argument("--no-model", action="store_true")
    parser.add_argument("--json", help="a file for all that was measured")
    return parser.parse_args()


def print_server(result):
    """CPU and what has been counted, of the server that leads."""
    plan, counted = Plan(**result["plan"]), result["leader counted"]
    cpu = result["leader cpu"]
    print(f"{plan.replicas:,} replicas, {plan.outcomes:,.0f} outcomes/s: {counted:,.0f}/s counted, "
          f"leader's CPU {cpu:.3f} ({1e6 * cpu / max(1, counted):.2f} µs an outcome), Redis' "
          f"{result['redis cpu']:.3f}, {result['in/s'] / 1e6:.1f} MB/s in, "
          f"{result['out/s'] / 1e6:.1f} out, {result['waiting'] / 1e6:.0f} MB waited, "
          f"Redis' memory +{result['memory'] / 1e6:.0f} MB, leader's RSS "
          f"{result['seen']['rss'] / 1e6:.0f} MB, load {result['load']:.1f}", flush=True)


def main():
    options = arguments()
    costs = None
    if not options.server and not options.no_model:
        costs = calibrate(options)
        print("Redis' CPU, µs: " + ", ".join(f"{name} {1e6 * cost:.4g}"
                                            for name, cost in costs.items()))
    if not options.server:
        print(HEAD)
    results = []
    for plan in plans(options):
        if options.server:
            result = checked(simulate(plan, LEADERS[options.server]))
            print_server(result)
        else:
            result = checked(simulate(plan))
            print(line(result, costs), flush=True)
            if plan.pause:
                print(f"         nobody read for {plan.pause} s: {result['said']['refused']:,} events "
                      f"refused, beside {result['said']['events']:,}; all was read "
                      f"{result['seen']['behind']:.1f} s after")
        results.append(result)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"costs": costs, "results": results}, file, indent=1)


if __name__ == "__main__":
    main()
