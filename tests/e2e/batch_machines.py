#!/usr/bin/python3
"""sluice batch on many machines, by the files in deploy/batch: the pods of Kubernetes' Indexed Job as
processes, one of them killed, and GNU parallel. Each gives the bytes of one run. Slurm is
tests/by_hand/slurm.py: its controller is not on time where the machine is busy."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import numpy
import yaml
from sklearn.datasets import load_breast_cancer

from lib.server import BINARY, MODELS, ROOT, Report, environment

DEPLOY = ROOT / "deploy/batch"
ROWS = int(os.environ.get("BATCH_ROWS", "80000"))  # 47 MB, six parts
MODEL = MODELS / "breast_cancer"
WAIT = 240  # seconds until what hangs is a failure
SMALL = ["--batch-size", "25"]  # slow enough to be killed in the middle


class Table:
    """A large table, what one run makes of it, and an output for each way of making it."""

    def __init__(self, root):
        self.root = root
        self.input = root / "a table.csv"  # scripts have to quote it
        data = load_breast_cancer()
        dice = numpy.random.default_rng(3)
        rows = data.data[dice.integers(0, len(data.data), 2000)]
        rows = (rows * dice.normal(1, 0.02, rows.shape)).astype(numpy.float32)
        texts = [",".join(map(repr, row)) for row in rows.tolist()]
        with open(self.input, "w") as out:
            out.write(",".join(["code", *(name.replace(" ", "_") for name in data.feature_names)]))
            out.writelines(f"\n{n:07d},{texts[n % len(texts)]}" for n in range(ROWS))
            out.write("\n")
        whole = root / "whole.csv"
        done = batch("--model", MODEL, "--input", self.input, "--output", whole, *SMALL)
        if done.returncode != 0:
            raise RuntimeError(f"one run fails: {done.stderr}")
        self.want = whole.read_bytes()

    def folder(self, name):
        """Where one way's output goes."""
        out = self.root / name
        out.mkdir()
        return out

    def check(self, report, output):
        report.check("the bytes of one run",
                     output.exists() and output.read_bytes() == self.want)
        report.equal("no shard's folder is left", list(output.parent.glob("*.parts")), [])


def batch(*arguments, env=None):
    return subprocess.run([str(BINARY), "batch", *map(str, arguments)], text=True, timeout=WAIT,
                          capture_output=True, env={**environment(), **(env or {})}, check=False)


def script(name, *arguments, **env):
    return subprocess.run([DEPLOY / name, *map(str, arguments)], text=True, capture_output=True,
                          timeout=WAIT, check=False,
                          env={**environment(), "SLUICE": str(BINARY), **env})


def wait_for_part(folder, alive):
    """Until one of a shard's parts is finished; false if the shard ended before."""
    listed = folder / "done.jsonl"
    while alive():
        if listed.exists() and listed.stat().st_size:
            return True
        time.sleep(0.002)
    return False


# ---- Kubernetes --------------------------------------------------------------------------------


def documents(name):
    return list(yaml.safe_load_all((DEPLOY / name).read_text()))


class Job:
    """One Job of kubernetes-job.yaml; its pods are processes with the same arguments and variables,
    and the claim's folder is one of this machine."""

    def __init__(self, document, claim):
        self.spec = document["spec"]
        self.pod = self.spec["template"]["spec"]
        self.container = self.pod["containers"][0]
        self.claim = claim

    def _variables(self, index):
        out = {} if index is None else {"JOB_COMPLETION_INDEX": str(index)}
        for variable in self.container.get("env", []):
            if "value" in variable:
                out[variable["name"]] = variable["value"]
            else:
                kind, what = variable["valueFrom"]["resourceFieldRef"]["resource"].split(".")
                out[variable["name"]] = self.container["resources"][kind][what]
        return out

    def start(self, index=None, more=()):
        """`index` is that of Indexed Jobs."""
        variables = self._variables(index)
        mount = next(mount["mountPath"] for mount in self.container["volumeMounts"]
                     if mount["name"] == "tables")
        program, *command = self.container["command"] + self.container["args"]
        assert program == "sluice"
        for name, value in variables.items():
            command = [word.replace(f"$({name})", value) for word in command]
        command = [word.replace(mount, str(self.claim)) for word in command]
        return subprocess.Popen([str(BINARY), *command, *more], text=True, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, env={"PATH": os.environ["PATH"],
                                                             **variables})


