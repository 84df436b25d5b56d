#!/usr/bin/python3
# takes: 45 s
"""Files that are no models, or not yet, or not any more: they are told of and hurt nobody."""

import ctypes
import os
import random
import resource
import shutil
import signal
import socket
import stat
import subprocess
import time
from pathlib import Path

from lib import oip, tiny_onnx
from lib.folder import (POLL, Asking, Folder, Suspects, catches, children, cpu_seconds,
                        descriptors, nobody_failed, wait_until)
from lib.server import MODELS, ROOT, Report

TEST_MODELS = ROOT / "tests/models"
MOST_LOOKS = 6  # a second, as this process would look at 2,000 versions; the server does it once


def good_files():
    """Every committed model that can be served: those that the conformance lists call good, the
    other test models, the examples."""
    bad = {line.split()[1] for name in ("onnx", "xgboost")
           for line in (TEST_MODELS / f"conformance/{name}.txt").read_text().splitlines()
           if line.startswith("bad ")}
    files = [file for file in sorted(TEST_MODELS.iterdir())
             if file.suffix in (".onnx", ".json", ".ubj") and file.name not in bad]
    return files + sorted(MODELS.glob("*/*/model.*"))


def cut_off(report):
    """Every good file, cut off at several places: none is served but what is whole by chance."""
    with Suspects() as folder:
        names = []
        for number, file in enumerate(good_files()):
            data = file.read_bytes()
            for place in (len(data) // 3, len(data) * 9 // 10, len(data) - 1):
                name = f"cut{number}-{place}"
                names.append(name)
                (folder.path / f".{name}").write_bytes(data[:place])
                (folder.path / f".{name}").rename(folder.path / f"{name}{file.suffix}")
        took = folder.settled(names)
        report.check("all are tried", took is not None, folder.models())
        listed = folder.models()
        served = [name for name in names if listed[name]["1"][0] == "ready"]
        print(f"  {len(names)} files tried in {took or 0:.1f} s, {len(served)} of them served")
        report.equal("served", served, [])
        report.check("reasons", all(listed[name]["1"][1] for name in names if name not in served))
        folder.check_health(report, "cut off")


def contents(report):
    """Bytes that are no model, or another engine's."""
    source = random.Random(7)
    xgboost = (TEST_MODELS / "xgb_binary.json").read_bytes()
    onnx = tiny_onnx.model(9)
    ubjson = (TEST_MODELS / "xgb_binary.ubj").read_bytes()
    array = ubjson.index(b"[$l#L") + 5
    changed = bytearray(onnx)
    changed[len(onnx) // 2:len(onnx) // 2 + 8] = b"\xff" * 8
    cases = {
        "empty": ("model.onnx", b""), "empty-json": ("model.json", b""),
        "empty-ubj": ("model.ubj", b""),
        "json-as-onnx": ("model.onnx", xgboost), "onnx-as-json": ("model.json", onnx),
        "onnx-as-ubj": ("model.ubj", onnx), "changed": ("model.onnx", bytes(changed)),
        "deep-json": ("model.json", b"[" * 200_000), "deep-ubj": ("model.ubj", b"[" * 200_000),
        "zeros": ("model.onnx", bytes(100_000)), "zeros-json": ("model.json", bytes(100_000)),
        "html-xgb": ("model.xgb", b"<!DOCTYPE html>\n<html></html>\n"),
        "lfs-xgb": ("model.bst", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"),
        "lightgbm-xgb": ("model.xgb", b"tree\nversion=v4\nnum_class=1\n"),
        "pickle-xgb": ("model.xgb", b"\x80\x04\x95" + bytes(100)), "onnx-xgb": ("model.xgb", onnx),
        "binf-xgb": ("model.xgb", b"binf" + bytes(range(200))),
        "array-ubj": ("model.ubj", ubjson[:array] + b"\x00\x00\x00\x7f" + ubjson[array + 4:]),
        "long-field": ("model.onnx", b"\x3a\xff\xff\xff\xff\x07" + bytes(100)),
    }
    for number in range(8):
        data = source.randbytes(source.choice([1, 100, 5000, 1_000_000]))
        cases[f"random{number}"] = (f"model.{['onnx', 'json', 'ubj'][number % 3]}", data)
    with Suspects() as folder:
        for name, (file, data) in cases.items():
            folder.put(name, "v1", data, name=file)
        report.check("all are tried", folder.settled(cases) is not None, folder.models())
        for name in cases:
            folder.refused(report, name, name)
        # These ended the trial before, or took memory until it was killed.
        for name, word in (("html-xgb", "web page"), ("lfs-xgb", "git lfs pull"),
                           ("lightgbm-xgb", "LightGBM"), ("pickle-xgb", "pickle"),
                           ("onnx-xgb", "ONNX"), ("binf-xgb", "'binf"), ("array-ubj", "damaged")):
            folder.refused(report, word, name, words=("XGBoost model" if word != "damaged" else word,
                                                      word))
        folder.check_health(report, "contents")


def kinds_of_files(report):
    """What is no regular file beneath the repository is not read, and nothing waits for it."""
    with Suspects() as folder:
        outside = folder.path.parent / "secret.onnx"
        outside.write_bytes(tiny_onnx.model(99))
        (folder.path.parent / "away" / "v1").mkdir(parents=True)
        shutil.copy(outside, folder.path.parent / "away" / "v1" / "model.onnx")
        (folder.path.parent / "secret.yaml").write_text("hidden_word: 1\n")
        place = folder.place
        place("link", "v1").symlink_to("../../../secret.onnx")
        place("absolute", "v1").symlink_to(outside)
        place("loop", "v1").symlink_to("model.onnx")
        place("loops", "v1").symlink_to("other.onnx")
        place("loops", "v1", "other.onnx").symlink_to("model.onnx")
        (folder.path / "dir-link").symlink_to("../away")
        (folder.path / "version-link").mkdir()
        (folder.path / "version-link" / "v1").symlink_to("../../away/v1")
        (folder.path / "self").mkdir()
        (folder.path / "self" / "v1").symlink_to("../self")
        place("nowhere", "v1").symlink_to("gone.onnx")
        os.mkfifo(place("fifo", "v1"))
        place("directory", "v1").mkdir()
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(str(place("socket", "v1")))
        place("zero", "v1").symlink_to("/dev/zero")
        place("standard-input", "v1").symlink_to("/proc/self/fd/0")
        names = ["link", "absolute", "loop", "loops", "dir-link", "version-link", "nowhere", "fifo",
                 "directory", "socket", "zero", "standard-input"]
        try:
            os.mknod(place("device", "v1"), stat.S_IFCHR | 0o666, os.makedev(1, 5))
            names.append("device")
        except PermissionError:
            print("  skipped: a device of its own (mknod is not permitted)")
        if os.geteuid() == 0:
            print("  skipped: a file without permissions (root may read everything)")
        else:
            folder.put("unreadable", "v1", 7).chmod(0)
            names.append("unreadable")
        for name in ("yaml-fifo", "yaml-directory", "yaml-link"):
            folder.put(name, "v1", 8)
        os.mkfifo(folder.path / "yaml-fifo" / "model.yaml")
        (folder.path / "yaml-directory" / "model.yaml").mkdir()
        (folder.path / "yaml-link" / "model.yaml").symlink_to("../../secret.yaml")
        names += ["yaml-fifo", "yaml-directory", "yaml-link"]
        # As Kubernetes mounts a ConfigMap: links that stay inside.
        inside = folder.place("inside", "v1")
        inside.parent.joinpath("..2024").mkdir()
        inside.parent.joinpath("..2024", "model.onnx").write_bytes(tiny_onnx.model(5))
        inside.parent.joinpath("..data").symlink_to("..2024")
        inside.symlink_to("..data/model.onnx")
        time.sleep(3 * POLL)
        report.check("all are looked at", folder.settled(names + ["inside"], 8) is not None,
                     folder.models())
        for name in names:
            folder.refused(report, name, name)
        report.equal("a link that stays inside is served", folder.ask("inside"), (200, "v1", 5))
        report.check("nothing of outside is told", "hidden_word" not in
                     str(folder.models()) + folder.server.stderr(), folder.models()["yaml-link"])
        folder.check_health(report, "kinds of files")


def changing(report):
    """A writer that does not stop, and one that is served all the while."""
    with Suspects() as folder:
        folder.put("m", "v1", 1001)
        report.check("v1", wait_until(lambda: folder.ask() == (200, "v1", 1001)) is not None)
        with Asking(folder) as asking:
            until, data = time.monotonic() + 8 * POLL, tiny_onnx.model(2001, ballast=1 << 20)
            with open(folder.place("m", "v2"), "wb") as v2, open(folder.place("m", "v1"),
                                                                 "r+b") as v1:
                v2.write(data)
                while time.monotonic() < until:
                    for out in (v1, v2):
                        out.seek(0, os.SEEK_END)
                        out.write(b"more")
                        out.flush()
                    time.sleep(0.01)
            folder.put("m", "v2", data)
            took = wait_until(lambda: folder.ask() == (200, "v2", 2001))
            report.check("whole at last", took is not None, (folder.ask(), folder.models()["m"]))
        nobody_failed(report, "meanwhile", asking)
        report.check("no other answers", {one[2] for one in asking.outcomes} <= {1001, 2001},
                     {one[2] for one in asking.outcomes})
        folder.check_health(report, "changing")


# ---- The trial ----


def kill_trial(folder, number):
    """Ends the child that tries a model now; False where there is none in time."""
    keeper = next(pid for pid, (name, _) in children(folder.server.pid).items()
                  if name == "sluice-probe")

    def killed():
        for pid in children(keeper):
            try:
                # Only a child catches this one: then it can tell of the others, too.
                if catches(pid, signal.SIGXCPU):
                    time.sleep(0.02)
                    os.kill(pid, number)
                    return True
            except (ProcessLookupError, FileNotFoundError):  # it has ended: the next one, perhaps
                pass
        return False
    return wait_until(killed, seconds=8, every=0.002) is not None


def crashes(report):
    """The engine crashes, or is killed, while a model is tried: the server goes on and says so."""
    slow = tiny_onnx.model(6, work=2500)
    with Suspects() as folder:
        for number, word in ((signal.SIGSEGV, "SEGV"), (signal.SIGABRT, "ABRT"),
                             (signal.SIGBUS, "BUS"), (signal.SIGKILL, "killed")):
            folder.put("m", "v1", slow)
            if not report.check(f"{word}: a trial to end", kill_trial(folder, number)):
                continue
            folder.becomes_refused(report, "m", "v1", word, "trial")
            folder.check_health(report, word)
        # Who is killed may have been killed for want of memory, which passes. A trial is nice:
        # where others work, too, it takes long.
        took = wait_until(lambda: folder.ask() == (200, "v1", 6), seconds=30)
        report.check("what was killed is tried again", took is not None, folder.models())
        folder.put("m", "v1", 5)
        took = wait_until(lambda: folder.ask() == (200, "v1", 5))
        report.check("and a good one is served", took is not None, folder.models())
        keepers = children(folder.server.pid)
        # A trial that still runs ends by itself; a zombie would stay.
        report.check("no zombies", wait_until(
            lambda: not any(children(keeper) for keeper in keepers), 5) is not None,
            [children(keeper) for keeper in keepers])


def endless(report):
    """A model whose run never ends holds up neither the others nor the end of the server."""
    with Suspects() as folder:
        for version in ("v1", "v2", "v3"):
            folder.put("endless", version, tiny_onnx.endless())
        wait_until(lambda: folder.state("endless", "v1") == "loading")
        time.sleep(4 * POLL)
        folder.check_health(report, "endless")
        folder.remove("endless")
        folder.put("m", "v1", 6)
        took = wait_until(lambda: folder.ask() == (200, "v1", 6))
        report.check("once it is removed, others are loaded", took is not None, folder.models())
        keepers = children(folder.server.pid)
        folder.server.signal()
        report.equal("SIGTERM: exit code, in less than 5 s", folder.server.wait(5), 0)
        left = wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in keepers), 3)
        report.check("nothing is left running", left is not None)


def keeper_gone(report):
    """Without the process that tries models nothing new is served, and that is told."""
    with Suspects() as folder:
        for pid in children(folder.server.pid):
            os.kill(pid, signal.SIGKILL)
        folder.put("m", "v1", 6)
        took = wait_until(lambda: folder.state("m", "v1") in ("failed", "ready"))
        report.check("told, or mended", took is not None, folder.models())
        folder.check_health(report, "keeper gone")
        folder.server.signal()
        report.equal("exit code", folder.server.wait(), 0)


# ---- The repository ----


def listing_seconds(directory):
    """Of CPU: what this process needs to look at each file once, on this machine."""
    began = time.process_time()
    for one in os.scandir(directory):
        if one.is_dir():
            for file in os.scandir(one):
                file.stat()
    return time.process_time() - began


def many_versions(report):
    # In memory where that is possible: thousands of directories are slow to remove from some disks.
    shared = Path("/dev/shm")
    with Folder(shared if os.access(shared, os.W_OK) else None) as folder:
        for number in range(1, 2001):
            folder.place("m", f"v{number}").write_bytes(tiny_onnx.model(number))
        folder.yaml("m", "versions: {latest: 2}\n")
        began = time.monotonic()
        server = folder.serve("--poll", "1s")
        report.equal("the newest answers", folder.ask(), (200, "v2000", 2000))
        took = time.monotonic() - began
        report.check("within 10 s", took < 10, took)
        report.equal("two are loaded", len(folder.log_lines("is ready")), 2)
        time.sleep(1)
        before, began = cpu_seconds(server.pid), time.monotonic()
        time.sleep(2.5)
        used = (cpu_seconds(server.pid) - before) / (time.monotonic() - began)
        one_look = listing_seconds(folder.path / "m")
        print(f"  2,000 versions: serves after {took:.2f} s; idle it uses {used * 100:.1f} % of a "
              "core")
        report.check("idle it uses little", used < MOST_LOOKS * one_look, (used, one_look))
        began = time.monotonic()
        folder.put("m", "v2001", 2001)
        took = wait_until(lambda: folder.ask() == (200, "v2001", 2001), seconds=8)
        report.check("one more is served", took is not None, folder.models())
        print(f"  and one more after {took or 0:.2f} s")


def vanishes(report):
    """The repository's directory goes and comes back; what ran goes on."""
    with Suspects() as folder:
        away = folder.path.with_name("moved")
        folder.put("m", "v1", 1001)
        report.check("v1", wait_until(lambda: folder.ask() == (200, "v1", 1001)) is not None)
        with Asking(folder, "m", "beside") as asking:
            folder.path.rename(away)
            wait_until(lambda: folder.log_lines("cannot be listed"))
            time.sleep(4 * POLL)
            folder.check_health(report, "vanished")
            report.equal("it is told once", len(folder.log_lines("cannot be listed")), 1)
            away.rename(folder.path)
            time.sleep(3 * POLL)
            folder.put("m", "v2", 2001)
            took = wait_until(lambda: folder.ask() == (200, "v2", 2001))
            report.check("back again", took is not None, folder.models())
            # Another directory under the same name.
            shutil.copytree(folder.path, away)
            folder.path.rename(folder.path.with_name("older"))
            away.rename(folder.path)
            time.sleep(3 * POLL)
            folder.put("m", "v3", 3001)
            took = wait_until(lambda: folder.ask() == (200, "v3", 3001))
            report.check("another one", took is not None, folder.models())
        nobody_failed(report, "vanishes", asking)


def out_of_descriptors(report):
    """Clients take the last descriptor: the repository cannot be listed, and what runs goes on."""
    with Suspects() as folder:
        server = folder.server
        host, port = server.http.rsplit(":", 1)
        rest = oip.Rest(server)
        body = {"features": [0.5, 0]}
        report.equal("before", rest.status("POST", "/models/beside/predict", body), 200)
        was = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
        few = descriptors(server.pid) + 4
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (few, was[1]))
        clients = [socket.create_connection((host, int(port)), timeout=5) for _ in range(8)]
        statuses = set()
        for _ in range(20):
            statuses.add(rest.status("POST", "/models/beside/predict", body))
            time.sleep(POLL / 4)
        report.equal("meanwhile", statuses, {200})
        folder.put("m", "v1", 6)
        time.sleep(2 * POLL)
        for client in clients:
            client.close()
        # Enough to see that there is one more, too few to load it.
        wait_until(lambda: descriptors(server.pid) <= few - 4)
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (few - 1, was[1]))
        folder.put("m", "v2", 8)
        time.sleep(3 * POLL)
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, was)
        took = wait_until(lambda: folder.ask() == (200, "v2", 8))
        report.check("and then new ones come", took is not None, folder.models())
        folder.check_health(report, "out of descriptors")


