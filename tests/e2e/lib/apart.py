"""A test on a network and in folders of its own, so that it may use the ports and the paths that a
manifest names, beside whatever runs on this machine."""

import os
import subprocess
import sys
import tempfile

INSIDE = "SLUICE_TEST_APART"


def run_apart():
    """Starts the script again with a loopback network and mounts that nobody else sees."""
    if os.environ.get(INSIDE):
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        return
    os.environ[INSIDE] = "1"
    user = [] if os.geteuid() == 0 else ["--map-root-user"]
    os.execvp("unshare", ["unshare", *user, "--net", "--mount", "--kill-child", "--fork",
                          sys.executable, *sys.argv])


def mount(folder, at):
    """`folder` under the name `at`, for this test and what it starts. What is missing of `at` is made
    in a file system in memory."""
    if not os.path.isdir(at):
        top = os.path.dirname(at)
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", top], check=True)
        os.makedirs(at)
    subprocess.run(["mount", "--bind", "-o", "ro", str(folder), at], check=True)


def unmount(at):
    subprocess.run(["umount", at], check=True)


def know_hosts(names):
    """Names of this network's machines: {name: address}."""
    with tempfile.NamedTemporaryFile("w", delete=False) as file:
        file.write("127.0.0.1 localhost\n")
        for name, address in names.items():
            file.write(f"{address} {name}\n")
    os.chmod(file.name, 0o644)
    subprocess.run(["mount", "--bind", file.name, "/etc/hosts"], check=True)
    os.unlink(file.name)
