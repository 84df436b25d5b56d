"""A redis-server of this test's own, and as much of a client as tests need."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from .ports import free_port

SERVER = shutil.which("redis-server")
# Files in memory where there is room: they outlive a killed server as well, and a disk that is busy
# with other tests does not hold up every replica for as long as one fsync takes.
MEMORY = Path("/dev/shm")
ROOM = 128 << 20


def quick_folder():
    roomy = MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ROOM
    return MEMORY if roomy else None


class Redis:
    """`with Redis() as redis:` answers at `redis.url` inside the block. It can be ended and started
    again at the same port, and stopped (SIGSTOP) and let go."""

    def __init__(self, *arguments):
        self.port = free_port()
        self.arguments = arguments
        self.scratch = tempfile.TemporaryDirectory(prefix="e2e-redis-", dir=quick_folder())
        self.process = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.kill()
        self.scratch.cleanup()

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self):
        self.process = subprocess.Popen(
            [SERVER, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir",
             self.scratch.name, *self.arguments], stdout=subprocess.DEVNULL)
        until = time.monotonic() + 10
        while time.monotonic() < until:
            try:
                return socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                time.sleep(0.02)
        raise RuntimeError("redis-server does not listen")

    def kill(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        self.process = None

    def call(self, *commands):
        """The raw replies of these commands, as one text of bytes."""
        with socket.create_connection(("127.0.0.1", self.port), 10) as connection:
            data = b"".join(encode(command) for command in commands)
            connection.sendall(data + encode(["PING", "the end of it"]))
            out = b""
            while not out.endswith(b"the end of it\r\n"):
                piece = connection.recv(1 << 20)
                if not piece:
                    break
                out += piece
            return out

    def hset(self, key, fields):
        """Replaces the hash."""
        pairs = [part for pair in fields.items() for part in pair]
        self.call(["DEL", key], ["HSET", key, *pairs])


def encode(command):
    parts = [part if isinstance(part, bytes) else str(part).encode() for part in command]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts)
