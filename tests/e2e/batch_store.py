#!/usr/bin/python3
"""sluice batch from and to an S3 server: the bytes of a run on this disk, whatever happens between."""

import json
import os
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import numpy
from sklearn.datasets import load_breast_cancer

from lib.faults import FaultProxy
from lib.folder import wait_until
from lib.s3 import BUCKET, KEY, S3, SECRET
from lib.server import BINARY, MODELS, Report, environment

MIB = 1 << 20
MODEL = MODELS / "breast_cancer"
URL = f"s3://{BUCKET}"
PART = 16 * MIB  # of uploads


def table(path, rows, note=0, noise=0):
    """Rows of one data set as CSV, with a note that makes it long: so many characters, and bytes that
    no codec makes shorter."""
    data = load_breast_cancer()
    dice = numpy.random.default_rng(3)
    values = data.data[dice.integers(0, len(data.data), 200)]
    values = (values * dice.normal(1, 0.02, values.shape)).astype(numpy.float32)
    texts = [",".join(map(repr, row)) for row in values.tolist()]
    with open(path, "w") as out:
        out.write(",".join(["code", *(name.replace(" ", "_") for name in data.feature_names)]))
        out.write(",note\n")
        out.writelines(f"{n:07d},{texts[n % len(texts)]},{'x' * note}"
                       f"{dice.bytes(noise).hex()}{n}\n" for n in range(rows))
    return path


class Case:
    """A bucket, a folder for what lies on this disk, and the runs between them."""

    def __init__(self, root, s3):
        self.root = Path(tempfile.mkdtemp(dir=root))
        self.s3, self.port = s3, None
        self.staging = self.root / "cache/sluice/batch"

    def environment(self, **more):
        return {**environment(), **self.s3.env(self.port),
                "XDG_CACHE_HOME": str(self.root / "cache"), **more}

    def command(self, source, target, *more):
        return [str(BINARY), "batch", "--model", str(MODEL), "--input", str(source), "--output",
                str(target), "--workers", "2", *map(str, more)]

    def run(self, source, target, *more, **env):
        return subprocess.run(self.command(source, target, *more), text=True, timeout=120,
                              capture_output=True, env=self.environment(**env), check=False)

    def start(self, source, target, *more):
        return subprocess.Popen(self.command(source, target, *more), text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                env=self.environment())

    def merge(self, target):
        return subprocess.run([str(BINARY), "batch", "--merge", "--output", target], text=True,
                              timeout=120, capture_output=True, env=self.environment(),
                              check=False)

    def local(self, source, name, *more):
        """The bytes of a run on this disk."""
        target = self.root / name
        done = self.run(source, target, *more)
        if done.returncode:
            raise RuntimeError(done.stderr)
        return target.read_bytes()

    def put(self, key, file):
        self.s3.put(key, file.read_bytes())

    def left(self):
        """What lies in the staging folder."""
        return sorted(self.staging.iterdir()) if self.staging.exists() else []


def succeeds(report, what, done):
    return report.check(what, done.returncode == 0, (done.returncode, done.stderr))


# ---- Where it lies changes nothing -------------------------------------------------------------


def same_bytes(report, case):
    source = table(case.root / "in.csv", 3000)
    want = {"csv": case.local(source, "out.csv"), "parquet": case.local(source, "out.parquet")}
    case.put("in.csv", source)
    (case.root / "in.parquet").write_bytes(want["parquet"])
    case.put("in.parquet", case.root / "in.parquet")
    again = case.local(case.root / "in.parquet", "again.parquet")
    for name, begin, end, bytes_ in (
            ("CSV", f"{URL}/in.csv", f"{URL}/a b/ü.csv", want["csv"]),
            ("to Parquet", f"{URL}/in.csv", f"{URL}/a b/c.parquet", want["parquet"]),
            ("Parquet", f"{URL}/in.parquet", f"{URL}/again.parquet", again),
            ("only to a store", source, f"{URL}/to.csv", want["csv"])):
        if succeeds(report, name, case.run(begin, end)):
            report.check(f"{name}: the same bytes", case.s3.get(end[len(URL) + 1:]) == bytes_)
    succeeds(report, "only from a store", case.run(f"{URL}/in.csv", case.root / "from.csv"))
    report.equal("the same bytes", (case.root / "from.csv").read_bytes(), want["csv"])
    report.equal("nothing is left here", case.left(), [])
    report.equal("nor there", (case.s3.uploads(), case.s3.keys()),
                 ([], ["a b/c.parquet", "a b/ü.csv", "again.parquet", "in.csv", "in.parquet",
                       "to.csv"]))


