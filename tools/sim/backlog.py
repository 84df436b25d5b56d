#!/usr/bin/python3
"""What a server does with outcomes that have piled up: it is stopped while they are said, and then
let go. Prints what it has counted, whether it could forget them, and what it has logged.

Usage: tools/sim/backlog.py [--events 60] [--size 10000] [--server simple|open] [--seconds 25]
"""

import argparse
import signal
import socket
import time

import shared_state
from fleet_replicas import Events, name_of
from fleet_server import EVENTS, ServerLeader
from fleet_simulation import Plan, Redis
from shared_state import Calls


def pile_up(redis, leader, options):
    """Seconds until all were counted and forgotten; None: never."""
    events = Events(leader.template, leader.columns)
    leader.server.signal(signal.SIGSTOP)
    for i in range(options.events):
        event = events(options.size, i, 1)
        words = shared_state.beat_words(name_of(i), 1, event)
        if not shared_state.Heard(redis.run("beat", *words)).kept:
            raise RuntimeError(f"Redis has no room for the event {i}")
    leader.server.signal(signal.SIGCONT)
    began = time.monotonic()
    while time.monotonic() - began < options.seconds:
        time.sleep(0.2)
        if redis.send("XLEN", EVENTS) == b"0":
            return time.monotonic() - began
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--events", type=int, default=60)
    parser.add_argument("--size", type=int, default=10_000, help="outcomes in each")
    parser.add_argument("--server", choices=["simple", "open"], default="simple")
    parser.add_argument("--seconds", type=float, default=25)
    options = parser.parse_args()
    simple = options.server == "simple"
    with Redis() as server:
        redis = Calls(socket.create_connection(("127.0.0.1", server.port)))
        redis.load()
        leader = ServerLeader(server.port, Plan(), users=simple, ids=simple)
        try:
            took = pile_up(redis, leader, options)
            left = int(redis.send("XLEN", EVENTS))
            print(f"{options.events * options.size:,} outcomes had piled up: " +
                  (f"counted and forgotten after {took:.1f} s" if took is not None else
                   f"{left} of {options.events} events are there still"))
            print(leader.log())
        finally:
            leader.end()


if __name__ == "__main__":
    main()
