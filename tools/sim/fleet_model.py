"""What the shared state of a fleet costs, by formula. docs/scale.md explains them.

All rates are per second of the fleet.
"""

import shared_state
from shared_state import EVENT_HEAD, OUTCOME, numbers

# What Redis' CPU time is spent on, beside what it does each second whatever happens: the leader's
# looks for news, one each 50 ms.
PARTS = ("beat", "event", "byte", "listed")


def counts(plan):
    """How often a second each part of PARTS happens, and what follows from that alone."""
    beats = plan.replicas / plan.beat
    events = min(beats, plan.outcomes)  # a beat in which nothing happened says nothing
    return {
        "beat": beats + 1 / plan.leader_beat,
        "event": events,
        "byte": plan.outcomes * OUTCOME.size,
        # The leader hears of every replica at each of its beats.
        "listed": (plan.replicas + 1) / plan.leader_beat,
    }


def sizes():
    """Bytes on the wire beside the outcomes, with digits as many as there are after a day."""
    name, prefix = "r-" + "0" * 16, shared_state.prefix()
    token, place = b"1" * 13, b"1" * 9
    beat = shared_state.beat_words(name, 10**6, b"")
    # Now, life, leader, token, kept, no news, no letters, nobody listed.
    heard = [token, b"0" * 40, name, token, 1, 0, 0, 0, 0]
    event = [place, name, b""]
    return {
        "beat in": len(shared_state.command("EVALSHA", "0" * 40, 1, prefix, *beat)),
        "beat out": len(shared_state.command(*heard)),
        "event out": sum(len(shared_state.bulk(word)) for word in event),
        "listed out": sum(len(shared_state.bulk(word)) for word in (name, 123, 50)),
        "read in": len(shared_state.command("EVALSHA", "0" * 40, 1, prefix, token, place,
                                            numbers()["at_once"])),
    }


def reads(plan):
    """The leader asks until there is nothing more."""
    return 1000 / numbers()["read"] * (2 if plan.outcomes else 1)


def bytes_in(plan, sizes):
    """To Redis. `sizes`: see there."""
    often = counts(plan)
    return (often["beat"] * sizes["beat in"] + often["event"] * EVENT_HEAD.size + often["byte"] +
            reads(plan) * sizes["read in"])


def bytes_out(plan, sizes):
    often = counts(plan)
    return (often["beat"] * sizes["beat out"] + often["byte"] +
            often["event"] * (EVENT_HEAD.size + sizes["event out"]) +
            often["listed"] * sizes["listed out"])


def waiting(plan):
    """Bytes of events that wait at most. They are forgotten once a second, after what was seen has
    been stored; what came since the leader last looked is not read yet."""
    often = counts(plan)
    kept = (numbers()["save"] + numbers()["read"]) / 1000
    return (often["byte"] + often["event"] * EVENT_HEAD.size) * kept


def cpu(plan, costs):
    """Seconds of Redis' thread a second. `costs`: of one of each of PARTS."""
    often = counts(plan)
    return costs["idle"] + sum(often[part] * costs[part] for part in PARTS)


def solve(rows, right):
    """x of rows · x = right, by Gauss, with as many rows as unknowns."""
    table = [list(row) + [value] for row, value in zip(rows, right)]
    size = len(table)
    for i in range(size):
        best = max(range(i, size), key=lambda row: abs(table[row][i]))
        table[i], table[best] = table[best], table[i]
        for row in range(size):
            if row == i:
                continue
            factor = table[row][i] / table[i][i]
            table[row] = [a - factor * b for a, b in zip(table[row], table[i])]
    return [table[i][size] / table[i][i] for i in range(size)]