def bad_rows(report, case):
    source = table(case.root / "in.csv", 40)
    lines = source.read_text().split("\n")
    lines[5] = lines[5].replace(",", ",many", 1)
    bad = case.root / "bad.csv"
    bad.write_text("\n".join(lines))
    case.put("bad.csv", bad)
    case.put("in.csv", source)
    done = case.run(f"{URL}/bad.csv", f"{URL}/out.csv", "--on-error", "skip")
    succeeds(report, "a bad row", done)
    listed = case.s3.get("out.csv.bad_rows.jsonl") or b"{}"
    report.equal("is listed beside the output", json.loads(listed).get("row"), 5)
    succeeds(report, "none", case.run(f"{URL}/in.csv", f"{URL}/out.csv"))
    report.equal("and the old list is gone", case.s3.get("out.csv.bad_rows.jsonl"), None)


def patterns(report, case):
    """Objects mean what files mean."""
    source = table(case.root / "in.csv", 30)
    days = case.root / "days"
    for day in ("day=2", "day=10", "day=1"):
        folder = days / day
        folder.mkdir(parents=True)
        for part in ("part-10.csv", "part-2.csv"):
            (folder / part).write_bytes(source.read_bytes())
            case.put(f"t/days/{day}/{part}", source)
        (folder / "_SUCCESS").touch()
        case.s3.put(f"t/days/{day}/_SUCCESS", b"")
    case.s3.put("t/days2/other.csv", b"a,b\n1,2\n")
    for number, text in enumerate(("days", "days/**/*.csv", "days/day=[12]/part-2.csv",
                                   "days/day=1/*.csv", "days/day=2/")):
        want = case.local(case.root / text, f"want-{number}.csv")
        done = case.run(f"{URL}/t/{text}", case.root / f"got-{number}.csv")
        if succeeds(report, text, done):
            report.equal(f"{text}: the same rows", (case.root / f"got-{number}.csv").read_bytes(),
                         want)
    done = case.run(f"{URL}/t/days/day=3/*.csv", f"{URL}/x.csv")
    report.check("nothing matches", done.returncode == 66 and "matches" in done.stderr,
                 done.stderr)
    done = case.run(f"{URL}/t/*/*", f"{URL}/x.csv")
    report.check("one deep is one deep", case.s3.get("x.csv") is None, done.stderr)


def google(report, case):
    """gs:// is the same interface; with an HMAC key its signatures are the same, too."""
    source = table(case.root / "in.csv", 100)
    want = case.local(source, "want.csv")
    case.put("in.csv", source)
    done = case.run(f"gs://{BUCKET}/in.csv", f"gs://{BUCKET}/out.csv", GS_ACCESS_KEY_ID=KEY,
                    GS_SECRET_ACCESS_KEY=SECRET,
                    STORAGE_EMULATOR_HOST=f"127.0.0.1:{case.s3.port}")
    succeeds(report, "gs://", done)
    report.equal("the same bytes", case.s3.get("out.csv"), want)


# ---- What goes wrong ---------------------------------------------------------------------------


class Large:
    """A table whose output is three parts of an upload and five of a run, behind a proxy."""

    source, want = None, b""

    @classmethod
    def make(cls, case):
        cls.source = table(case.root / "in.csv", 9000, note=3700)
        cls.want = case.local(cls.source, "want.csv")

    def __init__(self, case, proxy):
        if not self.want:
            self.make(case)
        case.port = proxy.port
        self.case, self.proxy = case, proxy
        case.put("in.csv", self.source)

    def parts(self):
        """Of uploads, that the store has got."""
        return [size for path, size in self.proxy.puts if "partNumber=" in path]

    def noted(self):
        """Parts whose answers have come."""
        notes = [file.read_text() for file in self.case.staging.glob("*/uploads/out.csv")]
        return sum(text.count("\n") - 1 for text in notes)


