#!/usr/bin/python3
"""The manifests of deploy/kubernetes and deploy/batch, and what the Helm chart renders: against
Kubernetes' own description, in which an unknown field is an error, against each other, and against the
program: its options and its calls."""

import copy
import json
import re
import subprocess
import tempfile
import time

import jsonschema
import yaml

from lib.kubernetes import Chart, documents, problems
from lib.server import BINARY, ROOT, Report, Server

DEPLOY = ROOT / "deploy"
FOLDER = DEPLOY / "kubernetes"
# Not manifests: kubectl's own, and values of somebody else's chart.
OTHERS = {"kustomization.yaml", "prometheus-adapter.yaml"}
LABEL = "app.kubernetes.io/name"


def manifests():
    return [each for path in sorted(FOLDER.glob("*.yaml")) if path.name not in OTHERS
            for each in documents(path.read_text())]


def batch():
    return [each for path in sorted((DEPLOY / "batch").glob("*.yaml"))
            for each in documents(path.read_text())]


def one(kind, name="sluice", among=None):
    found = [each for each in among or manifests()
             if each["kind"] == kind and each["metadata"]["name"] == name]
    assert len(found) == 1, (kind, name)
    return found[0]


# ---- against Kubernetes' description -----------------------------------------------------------


def known_to_kubernetes(report):
    every = manifests() + batch()
    for document, found in zip(every, problems(every)):
        report.equal(f"{document['kind']} {document['metadata']['name']}", found, [])
    for document in every:
        report.check("a version that is not a trial",
                     not re.search("alpha|beta", document["apiVersion"]), document["apiVersion"])


def at(document, path):
    for step in path[:-1]:
        document = document[step]
    return document, path[-1]


POD = ("spec", "template", "spec")
CONTAINER = (*POD, "containers", 0)
# A change to the Deployment, and what has to be said about it.
BROKEN = [
    ((*CONTAINER, "imagepullPolicy"), "Always", "unknown field imagepullPolicy"),
    ((*CONTAINER, "readinessProbe", "httpGet", "url"), "/ready", "unknown field url"),
    ((*CONTAINER, "ports", 0, "containerPort"), "8000", "is no number"),
    ((*CONTAINER, "resources", "limits", "memory"), "1 GiB", "is no quantity"),
    ((*CONTAINER, "name"), None, "name is missing"),
    ((*POD, "topologySpreadConstraints", 0, "maxSkew"), None, "maxSkew is missing"),
    (("spec", "replicas"), "three", "is no number"),
    (("spec", "selector"), None, "selector is missing"),
    ((*CONTAINER, "args"), "serve", "not a list"),
    (("metadata", "labels"), ["sluice"], "not a mapping"),
]


def mistakes_are_seen(report):
    """What these tests rest upon: each of these is refused, and for its own reason."""
    deployment = one("Deployment")
    every = []
    for path, value, _ in BROKEN:
        broken = copy.deepcopy(deployment)
        holder, last = at(broken, path)
        if value is None:
            del holder[last]
        else:
            holder[last] = value
        every.append(broken)
    for (path, _, want), found in zip(BROKEN, problems(every)):
        report.check(f"{path[-1]}: {want}", len(found) == 1 and want in found[0], found)
    report.check("of a kind that there is not",
                 "no model" in problems([{"apiVersion": "v1", "kind": "Deplyoment"}])[0][0])
    try:
        documents("a: 1\nb: 2\na: 3\n")
        report.check("a key twice", False)
    except yaml.YAMLError as error:
        report.check("a key twice", "there twice" in str(error), error)


# ---- against each other ------------------------------------------------------------------------


