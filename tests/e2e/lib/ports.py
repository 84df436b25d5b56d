"""A port for a program that must be told one, or that goes away and comes back at the same one."""

import random
import socket
from pathlib import Path

LOWEST = 10240
EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
given = set()  # by this process: whoever got one may not listen yet


def free_port():
    """Below those that the system gives to whoever binds to port 0 or connects: suites run side by
    side, and while nobody listens at this one, none of them gets it by chance."""
    end = max(LOWEST + 1000, int(EPHEMERAL.read_text().split()[0]))
    chance = random.SystemRandom()  # suites that seed 'random' would meet
    while True:
        port = chance.randrange(LOWEST, end)
        if port in given:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        given.add(port)
        return port
