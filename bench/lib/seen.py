"""The group `watch`: what all that looks at the traffic costs, part by part and together.

Servers of one model that differ in one thing each, loaded in turn with wrk; what counts is the
throughput beside that of the first, in which everything is off, in the same round: guards (bounds and
anomalies of 30 columns, the output's range), drift, the prediction log in a file on this disk, traces
of one request in a hundred to a collector on this machine, and all of them at once.
"""
import http.server
import threading
from pathlib import Path

from . import load, report
from .questions import Row

PATH = "/models/breast_cancer/predict"
CONNECTIONS = 64
LEAST = 0.90  # of the throughput with everything off
NAMES = {"off": "everything off", "guards": "guards", "drift": "drift", "log": "log to a file",
         "traces": "traces of 1 %", "all": "everything on"}


class Collector:
    """Takes spans and forgets them."""

    def __init__(self):
        collector = self
        self.batches = 0

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                collector.batches += 1
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def guarded(text):
    """The example's model.yaml with a guard on each column."""
    text = text.replace("}", ", bounds: [-1e9, 1e9], training: {mean: 0, std: 1e9}}")
    return text + ("\nguard: {anomalies: reject, outputs: {range: [0, 1]}}\n")


class Server:
    def __init__(self, site, key, collector, stack):
        on = {key} if key != "all" else set(NAMES)
        folder = site.repository(f"watch-{key}", "drift: {enabled: %s}" %
                                 ("true" if "drift" in on else "false"),
                                 site.example("models/breast_cancer"))
        yaml = Path(folder, "breast_cancer/model.yaml")
        if "guards" in on:
            lines = yaml.read_text().splitlines()
            inputs = [line for line in lines if line.startswith("  - {name:")]
            rest = [line for line in lines if line not in inputs]
            at = rest.index("inputs:") + 1
            text = "\n".join(rest[:at] + guarded("\n".join(inputs)).split("\n") + rest[at:])
            yaml.write_text(text)
        options = ["--state-dir", ":memory:"]
        if "log" in on:
            log = Path(site.temp, f"watch-{key}-log")
            log.mkdir()
            options += ["--prediction-log", log / "log.jsonl", "--log-keep", "3"]
        if "traces" in on:
            options += ["--otlp-endpoint", collector.url, "--trace-sample", "0.01"]
        self.server = site.serve(f"sluice, {NAMES[key]}", folder, *options)
        stack.callback(self.server.stop)

    def rate(self, question, seconds):
        before = self.server.cpu_seconds()
        result = load.wrk(self.server.ports["http"], PATH, question, CONNECTIONS, seconds)
        result["cpu_us"] = 1e6 * (self.server.cpu_seconds() - before) / result["requests"]
        return result


def measure(site, rounds, seconds, say, stack):
    out = Seen()
    question = Row(site.example("golden/breast_cancer.v2.jsonl"), site.temp)
    collector = Collector()
    stack.callback(collector.stop)
    servers = {key: Server(site, key, collector, stack) for key in NAMES}
    for each in servers.values():
        each.rate(question, 1)  # warm-up
    for number in range(1, rounds + 1):
        for key, each in servers.items():
            result = each.rate(question, seconds)
            out.rounds.setdefault(key, []).append(result)
            say(f"round {number}/{rounds}  {NAMES[key]}: {result['per_second']:,.0f}/s, "
                f"{result['cpu_us']:.1f} us of the processor each")
    if collector.batches == 0:
        raise load.BenchError("no span reached the collector")
    return out


class Seen:
    """Of each round: {key of NAMES: [wrk's result]}."""

    def __init__(self):
        self.rounds = {}

    def ratios(self, key):
        return [one["per_second"] / off["per_second"]
                for one, off in zip(self.rounds[key], self.rounds["off"])]

    def table(self):
        lines = [("", "requests/s", "min – max", "server CPU µs/req", "times off")]
        for key, rounds in self.rounds.items():
            cell = report.summary(rounds)
            ratios = sorted(self.ratios(key))
            lines.append((NAMES[key], f"{cell['per_second']:,.0f}",
                          f"{cell['min']:,.0f} – {cell['max']:,.0f}", f"{cell['cpu_us']:.1f}",
                          f"{ratios[len(ratios) // 2]:.3f}"))
        return f"What looks at the traffic, REST at {CONNECTIONS}\n" + report.aligned(lines)

    def reach(self):
        return [report.entry("everything on, REST at 64, times everything off",
                             self.ratios("all"), report.AT_LEAST, LEAST, "×")]

    def cells(self):
        return [{"key": key, **report.summary(rounds), "rounds": rounds}
                for key, rounds in self.rounds.items()]
