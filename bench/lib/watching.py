"""The group `log`: what the prediction log costs those who are answered, and whether it keeps up.

Three servers of one model: without a log, with one in a file on this disk, and with one in Parquet.
Each round loads one after the other with wrk; what counts is the throughput beside that of the
server without, in the same round. Then the server with a file is asked at a fixed rate, in an open
loop. At the end each is stopped: its files must have a line for each answer, but for those that it
says it dropped.
"""
import re
import shutil
from pathlib import Path

from . import load, report
from .questions import Row
from .servers import BenchError

PATH = "/models/breast_cancer/versions/v1/predict"
CONNECTIONS, RATE_CONNECTIONS = 64, 64
RATE = 20_000
LEAST = 0.95  # of the throughput without
NAMES = {"off": "no log", "file": "a file", "parquet": "Parquet"}
ENDING = re.compile(r"ends with (\d+) predictions written and (\d+) dropped")


class Logged:
    """A server, and where its log is."""

    def __init__(self, site, key, stack):
        self.folder = Path(site.temp, f"log-{key}")
        self.folder.mkdir()
        where = {"off": "off", "file": self.folder / "log.jsonl",
                 "parquet": self.folder / "log.parquet"}[key]
        self.key = key
        self.server = site.serve(f"sluice with log {key}", site.example("models/breast_cancer"),
                                 "--prediction-log", where, "--log-keep", "0",
                                 env={"SLUICE_STATE_DIR": ":memory:"})
        stack.callback(self.server.stop)
        self.requests = 0

    @property
    def port(self):
        return self.server.ports["http"]

    def rate(self, question, seconds):
        before = self.server.cpu_seconds()
        result = load.wrk(self.port, PATH, question, CONNECTIONS, seconds)
        result["cpu_us"] = 1e6 * (self.server.cpu_seconds() - before) / result["requests"]
        return result

    def answered(self):
        """Of all its life, as it has counted itself."""
        return load.statistics(self.port, "breast_cancer").rows

    def end(self):
        """(answered, dropped) once it has ended; what is in the files must be the difference."""
        answered = self.answered()
        self.server.stop()
        said = ENDING.search(self.server.log.read_text())
        dropped = int(said[2]) if said else 0
        if self.key == "file":
            lines = sum(_lines(file) for file in self.folder.iterdir())
            if lines + dropped != answered:
                raise BenchError(f"{answered} requests were answered, {lines} lines are in the log "
                                 f"and {dropped} are said to be dropped")
        shutil.rmtree(self.folder)
        return answered, dropped


def _lines(file):
    with open(file, "rb") as bytes_:
        return sum(piece.count(b"\n") for piece in iter(lambda: bytes_.read(1 << 20), b""))


def measure(site, rounds, seconds, say, stack):
    out = Watching()
    question = Row(site.example("golden/breast_cancer.v1.jsonl"), site.temp)
    body = question.body.decode()
    logged = {key: Logged(site, key, stack) for key in NAMES}
    for each in logged.values():
        each.rate(question, 1)  # warm-up
    for number in range(1, rounds + 1):
        for key, each in logged.items():
            result = each.rate(question, seconds)
            out.rounds.setdefault(key, []).append(result)
            say(f"round {number}/{rounds}  {NAMES[key]}: {result['per_second']:,.0f}/s, "
                f"{result['cpu_us']:.1f} us of the processor each")
    full = {key: each.end() for key, each in logged.items()}
    again = Logged(site, "file", stack)
    for number in range(1, rounds + 1):
        result = load.sluice_bench(site.binary("sluice"), again.port, PATH, body,
                                   RATE_CONNECTIONS, seconds, rate=RATE)
        out.at_rate.append(result)
        say(f"round {number}/{rounds}  a file at {RATE:,}/s: {result['per_second']:,.0f}/s answered")
    out.full, out.rated = full, again.end()
    return out


class Watching:
    """Of each round: {off, file, parquet: [wrk's result]}, and those at a fixed rate. `full` and
    `rated`: (answered, dropped)."""

    def __init__(self):
        self.rounds, self.at_rate, self.full, self.rated = {}, [], {}, (0, 0)

    def table(self):
        lines = [("", "requests/s", "min – max", "server CPU µs/req", "answered", "dropped")]
        for key, rounds in self.rounds.items():
            cell = report.summary(rounds)
            answered, dropped = self.full[key]
            lines.append((NAMES[key], f"{cell['per_second']:,.0f}",
                          f"{cell['min']:,.0f} – {cell['max']:,.0f}", f"{cell['cpu_us']:.1f}",
                          f"{answered:,}", f"{dropped:,}"))
        cell = report.summary(self.at_rate)
        lines.append((f"a file, asked at {RATE:,}/s", f"{cell['per_second']:,.0f}",
                      f"{cell['min']:,.0f} – {cell['max']:,.0f}", "", f"{self.rated[0]:,}",
                      f"{self.rated[1]:,}"))
        return f"The prediction log, REST at {CONNECTIONS}\n" + report.aligned(lines)

    def ratios(self, key):
        return [one["per_second"] / off["per_second"]
                for one, off in zip(self.rounds[key], self.rounds["off"])]

    def reach(self):
        return [report.entry("prediction log in a file, REST at 64, times without",
                             self.ratios("file"), report.AT_LEAST, LEAST, "×"),
                report.entry("prediction log in Parquet, REST at 64, times without",
                             self.ratios("parquet"), report.AT_LEAST, LEAST, "×"),
                report.entry(f"prediction log in a file at {RATE:,}/s, dropped",
                             [self.rated[1]], report.AT_MOST, 0, "")]

    def cells(self):
        return [{"key": key, **report.summary(rounds), "answered": self.full[key][0],
                 "dropped": self.full[key][1], "rounds": rounds}
                for key, rounds in self.rounds.items()]