def faults(report, large):
    case, proxy = large.case, large.proxy
    report.check("the input is large", len(large.want) > 2 * PART)
    proxy.fails, proxy.put_fails, proxy.put_cuts, proxy.put_flips = 2, 2, 2, 1
    proxy.cuts, proxy.flips = 2, 0
    done = case.run(f"{URL}/in.csv", f"{URL}/out.csv", "--json")
    succeeds(report, "a store that fails, connections that are cut, bytes that are changed", done)
    report.check("the same bytes", case.s3.get("out.csv") == large.want)
    report.equal("in three parts", len(large.parts()), 3)
    report.check("all faults came", not any((proxy.fails, proxy.put_fails, proxy.put_cuts,
                                             proxy.put_flips, proxy.cuts)), vars(proxy))
    summary = json.loads(done.stdout.splitlines()[-1])
    report.equal("is counted", (summary.get("downloaded_bytes"), summary.get("uploaded_bytes")),
                 (large.source.stat().st_size, len(large.want)))
    report.equal("nothing is left", (case.s3.uploads(), case.left()), ([], []))
    proxy.flips = 1
    target = case.root / "out.csv"
    succeeds(report, "a wrong byte comes", case.run(f"{URL}/in.csv", target))
    report.check("and is not believed", target.read_bytes() == large.want and not proxy.flips)
    proxy.put_flips, proxy.cut_after = 10 ** 6, 0
    done = case.run(table(case.root / "few.csv", 50), f"{URL}/few.csv")
    report.check("wrong bytes again and again", done.returncode == 69 and "bytes" in done.stderr,
                 (done.returncode, done.stderr))
    report.equal("leave nothing", (case.s3.get("few.csv"), case.s3.uploads()), (None, []))


def killed_in_upload(report, large):
    case, proxy = large.case, large.proxy
    proxy.put_pause = 0.5
    seen, looking = set(), threading.Event()

    def look():
        while not looking.is_set():
            seen.add(case.s3.get("out.csv") is not None)
            time.sleep(0.01)

    reader = threading.Thread(target=look)
    reader.start()
    process = case.start(f"{URL}/in.csv", f"{URL}/out.csv")
    report.check("a part is there", wait_until(large.noted, 60) is not None)
    process.kill()
    process.communicate()
    noted = large.noted()
    time.sleep(1.2)  # what the proxy has goes on
    looking.set()
    reader.join()
    report.equal("nobody sees an object", seen, {False})
    before, proxy.put_pause = len(large.parts()), 0
    poured = proxy.poured("in.csv")
    done = case.run(f"{URL}/in.csv", f"{URL}/out.csv", "--resume")
    succeeds(report, "goes on", done)
    report.check("the same bytes", case.s3.get("out.csv") == large.want)
    report.check("no row was answered again", "9000 rows of an earlier run" in done.stdout,
                 done.stdout)
    report.equal("what was there was not sent again", len(large.parts()) - before, 3 - noted)
    report.equal("nor was anything read again", proxy.poured("in.csv"), poured)
    report.equal("nothing is left", (case.s3.uploads(), case.left()), ([], []))


def stopped_in_upload(report, large):
    case, proxy = large.case, large.proxy
    proxy.put_pause = 0.5
    process = case.start(f"{URL}/in.csv", f"{URL}/out.csv")
    report.check("a part is there", wait_until(large.noted, 60) is not None)
    process.send_signal(signal.SIGINT)
    said = process.communicate()[1]
    report.check("Ctrl-C", process.returncode == 130 and "--resume" in said, said)
    report.equal("leaves nothing in the store", (case.s3.uploads(), case.s3.get("out.csv")),
                 ([], None))
    # Another begins anew, without the first one's rest.
    proxy.turn = 0
    process = case.start(f"{URL}/in.csv", f"{URL}/out.csv")
    report.check("a part of another", wait_until(large.noted, 60) is not None)
    process.kill()
    process.communicate()
    proxy.put_pause = 0
    time.sleep(1.2)
    succeeds(report, "once more", case.run(f"{URL}/in.csv", f"{URL}/out.csv"))
    report.check("the same bytes", case.s3.get("out.csv") == large.want)
    report.equal("what was killed is given up", case.s3.uploads(), [])


def killed_in_download(report, large):
    case, proxy = large.case, large.proxy
    proxy.rate = 8 * MIB  # of each connection
    process = case.start(f"{URL}/in.csv", f"{URL}/out.csv", "--resume")
    took = wait_until(lambda: proxy.poured("in.csv") >= PART, 30)
    report.check("half of it has come", took is not None, proxy.log)
    process.kill()
    process.communicate()
    report.equal("no output", case.s3.get("out.csv"), None)
    proxy.rate, before = 0, proxy.poured("in.csv")
    succeeds(report, "goes on", case.run(f"{URL}/in.csv", f"{URL}/out.csv", "--resume"))
    more = proxy.poured("in.csv") - before
    report.check("with the rest", more <= large.source.stat().st_size - PART, (before, more))
    report.check("the same bytes", case.s3.get("out.csv") == large.want)


