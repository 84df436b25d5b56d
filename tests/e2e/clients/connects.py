#!/usr/bin/python3
"""The negative control of no_outgoing.sh: the shortest program that does what must be seen."""

import socket

with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagram:
    datagram.sendto(b"x", ("127.0.0.1", 9))
with socket.socket() as stream:
    stream.connect_ex(("127.0.0.1", 9))
