#!/usr/bin/python3
"""The manifests through kubectl itself, without a cluster: what `apply -k` would send, and each object
read as its type. By hand, since Debian's kubectl (1.20) is older than what the manifests are for; CI
holds them against the official client's models (tests/e2e/deploy_manifests.py)."""

import subprocess
import sys
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))
from lib.kubernetes import Chart, documents  # noqa: E402
from lib.server import ROOT, Report  # noqa: E402

KUBERNETES = ROOT / "deploy/kubernetes"


def kubectl(*arguments, text=None):
    return subprocess.run(["kubectl", *map(str, arguments)], input=text, text=True, timeout=60,
                          capture_output=True, check=False)


def names(every):
    return sorted(f"{each['kind'].lower()}/{each['metadata']['name']}" for each in every)


def read(report, what, text):
    """Every object, as kubectl reads it into its type; an unknown type has no such name."""
    done = kubectl("annotate", "--local", "-f", "-", "-o", "yaml", "by=hand", text=text)
    report.check(f"{what}: read", done.returncode == 0, done.stderr)
    back = [each for each in yaml.safe_load_all(done.stdout) if each]
    report.equal(f"{what}: all of it", names(back), names(documents(text)))


def kustomize(report):
    done = kubectl("kustomize", KUBERNETES)
    report.check("renders", done.returncode == 0, done.stderr)
    files = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())["resources"]
    want = [each for name in files for each in documents((KUBERNETES / name).read_text())]
    report.equal("what it renders", names(documents(done.stdout)), names(want))
    read(report, "kubernetes", done.stdout)


def others(report):
    for path in sorted((ROOT / "deploy/batch").glob("*.yaml")):
        read(report, path.name, path.read_text())
    chart = Chart(ROOT / "deploy/helm/sluice")
    read(report, "Helm", yaml.safe_dump_all(chart.render().values()))


def mistakes(report):
    text = (KUBERNETES / "deployment.yaml").read_text()
    for wrong, right in (("containerPort: ", "containerPort: many # "), ("kind: Deployment", "kind: Deploy")):
        broken = text.replace(wrong, right, 1)
        done = kubectl("set", "image", "--local", "-f", "-", "*=a:1", "-o", "name", text=broken)
        report.check(f"{right!r} is refused", broken != text and done.returncode != 0, done.stdout)


if __name__ == "__main__":
    Report("kubectl").run(kustomize, others, mistakes)
