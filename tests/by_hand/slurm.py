#!/usr/bin/python3
"""deploy/batch/slurm.sh on a Slurm cluster of this machine, by hand: apt-get install slurm-wlm munge.
The tasks take their shards from Slurm's variables, one is sent back to the queue and begun again, and
the job that waits for them makes the bytes of one run.

It is in no suite: on a machine that is busy with other things, sending back has been seen to fail,
and jobs to wait for minutes. SLUICE_SERVER is the binary, BATCH_ROWS the table's rows.
"""

import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

import slurm_cluster as slurm  # noqa: E402
from batch_machines import (DEPLOY, MODEL, ROWS, SMALL, WAIT, Table,  # noqa: E402
                            wait_for_part)
from lib.server import BINARY, Report, environment  # noqa: E402


def submit(cluster, folder, *arguments, **env):
    done = cluster.run(DEPLOY / "slurm.sh", *arguments, cwd=folder,
                       env={**environment(), "SLUICE": str(BINARY), **env})
    if done.returncode != 0:
        raise RuntimeError(f"slurm.sh: {done.stderr}")
    return done.stdout.split()


def logs(folder, job):
    return {file.name: file.read_text() for file in folder.glob(f"sluice-batch-{job}*.log")}


def slurm_array(report, table, cluster):
    """Tasks take their shards from Slurm's variables; one is sent back to the queue in the middle."""
    folder = table.folder("slurm")
    array, merge = submit(cluster, folder, MODEL, table.input, "out.csv", *SMALL, SHARDS="3")
    # Else everything might be over before this test gets its turn.
    report.equal("held", cluster.run("scontrol", "hold", merge).returncode, 0)
    shard = folder / "out.csv.shard-2-of-3.parts"
    until = time.monotonic() + WAIT
    report.check("a part is finished",
                 wait_for_part(shard, lambda: time.monotonic() < until))
    try:
        cluster.begin_again(array, 1)
    except RuntimeError:
        print(f"  {logs(folder, array)}")
        raise
    cluster.run("scontrol", "release", merge)
    jobs = cluster.wait_ended()
    report.equal("jobs", sorted(job["JobState"] for job in jobs), ["COMPLETED"] * 4)
    report.equal("begun again", [job["Restarts"] for job in jobs if job.get("ArrayTaskId") == "1"],
                 ["1"])
    said = logs(folder, array)
    for number in range(3):
        report.check(f"task {number} has its shard", f"shard {number + 1} of 3 is done" in
                     said.get(f"sluice-batch-{array}_{number}.log", ""), str(said))
    report.check("the one begun again kept its part",
                 "earlier" in said[f"sluice-batch-{array}_1.log"], str(said))
    report.check("joined by the job that waited",
                 f"{ROWS} written" in str(logs(folder, merge)), str(logs(folder, merge)))
    table.check(report, folder / "out.csv")


def slurm_failure(report, table, cluster):
    """A task that fails: nothing is joined. An array that is not all shards is refused."""
    folder = table.folder("slurm-failure")
    submit(cluster, folder, folder / "none", table.input, "out.csv", SHARDS="1")
    alone = cluster.run("sbatch", "--parsable", "--array=2", DEPLOY / "slurm.sh", MODEL,
                        table.input, "alone.csv", cwd=folder,
                        env={**environment(), "SLUICE": str(BINARY)}).stdout.strip()
    states = {job["JobId"]: job for job in cluster.wait_ended()}
    new = [job for job in states.values() if job["WorkDir"] == str(folder)]
    report.equal("failed, and cancelled", sorted(job["JobState"] for job in new),
                 ["CANCELLED", "FAILED", "FAILED"])
    report.check("an array of one is told", "not all shards" in str(logs(folder, alone)),
                 str(logs(folder, alone)))
    report.equal("no output", list(folder.glob("*.csv*")), [])


def main():
    if slurm.missing():
        sys.exit(f"not installed: {', '.join(slurm.missing())}; apt-get install slurm-wlm munge")
    with tempfile.TemporaryDirectory(prefix="by-hand-slurm-") as scratch:
        table = Table(Path(scratch))

        def cluster_of_one(report):
            with slurm.Slurm(table.folder("cluster")) as cluster:
                slurm_array(report, table, cluster)
                slurm_failure(report, table, cluster)

        Report("slurm").run(cluster_of_one)


if __name__ == "__main__":
    main()