def changed(report, large):
    """Another object under the same name: refused where it is gone on with, before it is read."""
    case, proxy = large.case, large.proxy
    process = case.start(f"{URL}/in.csv", f"{URL}/out.csv", "--batch-size", "10")
    done = lambda: any(file.stat().st_size for file in case.staging.rglob("done.jsonl"))
    report.check("a part is finished", wait_until(done, 60) is not None)
    process.kill()
    process.communicate()
    case.s3.put("in.csv", large.source.read_bytes().replace(b"xxx1\n", b"xxy1\n"))
    before = proxy.poured("in.csv")
    refused = case.run(f"{URL}/in.csv", f"{URL}/out.csv", "--batch-size", "10", "--resume")
    report.check("is refused", refused.returncode == 65 and "the input" in refused.stderr and
                 "--resume" in refused.stderr, (refused.returncode, refused.stderr))
    report.equal("before it is read", proxy.poured("in.csv"), before)
    case.put("in.csv", large.source)
    succeeds(report, "what was there before", case.run(f"{URL}/in.csv", f"{URL}/out.csv",
                                                       "--batch-size", "10", "--resume"))


def other_machine(report, case):
    """Parts on this disk, the input in a store, and a staging folder that was emptied."""
    source = table(case.root / "in.csv", 4500, note=3900)
    case.put("in.csv", source)
    want, target = case.local(source, "want.csv"), case.root / "out.csv"
    process = case.start(f"{URL}/in.csv", target, "--batch-size", "10")
    listed = Path(f"{target}.parts/done.jsonl")
    wait_until(lambda: listed.exists() and listed.stat().st_size, 60)
    process.kill()
    process.communicate()
    done = case.run(f"{URL}/in.csv", target, "--batch-size", "10", "--resume", "--staging",
                    case.root / "elsewhere")
    succeeds(report, "goes on", done)
    report.check("with what was finished", "of an earlier run" in done.stdout, done.stdout)
    report.equal("the same rows", target.read_bytes().count(b"\n"), want.count(b"\n"))
    report.equal("nothing is left", list((case.root / "elsewhere").iterdir()), [])


# ---- Many machines -----------------------------------------------------------------------------


def shards(report, case):
    source = table(case.root / "in.csv", 6500, note=3900)
    case.put("in.csv", source)
    target = f"{URL}/out/whole.csv"
    want = case.local(source, "want.csv")
    case.s3.put("out/whole.csv.shard-1-of-3.parts/manifest.json", b"of an old run")
    case.s3.put("out/whole.csv.shard-1-of-3.parts/part-00000099", b"of an old run")
    ways = [{"JOB_COMPLETION_INDEX": "0", "JOB_COMPLETIONS": "3"},
            {"SLURM_ARRAY_TASK_ID": "5", "SLURM_ARRAY_TASK_MIN": "4", "SLURM_ARRAY_TASK_COUNT": "3"},
            {"OMPI_COMM_WORLD_RANK": "2", "OMPI_COMM_WORLD_SIZE": "3"}]
    for place, env in enumerate(ways):
        early = case.merge(target)
        report.check("not before all are there", early.returncode in (65, 66), early.stderr)
        succeeds(report, f"shard {place + 1}", case.run(f"{URL}/in.csv", target, **env))
        report.check("is in the store", case.s3.get(
            f"out/whole.csv.shard-{place + 1}-of-3.parts/manifest.json") is not None,
            case.s3.keys())
    report.check("what lay there is gone", not any("part-00000099" in key for key in
                                                   case.s3.keys()))
    report.equal("and no output yet", case.s3.get("out/whole.csv"), None)
    succeeds(report, "merge", case.merge(target))
    report.check("the bytes of one run", case.s3.get("out/whole.csv") == want)
    report.equal("and nothing else", (case.s3.keys(), case.s3.uploads(), case.left()),
                 (["in.csv", "out/whole.csv"], [], []))


def shards_of_many_files(report, case):
    """Of Parquet files that are another shard's nothing but the footer is read."""
    sizes = []
    for day in range(3):
        source = table(case.root / "in.csv", 3000 + day, noise=80)
        file = case.root / f"days/part-{day}.parquet"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(case.local(source, "made.parquet"))
        case.put(f"days/{file.name}", file)
        sizes.append(file.stat().st_size)
    want = case.local(file.parent, "want.parquet")
    with FaultProxy(case.s3.port) as proxy:
        case.port = proxy.port
        for shard in range(3):
            done = case.run(f"{URL}/days", f"{URL}/out.parquet", "--shard", f"{shard + 1}/3")
            succeeds(report, f"shard {shard + 1}", done)
            read = [proxy.poured(f"part-{day}.parquet") for day in range(3)]
            proxy.log.clear()
            report.check("reads its own file, and little of the others",
                         all(got >= size if day == shard else got < size / 2
                             for day, (got, size) in enumerate(zip(read, sizes))), (read, sizes))
    case.port = None
    succeeds(report, "merge", case.merge(f"{URL}/out.parquet"))
    report.check("the bytes of one run", case.s3.get("out.parquet") == want)


