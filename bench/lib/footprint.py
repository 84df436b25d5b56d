"""Runs a program to its end and says what it took: time, processor and memory."""
import contextlib
import os
import re
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import NamedTuple

from .servers import BenchError

OFTEN, SELDOM = 0.02, 0.2  # seconds; adding up the pages of several processes is slow


class Run(NamedTuple):
    """`seconds` from start to end, `cpu` seconds and `peak` MiB of the process and its children."""
    output: str
    seconds: float
    cpu: float
    peak: float


class Watch(threading.Thread):
    """The peak of a process' memory: what the kernel has noted of it alone, or the sum with its
    children, in which a page that several share counts once, as looked at now and then."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.kib, self.over = pid, 0, threading.Event()

    def run(self):
        pause = OFTEN
        while not self.over.wait(pause):
            with contextlib.suppress(OSError, TypeError):  # it has ended meanwhile
                pids = tree(self.pid)
                if len(pids) > 1:
                    pause = SELDOM
                    self.kib = max(self.kib, sum(shared_kib(pid) for pid in pids))
                self.kib = max(self.kib, number_of(f"/proc/{self.pid}/status", "VmHWM"))


def tree(pid):
    """The process and all below it."""
    pids = [pid]
    for each in pids:
        for task in Path(f"/proc/{each}/task").iterdir():
            pids += [int(child) for child in (task / "children").read_text().split()]
    return pids


def shared_kib(pid):
    try:
        return number_of(f"/proc/{pid}/smaps_rollup", "Pss")
    except (OSError, TypeError):  # a child that has ended holds nothing
        return 0


def number_of(file, name):
    return int(re.search(rf"^{name}:\s+(\d+)", Path(file).read_text(), re.MULTILINE)[1])


def run(command, env=None):
    """Errors: BenchError with the end of what the program said."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
        began = time.monotonic()
        process = subprocess.Popen([str(part) for part in command], stdin=subprocess.DEVNULL,
                                   stdout=out, stderr=errors, env={**os.environ, **(env or {})})
        watch = Watch(process.pid)
        watch.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            process.wait()
            raise
        finally:
            watch.over.set()
        seconds = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        watch.join()
        if process.returncode != 0:
            errors.seek(0)
            raise BenchError(f"{Path(str(command[0])).name} ended with {process.returncode}: "
                             f"{errors.read().strip()[-300:]}")
        out.seek(0)
        return Run(out.read(), seconds, usage.ru_utime + usage.ru_stime, watch.kib / 1024)
