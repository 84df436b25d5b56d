"""The group `release`: the statistics of releases, simulated (`bench/release`). It asks nothing of
servers; every run has a fixed seed, so that two machines print the same numbers."""
import json
import subprocess
from pathlib import Path

from .servers import BenchError


def simulate(site, runs):
    """What was found, as the program's own lines have it; it prints them itself."""
    file = Path(site.temp, "release.json")
    done = subprocess.run([site.binary("bench_release"), "--runs", str(runs), "--json", file])
    if done.returncode != 0:
        raise BenchError(f"bench_release ended with {done.returncode}")
    return json.loads(file.read_text())