def full_disk(report):
    """Deployed to a disk that is full: half a file is no model, whatever is there goes on."""
    new_mounts, new_user = 0x20000, 0x10000000
    libc = ctypes.CDLL(None, use_errno=True)
    with Folder() as folder:
        ids = (os.geteuid(), os.getegid())
        if libc.unshare(new_mounts) != 0:
            if libc.unshare(new_mounts | new_user) != 0:
                return print("  skipped: no mount namespace is permitted")
            for file, line in (("setgroups", "deny"), ("uid_map", f"0 {ids[0]} 1"),
                               ("gid_map", f"0 {ids[1]} 1")):
                with open(f"/proc/self/{file}", "w") as out:
                    out.write(line)
        for command in (["mount", "--make-rprivate", "/"],
                        ["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(folder.path)]):
            if subprocess.run(command, capture_output=True).returncode != 0:
                return print("  skipped: mounting is not permitted")
        try:
            on_full_disk(report, folder)
        finally:
            folder.stop()
            subprocess.run(["umount", str(folder.path)])


def on_full_disk(report, folder):
    folder.put("m", "v1", 1001)
    folder.serve()
    filler = folder.path / ".filler"
    with Asking(folder) as asking:
        filler.write_bytes(bytes(200 << 10))
        data = tiny_onnx.model(2001, ballast=100 << 10)
        try:
            folder.place("m", "v2").write_bytes(data)
            report.check("the disk is full", False)
        except OSError:
            pass
        took = wait_until(lambda: folder.state("m", "v2") == "failed")
        report.check("half a file is refused", took is not None, folder.models())
        filler.unlink()
        folder.place("m", "v2").write_bytes(data)
        took = wait_until(lambda: folder.ask() == (200, "v2", 2001))
        report.check("with room it is served", took is not None, folder.models())
    nobody_failed(report, "a full disk", asking)


def main():
    Report("bad_models").run(cut_off, contents, kinds_of_files, changing, crashes, endless,
                             keeper_gone, many_versions, vanishes, out_of_descriptors, full_disk)


if __name__ == "__main__":
    main()