def fits_together(report, every, name, who):
    """Selectors find the pods, ports have names, and volumes are there."""
    deployment = one("Deployment", name, every)
    template = deployment["spec"]["template"]
    labels, pod = template["metadata"]["labels"], template["spec"]
    container = pod["containers"][0]
    selectors = [deployment["spec"]["selector"]["matchLabels"],
                 one("PodDisruptionBudget", name, every)["spec"]["selector"]["matchLabels"],
                 *(each["spec"]["selector"] for each in every if each["kind"] == "Service"),
                 *(each["labelSelector"]["matchLabels"]
                   for each in pod["topologySpreadConstraints"]),
                 *(each["spec"]["podSelector"]["matchLabels"] for each in every
                   if each["kind"] == "NetworkPolicy")]
    report.check(f"{who}: selectors", all(labels.items() >= each.items() for each in selectors),
                 (labels, selectors))
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    targets = {port["targetPort"] for each in every if each["kind"] == "Service"
               for port in each["spec"]["ports"]}
    report.equal(f"{who}: services' ports", targets, set(ports))
    probes = {container[kind]["httpGet"]["port"]
              for kind in ("startupProbe", "livenessProbe", "readinessProbe")}
    report.equal(f"{who}: probes' port", probes, {"http"})
    policy_ports = {port["port"] for each in every if each["kind"] == "NetworkPolicy"
                    for rule in each["spec"]["ingress"] for port in rule["ports"]}
    report.check(f"{who}: the policy's ports", policy_ports <= set(ports), policy_ports)
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    report.equal(f"{who}: volumes and mounts", set(volumes), set(mounts))
    config = one("ConfigMap", name, every)
    report.equal(f"{who}: the configuration's map", volumes["config"]["configMap"]["name"],
                 config["metadata"]["name"])
    if "models" in volumes:
        claim = volumes["models"]["persistentVolumeClaim"]["claimName"]
        if claim != "mine":
            one("PersistentVolumeClaim", claim, every)
    text = config["data"]["sluice.yaml"]
    options = yaml.safe_load(text)
    report.equal(f"{who}: ports of the configuration",
                 (options["http"], options["grpc"]),
                 (f"0.0.0.0:{ports['http']}", f"0.0.0.0:{ports['grpc']}"))
    report.check(f"{who}: control is the pod's own", options["management"].startswith("127.0.0.1:"))
    report.equal(f"{who}: where state is", mounts["state"], options["state_dir"])
    report.check(f"{who}: models are where they are mounted",
                 "://" in options["models"] or mounts.get("models") == options["models"], options)
    program, _, file = container["args"][1].partition("=")
    report.equal(f"{who}: the file", (program, file),
                 ("--config", f"{mounts['config']}/sluice.yaml"))
    checked(report, who, text)
    drain = int(options.get("drain_timeout", "30s").rstrip("s"))
    wait = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    report.check(f"{who}: time to drain", pod["terminationGracePeriodSeconds"] > drain + wait)
    hardened(report, who, pod)
    for autoscaler in (each for each in every if each["kind"] == "HorizontalPodAutoscaler"):
        report.equal(f"{who}: the autoscaler's target", autoscaler["spec"]["scaleTargetRef"],
                     {"apiVersion": "apps/v1", "kind": "Deployment", "name": name})
        report.check(f"{who}: replicas are the autoscaler's", "replicas" not in deployment["spec"])