def kubernetes_files(report, _):
    """What a cluster would not say, or say too late."""
    predict, merge = documents("kubernetes-job.yaml")
    (claim,) = documents("kubernetes-claim.yaml")
    spec = predict["spec"]
    report.equal("Indexed", spec["completionMode"], "Indexed")
    report.equal("each shard has its own tries", spec["backoffLimitPerIndex"] > 0, True)
    variables = {one["name"]: one.get("value")
                 for one in spec["template"]["spec"]["containers"][0]["env"]}
    report.equal("shards, in all places", {int(variables["JOB_COMPLETIONS"]), spec["parallelism"]},
                 {spec["completions"]})
    report.check("joining waits", merge["spec"]["suspend"])
    report.equal("many nodes may write", claim["spec"]["accessModes"], ["ReadWriteMany"])
    pods = [job["spec"]["template"]["spec"] for job in (predict, merge)]
    report.equal("both as the same user", pods[0]["securityContext"], pods[1]["securityContext"])
    for pod in pods:
        container = pod["containers"][0]
        report.check("not as root", pod["securityContext"]["runAsNonRoot"]
                     and pod["securityContext"]["runAsUser"] > 0)
        report.equal("little is allowed", container["securityContext"],
                     {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
                      "capabilities": {"drop": ["ALL"]}})
        report.equal("resources", set(container["resources"]), {"requests", "limits"})
        report.equal("a Job's pods end", pod["restartPolicy"], "Never")
        claims = [volume["persistentVolumeClaim"]["claimName"] for volume in pod["volumes"]
                  if "persistentVolumeClaim" in volume]
        report.equal("the claim", claims, [claim["metadata"]["name"]])


def kubernetes(report, table):
    """All pods at once; one is killed with a part finished, and begun again as its Job would."""
    claim = table.folder("kubernetes")
    predict, merge = (Job(document, claim) for document in documents("kubernetes-job.yaml"))
    # The example's names are Parquet; a table of text is as good.
    for job in (predict, merge):
        job.container["args"] = [word.replace(".parquet", ".csv") for word in job.container["args"]]
        # One part at a time, so that there is a moment with one finished and one not.
        job.container["resources"]["limits"]["cpu"] = "1"
    (claim / "models").mkdir()
    shutil.copytree(MODEL, claim / "models/fraud")
    (claim / "in.csv").symlink_to(table.input)
    count = predict.spec["completions"]
    pods = [predict.start(index, SMALL) for index in range(count)]
    victim = 1
    shard = claim / f"out.csv.shard-{victim + 1}-of-{count}.parts"
    report.check("a part is finished", wait_for_part(shard, lambda: pods[victim].poll() is None))
    pods[victim].kill()
    pods[victim].communicate()
    report.equal("kill -9", pods[victim].returncode, -signal.SIGKILL)
    early = merge.start()
    early.communicate()
    # The other shards are at work, or this one is not finished.
    report.check("too early to join", early.returncode in (65, 75), str(early.returncode))
    report.check("so that there is no output", not (claim / "out.csv").exists())
    pods[victim] = predict.start(victim, SMALL)
    said = [pod.communicate() for pod in pods]
    report.equal("pods", [pod.returncode for pod in pods], [0] * count)
    report.check("the killed one kept its part", "earlier" in said[victim][0], said[victim])
    last = merge.start()
    said = last.communicate()[1]
    if report.equal("joined", last.returncode, 0):
        table.check(report, claim / "out.csv")
    else:
        print(said)


# ---- GNU parallel ------------------------------------------------------------------------------


def gnu_parallel(report, table):
    """Names and SQL with blanks and quotes arrive as they are; what failed goes on."""
    folder = table.folder("gnu parallel")
    output = folder / "the 'output'.csv"
    done = script("parallel.sh", MODEL, table.input, output, *SMALL, SHARDS="3")
    if report.equal("parallel.sh", done.returncode, 0):
        table.check(report, output)
        report.check("lines say whose they are", "shard 2\t" in done.stdout, done.stdout)
    else:
        print(done.stderr)
    few, source = folder / "few.csv", folder / "few in.csv"
    with open(table.input) as lines:
        source.write_text("".join(next(lines) for _ in range(21)))
    where = ["--where", "code < '0000005' AND code <> '$HOME'"]
    done = script("parallel.sh", MODEL, source, few, *where, SHARDS="2")
    report.equal("a filter's rows",
                 (done.returncode, few.exists() and len(few.read_text().splitlines()) - 1), (0, 5))
    done = script("parallel.sh", folder / "none", source, folder / "none.csv", SHARDS="2")
    report.check("a shard that fails ends it, without an output",
                 done.returncode != 0 and not (folder / "none.csv").exists(), done.stderr)
    report.equal("too few arguments", script("parallel.sh", MODEL).returncode, 64)


def main():
    with tempfile.TemporaryDirectory(prefix="e2e-machines-") as scratch:
        root = Path(scratch)
        table = Table(root)

        def with_table(test):
            def named(report):
                test(report, table)
            named.__name__ = test.__name__
            return named

        Report("batch_machines").run(with_table(kubernetes_files), with_table(kubernetes),
                                     with_table(gnu_parallel))


if __name__ == "__main__":
    main()
