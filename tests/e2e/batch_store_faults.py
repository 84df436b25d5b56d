#!/usr/bin/python3
"""sluice batch and a store behind a bad network: faults, kills and what is gone on with."""

import json
import signal
import threading
import time

from lib.batch_case import URL, run_cases, succeeds, table
from lib.faults import FaultProxy
from lib.folder import wait_until

MIB = 1 << 20
PART = 16 * MIB  # of uploads


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
        return sum(max(0, text.count("\n") - 1) for text in notes)


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
    proxy.quiet()  # what it has goes on
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
    proxy.quiet()
    report.equal("leaves nothing in the store", (case.s3.uploads(), case.s3.get("out.csv")),
                 ([], None))
    # Another begins anew, without the first one's rest.
    proxy.turn = 0
    process = case.start(f"{URL}/in.csv", f"{URL}/out.csv")
    report.check("a part of another", wait_until(large.noted, 60) is not None)
    process.kill()
    process.communicate()
    proxy.put_pause = 0
    proxy.quiet()
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
    # Its last 4 MiB are not noted, and what lies in sockets.
    report.check("with the rest", more <= large.source.stat().st_size - PART // 2, (before, more))
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


def with_large(test):
    def named(report, case):
        with FaultProxy(case.s3.port) as proxy:
            test(report, Large(case, proxy))
    named.__name__ = test.__name__
    return named


if __name__ == "__main__":
    run_cases("batch_store_faults", *map(with_large, (faults, killed_in_upload, stopped_in_upload,
                                                      killed_in_download, changed)))