def checked(report, who, text):
    """The program itself reads the configuration."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(text)
        file.flush()
        done = subprocess.run([str(BINARY), "config", "check", file.name], text=True,
                              capture_output=True, check=False)
    report.check(f"{who}: sluice config check", done.returncode == 0, done.stdout + done.stderr)


def hardened(report, who, pod):
    """Pod Security Standards, 'restricted', and what they leave open."""
    security = pod["securityContext"]
    report.check(f"{who}: not as root", security["runAsNonRoot"] and security["runAsUser"] > 0)
    report.equal(f"{who}: seccomp", security["seccompProfile"], {"type": "RuntimeDefault"})
    for volume in pod["volumes"]:
        report.check(f"{who}: no volume of the node's", "hostPath" not in volume, volume)
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        report.check(f"{who}: no {key}", not pod.get(key))
    for container in pod["containers"]:
        report.equal(f"{who}: little is allowed", container["securityContext"],
                     {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
                      "capabilities": {"drop": ["ALL"]}})
        resources = container["resources"]
        report.equal(f"{who}: resources", {kind: set(each) for kind, each in resources.items()},
                     {kind: {"cpu", "memory"} for kind in ("requests", "limits")})


def plain_files(report):
    every = manifests()
    fits_together(report, every, "sluice", "kubernetes")
    kustomization = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
    report.equal("kustomization.yaml has every file", set(kustomization["resources"]),
                 {path.name for path in FOLDER.glob("*.yaml")} - OTHERS)
    image = one("Deployment")["spec"]["template"]["spec"]["containers"][0]["image"]
    report.equal("whose image it sets", [each["name"] for each in kustomization["images"]], [image])
    namespace = one("Namespace")
    report.equal("the namespace", namespace["metadata"]["name"], kustomization["namespace"])
    report.equal("refuses pods that are allowed more",
                 namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"],
                 "restricted")


# ---- against the program -----------------------------------------------------------------------


def probes_are_answered(report):
    """Each probe's path, while it serves and while it drains."""
    container = one("Deployment")["spec"]["template"]["spec"]["containers"][0]
    paths = {kind: container[kind]["httpGet"]["path"]
             for kind in ("startupProbe", "livenessProbe", "readinessProbe")}
    with Server(extra=["--drain-timeout", "5s"]) as server:
        for kind, path in paths.items():
            report.equal(f"{kind} while it serves", server.get(path)[0], 200)
        kept = server.connection()
        kept.request("GET", paths["livenessProbe"])
        kept.getresponse().read()
        # A request that is not finished keeps it draining.
        slow = server.connection()
        slow.connect()
        slow.sock.sendall(b"POST /models/iris/predict HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n"
                          b"Content-Type: application/json\r\n\r\n{")
        time.sleep(0.2)
        server.signal()
        kept.request("GET", paths["livenessProbe"])
        report.equal("livenessProbe while it drains", kept.getresponse().status, 200)
        slow.close()
        report.equal("and it ends", server.wait(), 0)
    with tempfile.TemporaryDirectory() as empty:
        with Server(empty, wait=False) as server:
            report.equal("startupProbe without a model", server.get(paths["startupProbe"])[0], 503)
            report.equal("readinessProbe without a model", server.get(paths["readinessProbe"])[0],
                         503)
            report.equal("livenessProbe without a model", server.get(paths["livenessProbe"])[0],
                         200)


def autoscaling_metric(report):
    """What the adapter makes of /metrics is what the autoscaler asks for."""
    (rule,) = yaml.safe_load((FOLDER / "prometheus-adapter.yaml").read_text())["rules"]["custom"]
    (asked,) = [metric["pods"]["metric"]["name"]
                for metric in one("HorizontalPodAutoscaler")["spec"]["metrics"]
                if metric["type"] == "Pods"]
    report.equal("the adapter's name", rule["name"]["as"], asked)
    with Server() as server:
        connection = server.connection()
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
    report.check("a family of ours", f"# TYPE {rule['name']['matches']} counter" in text)
    report.check("which it asks for", rule["seriesQuery"].startswith(rule["name"]["matches"] + "{"))


# ---- Helm --------------------------------------------------------------------------------------

WAYS = {
    "defaults": {},
    "a URL": {"config": {"models": "s3://bucket/models", "log_level": "debug"},
              "models": {"create": False}, "serviceAccount": "reader",
              "env": [{"name": "AWS_REGION", "value": "eu-central-1"}],
              "envFrom": [{"secretRef": {"name": "bucket"}}]},
    "a claim": {"models": {"claim": "mine"}, "image": {"digest": "sha256:" + "a" * 64},
                "imagePullSecrets": [{"name": "registry"}], "nodeSelector": {"disk": "fast"},
                "tolerations": [{"key": "x", "operator": "Exists"}],
                "affinity": {"nodeAffinity": {}}, "podAnnotations": {"a": "b"},
                "service": {"annotations": {"c": "d"}, "type": "LoadBalancer"}},
    "no autoscaler": {"autoscaling": {"enabled": False}, "replicas": 2,
                      "networkPolicy": {"enabled": False}},
    "another class, no rate": {"models": {"storageClass": "nfs"},
                               "autoscaling": {"requestsPerSecond": 0},
                               "networkPolicy": {"egressPorts": []}},
}
REFUSED = {
    "an unknown key": {"replicaz": 3},
    "a key of the chart's": {"config": {"http": "0.0.0.0:1"}},
    "the tag 'latest'": {"image": {"tag": "latest"}},
    "a digest that is none": {"image": {"digest": "sha256:abc"}},
    "a number as text": {"replicas": "3"},
    "no limits": {"resources": {"limits": None}},
}


