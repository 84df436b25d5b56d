#!/usr/bin/python3
"""sluice batch from and to an S3 server: the bytes of a run on this disk, on one machine or many."""

import json
from pathlib import Path

from lib.batch_case import URL, run_cases, succeeds, table
from lib.faults import FaultProxy, reply
from lib.folder import wait_until
from lib.s3 import BUCKET, KEY, SECRET


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


# ---- Many machines -----------------------------------------------------------------------------


def other_machine(report, case):
    """Parts on this disk, the input in a store, and a staging folder that was emptied."""
    source = table(case.root / "in.csv", 4500, note=3900)
    case.put("in.csv", source)
    want, target = case.local(source, "want.csv"), case.root / "out.csv"
    # One that is quicker than who looks for it has ended, and its parts are gone.
    report.check("killed on its way", any(killed_on_its_way(case, target) for _ in range(10)))
    done = case.run(f"{URL}/in.csv", target, "--batch-size", "10", "--resume", "--staging",
                    case.root / "elsewhere")
    succeeds(report, "goes on", done)
    report.check("with what was finished", "of an earlier run" in done.stdout, done.stdout)
    report.equal("the same rows", target.read_bytes().count(b"\n"), want.count(b"\n"))
    report.equal("nothing is left", list((case.root / "elsewhere").iterdir()), [])


def killed_on_its_way(case, target):
    """Kills a run as soon as a part is listed as done; whether one still is."""
    target.unlink(missing_ok=True)
    process = case.start(f"{URL}/in.csv", target, "--batch-size", "10")
    listed = Path(f"{target}.parts/done.jsonl")

    def finished_some():
        return listed.exists() and listed.stat().st_size > 0

    wait_until(lambda: process.poll() is not None or finished_some(), 60, every=0.002)
    process.kill()
    process.communicate()
    return finished_some()


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
                return reply(handler, b"", 403)
        return super().forward(handler)


# ---- Who may, and where ------------------------------------------------------------------------


def errors(report, case):
    source = table(case.root / "in.csv", 50)
    case.put("in.csv", source)
    here, there = case.root / "out.csv", f"{URL}/out.csv"
    cases = [
        ("wrong keys", f"{URL}/in.csv", here, 65, "credentials", {"AWS_SECRET_ACCESS_KEY": "x"}),
        ("wrong keys to write", source, there, 65, "credentials", {"AWS_SECRET_ACCESS_KEY": "x"}),
        ("no such bucket", "s3://nothing-here/in.csv", here, 66, "does not exist", {}),
        ("no such bucket to write", source, "s3://nothing-here/out.csv", 66,
         "--output: the S3 bucket does not exist", {}),
        ("where it is read", f"{URL}/in.csv", f"{URL}/in.csv", 64, "--input names", {}),
        ("one slash", "s3:/bucket/in.csv", here, 64, "s3://bucket/", {}),
        ("no such object", f"{URL}/other.csv", here, 66, "'other.csv'", {}),
        ("no such folder", f"{URL}/other", here, 66, "'other'", {}),
        ("no bucket", "s3:///in.csv", here, 65, "names no bucket", {}),
        ("no object to write", source, URL, 64, "names a bucket", {}),
        ("no kind of table", source, f"{URL}/out.txt", 65, "'out.txt'", {}),
        ("another store", "ftp://host/in.csv", here, 64, "s3://", {}),
        ("another store to write", source, "https://host/out.csv", 64, "s3://", {}),
        ("nobody there", f"{URL}/in.csv", here, 69, "the S3 bucket",
         {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"})]  # a port that no other suite can have
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


if __name__ == "__main__":
    run_cases("batch_store", same_bytes, bad_rows, patterns, google, other_machine, shards,
              shards_of_many_files, merge_ended_early, errors)
