#!/usr/bin/python3
"""Makes the root of an image from an installed Sluice: the program, the libraries that it is linked
with or loads, certificates, a user, their licences, and a list of all that (CycloneDX 1.5, in
/usr/share/sluice/sbom.cdx.json, and /var/lib/dpkg/status.d for scanners that read Debian's).

  assemble.py [--bundled package-lock.json]… ROOT

Runs in the Dockerfile's stage 'system', on Debian. The bundled libraries' versions are those of
npm's lock files.
"""

import argparse
import base64
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

PROGRAM = "/usr/bin/sluice"
OWN = Path("/usr/lib/sluice")
# Beside what the programs are linked with: what they open by name.
OPENED = ["/etc/ssl/certs/ca-certificates.crt", "/usr/lib/os-release"]
USER = 65532
NODE_ARCHITECTURE = {"x86_64": "x64", "aarch64": "arm64"}[platform.machine()]
NAMES = {
    "etc/passwd": "root:x:0:0:root:/:/usr/sbin/nologin\n"
                  f"sluice:x:{USER}:{USER}::/home/sluice:/usr/sbin/nologin\n",
    "etc/group": f"root:x:0:\nsluice:x:{USER}:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}


def run(*command):
    return subprocess.run(command, check=True, text=True, capture_output=True).stdout


def libraries(program):
    """The paths of what it is linked with, in the order of the loader."""
    out = []
    for line in run("ldd", program).splitlines():
        found = re.search(r"(?:=> |^\s+)(/\S+) \(0x", line)
        if found:
            out.append(os.path.normpath(found[1]))
        elif "not found" in line:
            sys.exit(f"assemble.py: a library is missing: {line.strip()}")
    return out


def copy(path, root):
    """The file behind `path`, under the name `path`; with the links that lead to its folder."""
    target = root / path.lstrip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        shutil.copyfile(path, target)
        shutil.copymode(path, target)


def owner(path):
    """The Debian package of a file: dpkg may know it under /lib or /usr/lib."""
    real = os.path.realpath(path)
    for name in (path, real, path.removeprefix("/usr"), real.removeprefix("/usr")):
        found = subprocess.run(["dpkg-query", "-S", name], text=True, capture_output=True,
                               check=False)
        if found.returncode == 0:
            return found.stdout.split(":")[0]
    return None


def fields(package):
    names = ["binary:Package", "Version", "Architecture", "Maintainer", "source:Package",
             "source:Version", "Homepage"]
    text = run("dpkg-query", "-W", "-f", "\t".join(f"${{{name}}}" for name in names), package)
    values = dict(zip(names, text.split("\t")))
    return {**values, "name": package}


def licences(package):
    """What its machine-readable copyright file names, if it has one."""
    path = Path("/usr/share/doc") / package / "copyright"
    if not path.exists():
        return []
    text = path.read_text(errors="replace")
    return sorted({name.strip() for name in re.findall(r"^License: *(\S[^\n]*)$", text, re.M)})


def component(facts):
    purl = (f"pkg:deb/debian/{facts['name']}@{facts['Version']}?arch={facts['Architecture']}"
            "&distro=debian-12")
    out = {"type": "library", "bom-ref": purl, "name": facts["name"], "version": facts["Version"],
           "purl": purl, "supplier": {"name": facts["Maintainer"]}}
    names = licences(facts["name"])
    if names:
        out["licenses"] = [{"license": {"name": name}} for name in names]
    return out


def bundled(lock_file):
    """What a lock file pins that is in the image: platforms' and sources' packages are not."""
    packages = json.loads(Path(lock_file).read_text())["packages"]
    for path, facts in packages.items():
        name = path.removeprefix("node_modules/")
        if name not in ("onnxruntime-node", f"@duckdb/node-bindings-linux-{NODE_ARCHITECTURE}"):
            continue
        purl = f"pkg:npm/{name.replace('@', '%40')}@{facts['version']}"
        algorithm, digest = facts["integrity"].split("-", 1)
        assert algorithm == "sha512"
        yield {"type": "library", "bom-ref": purl, "name": name, "version": facts["version"],
               "purl": purl, "licenses": [{"license": {"id": facts.get("license", "MIT")}}],
               "hashes": [{"alg": "SHA-512", "content": base64.b64decode(digest).hex()}]}


def file_component(path):
    digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    return {"type": "file", "name": path, "hashes": [{"alg": "SHA-256", "content": digest}]}


def sbom(packages, locks):
    sluice = fields("sluice")
    subject = component(sluice) | {"type": "application"}
    subject["components"] = [file_component(PROGRAM), *(file_component(str(path))
                                                       for path in sorted(OWN.iterdir()))]
    parts = [component(facts) for facts in packages if facts["name"] != "sluice"]
    for lock in locks:
        parts.extend(bundled(lock))
    return {"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
            "metadata": {"component": subject,
                         "tools": [{"vendor": "Sluice", "name": "assemble.py"}]},
            "components": parts,
            "dependencies": [{"ref": subject["bom-ref"],
                              "dependsOn": [part["bom-ref"] for part in parts]}]}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bundled", action="append", default=[])
    parser.add_argument("root", type=Path)
    arguments = parser.parse_args()
    root = arguments.root
    own = [str(path) for path in sorted(OWN.iterdir())]
    files = [PROGRAM, *own, *OPENED]
    for program in [PROGRAM, *own]:
        files.extend(libraries(program))
    # Everything is below /usr, and the loader looks in /lib and /lib64.
    (root / "usr").mkdir(parents=True)
    for name in ("bin", "lib", "lib64"):
        (root / "usr" / name).mkdir()
        (root / name).symlink_to(f"usr/{name}")
    for path in dict.fromkeys(files):
        copy(path, root)
    (root / "etc/os-release").symlink_to("../usr/lib/os-release")
    names = sorted({name for name in map(owner, files) if name})
    packages = [fields(name) for name in names]
    status = root / "var/lib/dpkg/status.d"
    status.mkdir(parents=True)
    for facts in packages:
        (status / facts["name"]).write_text(
            f"Package: {facts['name']}\nStatus: install ok installed\n"
            f"Version: {facts['Version']}\nArchitecture: {facts['Architecture']}\n"
            f"Maintainer: {facts['Maintainer']}\n"
            f"Source: {facts['source:Package']} ({facts['source:Version']})\n")
        licence = f"/usr/share/doc/{facts['name']}/copyright"
        if os.path.exists(licence):
            copy(licence, root)
    for name, text in NAMES.items():
        (root / name).write_text(text)
    (root / "tmp").mkdir()
    (root / "tmp").chmod(0o1777)
    # The last three are where engines mount what they bring.
    for name in ("models", "state", "home/sluice", "proc", "dev", "sys"):
        (root / name).mkdir(parents=True)
    # A volume that is made for /state has its owner.
    for name in ("state", "home/sluice"):
        os.chown(root / name, USER, USER)
    out = root / "usr/share/sluice/sbom.cdx.json"
    out.parent.mkdir(parents=True)
    out.write_text(json.dumps(sbom(packages, arguments.bundled), indent=1) + "\n")
    print(f"{len(packages)} packages, {sum(1 for _ in root.rglob('*'))} files")


if __name__ == "__main__":
    main()