def helm(report):
    chart = Chart(DEPLOY / "helm/sluice")
    for way, change in WAYS.items():
        every = list(chart.render(change).values())
        for document, found in zip(every, problems(every)):
            report.equal(f"helm, {way}: {document['kind']} {document['metadata']['name']}", found,
                         [])
        fits_together(report, every, "sluice", f"helm, {way}")
    deployment = chart.render(WAYS["no autoscaler"])["Deployment", "sluice"]
    report.equal("replicas", deployment["spec"]["replicas"], 2)
    report.check("an image by its digest",
                 chart.render(WAYS["a claim"])["Deployment", "sluice"]["spec"]["template"]["spec"]
                 ["containers"][0]["image"].endswith("@sha256:" + "a" * 64))
    report.check("another release has names of its own",
                 all("fraud-sluice" in name for _, name in chart.render(name="fraud")))
    hashes = {chart.render(change)["Deployment", "sluice"]["spec"]["template"]["metadata"]
              ["annotations"]["checksum/config"] for change in ({}, WAYS["a URL"])}
    report.equal("another configuration, other pods", len(hashes), 2)
    for what, change in REFUSED.items():
        try:
            chart.render(change)
            report.check(f"helm refuses {what}", False, change)
        except jsonschema.ValidationError:
            report.check(f"helm refuses {what}", True)
    used = set(re.findall(r"\.Values\.(\w+)", "".join(
        path.read_text() for path in (chart.folder / "templates").iterdir())))
    report.equal("every value is used, and known to the schema",
                 (used, set(chart.schema["properties"]) - {"global"}),
                 (set(chart.values), set(chart.values)))
    report.equal("the program's version", chart.about["appVersion"], program_version())


def program_version():
    said = subprocess.run([str(BINARY), "--version"], text=True, capture_output=True, check=True)
    return re.search(r"\d+\.\d+\.\d+", said.stdout)[0]


def without_names(document):
    """What two ways of writing the same manifest may differ in."""
    out = copy.deepcopy(document["spec"])
    template = out.get("template", {})
    template.pop("metadata", None)
    text = json.dumps(out, sort_keys=True)
    text = text.replace(', "app.kubernetes.io/name": "sluice"', "").replace(
        '"app.kubernetes.io/instance": "sluice"', '"app.kubernetes.io/name": "sluice"')
    return json.loads(text)


def helm_is_the_plain_files(report):
    """Two places that say the same would drift apart."""
    chart = Chart(DEPLOY / "helm/sluice").render(
        {"image": {"tag": "0"}, "models": {"claim": "models"}})
    for document in manifests():
        kind, name = document["kind"], document["metadata"]["name"]
        if kind in ("Namespace", "PersistentVolumeClaim", "ConfigMap"):
            continue
        theirs, ours = without_names(chart[kind, name]), without_names(document)
        if kind == "Deployment":
            container = theirs["template"]["spec"]["containers"][0]
            report.equal("what only the chart says", container.pop("imagePullPolicy"),
                         "IfNotPresent")
            container["image"] = "sluice"
        if kind == "Service":
            theirs.pop("type", None)
        report.equal(f"chart and file: {kind} {name}", theirs, ours)
    plain = yaml.safe_load(one("ConfigMap")["data"]["sluice.yaml"])
    report.equal("chart and file: configuration",
                 yaml.safe_load(chart["ConfigMap", "sluice"]["data"]["sluice.yaml"]), plain)


if __name__ == "__main__":
    Report("e2e/deploy_manifests").run(
        known_to_kubernetes, mistakes_are_seen, plain_files, probes_are_answered,
        autoscaling_metric, helm, helm_is_the_plain_files)