def merge_ended_early(report, case):
    """After the output is there, while the shards are taken away."""
    source = table(case.root / "in.csv", 2500, note=3900)
    case.put("in.csv", source)
    want = case.local(source, "want.csv")
    target = f"{URL}/out.csv"
    for shard in ("1/2", "2/2"):
        succeeds(report, shard, case.run(f"{URL}/in.csv", target, "--shard", shard))
    with Deletes(case.s3.port) as proxy:
        case.port = proxy.port
        first = case.merge(target)
        report.equal("taking shards away fails", first.returncode, 65)
        report.check("the output is there", case.s3.get("out.csv") == want)
        report.check("and some of the shards", len(case.s3.keys()) > 2, case.s3.keys())
        proxy.refuses = False
        again = case.merge(target)
        succeeds(report, "once more", again)
        report.check("tells what was made", "2500" in again.stdout, again.stdout)
        report.equal("and takes away the rest", (case.s3.keys(), case.left()),
                     (["in.csv", "out.csv"], []))


class Deletes(FaultProxy):
    """Refuses to remove all but the first objects."""

    refuses, removed = True, 0

    def forward(self, handler):
        if handler.command == "DELETE" and "uploadId" not in handler.path and self.refuses:
            with self.lock:
                self.removed += 1
            if self.removed > 2:
                from lib.faults import reply
                return reply(handler, b"", 403)
        return super().forward(handler)


# ---- Who may, and where ------------------------------------------------------------------------


def errors(report, case):
    source = table(case.root / "in.csv", 50)
    case.put("in.csv", source)
    here, there = case.root / "out.csv", f"{URL}/out.csv"
    with FaultProxy(case.s3.port) as gone:
        nobody = gone.port
    cases = [
        ("wrong keys", f"{URL}/in.csv", here, 65, "credentials", {"AWS_SECRET_ACCESS_KEY": "x"}),
        ("wrong keys to write", source, there, 65, "credentials", {"AWS_SECRET_ACCESS_KEY": "x"}),
        ("no such bucket", "s3://nothing-here/in.csv", here, 66, "does not exist", {}),
        ("no such bucket to write", source, "s3://nothing-here/out.csv", 66, "does not exist", {}),
        ("no such object", f"{URL}/other.csv", here, 66, "'other.csv'", {}),
        ("no such folder", f"{URL}/other", here, 66, "'other'", {}),
        ("no bucket", "s3:///in.csv", here, 65, "names no bucket", {}),
        ("no object to write", source, URL, 64, "names a bucket", {}),
        ("no kind of table", source, f"{URL}/out.txt", 65, "'out.txt'", {}),
        ("another store", "ftp://host/in.csv", here, 64, "s3://", {}),
        ("another store to write", source, "https://host/out.csv", 64, "s3://", {}),
        ("nobody there", f"{URL}/in.csv", here, 69, "the S3 bucket",
         {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{nobody}"})]
    for what, begin, end, code, word, env in cases:
        done = case.run(begin, end, **env)
        report.check(what, done.returncode == code and word in done.stderr and
                     "127.0.0.1" not in done.stderr, (done.returncode, done.stderr))
    report.check("no output", not here.exists() and case.s3.get("out.csv") is None)
    held = case.run(f"{URL}/in.csv", there, "--staging", source / "below a file")
    report.check("no staging folder", held.returncode == 69 and "--staging" in held.stderr,
                 held.stderr)
    process = case.start(f"{URL}/in.csv", there)
    process.communicate()
    report.equal("and then it works", process.returncode, 0)


def main():
    with tempfile.TemporaryDirectory(prefix="e2e-store-") as scratch, S3() as s3:

        def with_bucket(test):
            def named(report):
                s3.clear()
                test(report, Case(scratch, s3))
            named.__name__ = test.__name__
            return named

        def with_large(test):
            def named(report):
                s3.clear()
                with FaultProxy(s3.port) as proxy:
                    test(report, Large(Case(scratch, s3), proxy))
            named.__name__ = test.__name__
            return named

        os.environ.pop("AWS_PROFILE", None)
        Report("batch_store").run(
            *map(with_bucket, (same_bytes, bad_rows, patterns, google)),
            *map(with_large, (faults, killed_in_upload, stopped_in_upload, killed_in_download,
                              changed)),
            *map(with_bucket, (other_machine, shards, shards_of_many_files,
                               merge_ended_early, errors)))


if __name__ == "__main__":
    main()
