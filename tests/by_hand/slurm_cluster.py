"""A Slurm cluster of this one machine in a folder: munged, slurmctld and slurmd, all on 127.0.0.1
and under the user that runs the test. They are ended by their own process ids."""

import os
import pwd
import shutil
import socket
import subprocess
import time

PROGRAMS = ("munged", "slurmctld", "slurmd")
CPUS = 4  # whatever the machine has
WAIT = 120  # seconds until what does not come is a failure; machines of tests may be busy


def missing():
    """The programs that are not there. Daemons lie in sbin, which is not on everybody's PATH."""
    return [name for name in PROGRAMS + ("sbatch", "scontrol") if not program(name)]


def program(name):
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class Slurm:
    """`with Slurm(folder) as slurm:` has a node that takes jobs inside the block."""

    def __init__(self, folder):
        self.folder = folder
        self.user = pwd.getpwuid(os.getuid()).pw_name
        self.processes = []
        for name in ("state", "spool", "munge"):
            (folder / name).mkdir(mode=0o700)
        # Asked by the clients of other processes, of the same user.
        (folder / "munge").chmod(0o711)
        folder.chmod(0o711)
        key = folder / "munge/key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        self.configuration = folder / "slurm.conf"
        self.configuration.write_text(self._configuration())
        self.environment = {**os.environ, "SLURM_CONF": str(self.configuration)}

    def _configuration(self):
        controller, node = free_ports(2)
        host = socket.gethostname().split(".")[0]
        return f"""
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={node}
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmUser={self.user}
SlurmdUser={self.user}
AuthType=auth/munge
AuthInfo=socket={self.folder}/munge/socket
CredType=cred/munge
StateSaveLocation={self.folder}/state
SlurmdSpoolDir={self.folder}/spool
SlurmctldPidFile={self.folder}/slurmctld.pid
SlurmdPidFile={self.folder}/slurmd.pid
SlurmdParameters=config_overrides
MessageTimeout=60
SwitchType=switch/none
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0,sched_min_interval=0
ReturnToService=2
NodeName={host} NodeAddr=127.0.0.1 CPUs={CPUS} RealMemory=16000 State=UNKNOWN
PartitionName=all Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""

    def __enter__(self):
        try:
            munge = self.folder / "munge"
            self._start("munged", "--foreground", "--force", f"--key-file={munge}/key",
                        f"--socket={munge}/socket", f"--pid-file={munge}/pid",
                        f"--seed-file={munge}/seed", f"--log-file={munge}/log")
            self._wait("munged", (munge / "socket").exists)
            self._start("slurmctld", "-D", "-c", "-f", self.configuration)
            self._start("slurmd", "-D", "-c", "-f", self.configuration)
            self._wait("the node", lambda: "idle" in self.run("sinfo", "-h", "-o", "%T").stdout)
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(self, *_):
        self.end()

    def _start(self, name, *arguments):
        with open(self.folder / f"{name}.out", "wb") as out:
            self.processes.append(subprocess.Popen(
                [program(name), *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=out,
                stderr=out, env=self.environment, cwd=self.folder))

    def _wait(self, what, ready):
        until = time.monotonic() + WAIT
        while not ready():
            if time.monotonic() > until:
                logs = "".join(file.read_text(errors="replace")[-1500:]
                               for file in sorted(self.folder.glob("*.out")))
                raise RuntimeError(f"{what} did not come up:\n{logs}")
            time.sleep(0.1)

    def run(self, name, *arguments, cwd=None, env=None):
        return subprocess.run([name, *map(str, arguments)], capture_output=True, text=True,
                              timeout=WAIT, cwd=cwd, check=False,
                              env={**self.environment, **(env or {})})

    def jobs(self):
        """What the controller knows of every job and task: a list of {name: value}."""
        shown = self.run("scontrol", "show", "job", "--oneliner").stdout.splitlines()
        return [dict(word.split("=", 1) for word in line.split() if "=" in word) for line in shown
                if "JobId=" in line]

    def begin_again(self, array, task):
        """Sends a running task back to the queue. There it would wait for two minutes; here it need
        not, as soon as the controller has written down that it does."""
        name = f"{array}_{task}"
        sent = self.run("scontrol", "requeue", name)
        if sent.returncode != 0:
            raise RuntimeError(f"scontrol requeue: {sent.stderr}")
        until = time.monotonic() + WAIT
        while time.monotonic() < until:
            (job,) = (job for job in self.jobs() if job.get("ArrayJobId") == array
                      and job.get("ArrayTaskId") == str(task))
            if job["Restarts"] == "1" and job["JobState"] in ("RUNNING", "COMPLETED"):
                return
            if job["JobState"] == "PENDING":
                self.run("scontrol", "update", f"JobId={name}", "StartTime=now")
            time.sleep(0.1)
        raise RuntimeError(f"task {task} is not begun again: {job['JobState']} {job['Reason']}")

    def wait_ended(self, seconds=2 * WAIT):
        """The jobs, when none of them waits or runs any more."""
        until = time.monotonic() + seconds
        while True:
            jobs = self.jobs()
            busy = [job for job in jobs if job["JobState"] in
                    ("PENDING", "RUNNING", "COMPLETING", "CONFIGURING", "SUSPENDED")]
            if not busy:
                return jobs
            if time.monotonic() > until:
                raise RuntimeError("jobs do not end: " +
                                   ", ".join(f"{job['JobId']} {job['JobState']} {job['Reason']}"
                                             for job in busy))
            time.sleep(0.1)

    def end(self):
        # What a test that failed left running would outlive the node.
        try:
            if len(self.processes) == len(PROGRAMS):
                self.run("scancel", f"--user={self.user}", "--signal=KILL", "--full")
                self.run("scancel", f"--user={self.user}")
        except subprocess.TimeoutExpired:
            print("  scancel does not answer; a job may still be running", flush=True)
        finally:
            self._end_processes()

    def _end_processes(self):
        for process in reversed(self.processes):
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        self.processes = []
