#!/usr/bin/python3
"""/metrics as Prometheus sees it: promtool finds nothing to say, a real server scrapes it and its
queries give what was asked, alerts fire when they should, the dashboard asks for what is there."""

import http.client
import json
import re
import shutil
import subprocess
import tempfile
import time
import urllib.parse
from pathlib import Path

from lib import oip, rpc
from lib.folder import Folder, wait_until
from lib.ports import free_port
from lib.server import ROOT, Report, Server, golden
from lib import tiny_onnx

DEPLOY = ROOT / "deploy"
CONTRACT = ["sluice_requests_total", "sluice_request_seconds", "sluice_batch_rows",
            "sluice_queue_requests", "sluice_cache_hits_total", "sluice_loads_total",
            "sluice_predictions_total", "sluice_prediction_confidence",
            "process_resident_memory_bytes", "process_cpu_seconds_total"]


def get(address, path, headers=None):
    connection = http.client.HTTPConnection(address, timeout=20)
    try:
        connection.request("GET", path, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.headers.get("Content-Type", ""), answer.read().decode()
    finally:
        connection.close()


def promtool(*arguments, text=None, folder=None):
    done = subprocess.run(["promtool", *arguments], input=text, capture_output=True, text=True,
                          cwd=folder, timeout=60, check=False)
    return done.returncode, done.stdout + done.stderr


def ask_all(server):
    """Every protocol, an error, and a canary's worth of families."""
    rest = oip.Rest(server)
    for row in golden("iris.1")[:20]:
        rest.call("POST", "/models/iris/predict", {"features": row["features"]})
    rest.call("POST", "/models/diabetes/predict", {"features": [0.01] * 10})
    rest.status("POST", "/models/iris/predict", {"features": [1]})
    rest.status("POST", "/models/nix/predict", {"features": [1]})
    rest.call("POST", "/v1/models/iris:predict", {"instances": [[1, 2, 3, 4]]})
    with rpc.channel(server.grpc) as channel:
        rpc.predict(channel)(rpc.prediction_pb2.PredictRequest(model="iris",
                                                               features=[1, 2, 3, 4]))


def release(server):
    connection = http.client.HTTPConnection(server.management, timeout=20)
    connection.request("PUT", "/api/models/breast_cancer/release", json.dumps(
        {"policy": "canary", "stable": "v1", "canary": "v2", "shadow": []}),
        {"Content-Type": "application/json"})
    status = connection.getresponse().status
    connection.close()
    return status


def families(text):
    return dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M))


def clean(report):
    with Server(extra=["--poll", "200ms"]) as server:
        report.equal("a release", release(server), 200)
        ask_all(server)
        status, kind, text = get(server.http, "/metrics")
        report.equal("status", status, 200)
        report.check("text format", kind.startswith("text/plain; version=0.0.4"), kind)
        code, said = promtool("check", "metrics", text=text)
        report.equal("promtool check metrics is clean", (code, said.strip()), (0, ""))
        found = families(text)
        for name in CONTRACT:
            report.check(f"{name} is there", name in found, "")
        status, kind, text = get(server.http, "/metrics", {
            "Accept": "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"})
        report.check("OpenMetrics where it is asked for",
                     kind.startswith("application/openmetrics-text; version=1.0.0"), kind)
        report.check("and ended", text.endswith("# EOF\n"), text[-40:])
        for name, value in (("protocol=\"simple_rest\",outcome=\"client_error\"", 1),
                            ("protocol=\"tfserving_rest\",outcome=\"success\"", 1),
                            ("protocol=\"simple_grpc\",outcome=\"success\"", 1)):
            want = f"sluice_requests_total{{model=\"iris\",version=\"1\",{name}}} {value}"
            report.check(want, want in text, "")
        report.check("unknown models have no label of their own", "nix" not in text, "")


def triton_names(report):
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write("metrics: {triton_names: true}\n")
        file.flush()
        with Server(extra=["--config", file.name]) as server:
            ask_all(server)
            text = get(server.http, "/metrics")[2]
            for want in ('nv_inference_request_success{model="iris",version="1"} 22',
                         'nv_inference_count{model="iris",version="1"} 22',
                         'nv_inference_request_failure{model="iris",version="1",reason="OTHER"} 1'):
                report.check(want, want in text, "")
            for name in ("nv_inference_exec_count", "nv_inference_request_duration_us",
                         "nv_inference_queue_duration_us", "nv_inference_compute_infer_duration_us",
                         "nv_inference_compute_input_duration_us",
                         "nv_inference_compute_output_duration_us",
                         "nv_inference_pending_request_count"):
                report.check(name, name in families(text), "")
    with Server() as server:
        report.check("off unless asked for", "nv_inference" not in get(server.http, "/metrics")[2])


class Prometheus:
    """A real one, that looks at one server every half second."""

    def __init__(self, target):
        self.folder = tempfile.TemporaryDirectory(prefix="e2e-prometheus-")
        path = Path(self.folder.name)
        shutil.copy(DEPLOY / "prometheus/alerts.yml", path)
        config = (DEPLOY / "prometheus/prometheus.yml").read_text()
        config = config.replace("127.0.0.1:8002", target).replace("15s", "500ms\n  evaluation_interval: 500ms")
        (path / "prometheus.yml").write_text(config)
        self.address = f"127.0.0.1:{free_port()}"
        self.log = open(path / "log", "wb")
        self.process = subprocess.Popen(
            ["prometheus", f"--config.file={path}/prometheus.yml",
             f"--storage.tsdb.path={path}/data", f"--web.listen-address={self.address}"],
            stdout=self.log, stderr=subprocess.STDOUT)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.log.close()
        self.folder.cleanup()

    def query(self, expression):
        """[(labels, value)]; None where it does not answer, an error where it refuses."""
        try:
            status, _, text = get(self.address, "/api/v1/query?query=" +
                                  urllib.parse.quote(expression))
        except OSError:
            return None
        answer = json.loads(text) if status in (200, 400, 422) else {}
        if answer.get("status") != "success":
            return answer.get("error")
        result = answer["data"]["result"]
        return [(one["metric"], float(one["value"][1])) for one in result]

    def number(self, expression):
        found = self.query(expression)
        return found[0][1] if isinstance(found, list) and found else None


def dashboard_queries():
    board = json.loads((DEPLOY / "grafana/sluice.json").read_text())
    for panel in board["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]
    for note in board["annotations"]["list"]:
        yield note["name"], note["expr"]


def scraped(report):
    with Server(extra=["--poll", "200ms"]) as server, Prometheus(server.management) as prometheus:
        ask_all(server)
        release(server)
        total = 'sum(sluice_requests_total{model="iris",outcome="success"})'
        report.check("scraped", wait_until(lambda: prometheus.number(total) == 22, 40) is not None,
                     prometheus.query(total))
        report.equal("the target is up", prometheus.number('up{job="sluice"}'), 1)
        report.equal("a histogram's count", prometheus.number(
            'sluice_request_seconds_count{model="iris",stage="total"}'), 22)
        median = prometheus.number('histogram_quantile(0.5, sluice_request_seconds_bucket'
                                   '{model="iris",stage="total"})')
        report.check("a quantile", median is not None and 0 < median < 1, median)
        # 21 of the simple protocols; the tensor of the 22nd may have been looked at or not.
        classes = prometheus.number('sum(sluice_predictions_total{model="iris"})')
        report.check("classes", classes in (21, 22), classes)
        for title, expression in dashboard_queries():
            expression = expression.replace("$model", ".*").replace("$version", ".*")
            expression = expression.replace("$__rate_interval", "1m")
            report.check(f"dashboard: {title}", isinstance(prometheus.query(expression), list),
                         prometheus.query(expression))
        def health():
            rules = json.loads(get(prometheus.address, "/api/v1/rules")[2])
            return {rule["health"] for rule in rules["data"]["groups"][0]["rules"]}
        wait_until(lambda: health() == {"ok"}, 20)
        report.equal("alerts are evaluated", health(), {"ok"})


def names_exist(report):
    """What the dashboard and the alerts ask for is what /metrics or its sources name."""
    sources = "".join(path.read_text() for folder in ("frontends", "observers")
                      for path in (ROOT / "src" / folder).glob("*.cc"))
    texts = [expression for _, expression in dashboard_queries()]
    texts.append((DEPLOY / "prometheus/alerts.yml").read_text())
    for name in sorted(set(re.findall(r"\b(?:sluice|process)_[a-z0-9_]+", "".join(texts)))):
        family = re.sub(r"_(bucket|sum|count)$", "", name)
        report.check(f"{name} is a metric", f'"{name}"' in sources or f'"{family}"' in sources, "")


def rules(report):
    folder = DEPLOY / "prometheus"
    code, said = promtool("check", "rules", "alerts.yml", folder=folder)
    report.equal("promtool check rules", code, 0)
    code, said = promtool("test", "rules", "alerts_test.yml", folder=folder)
    report.check("promtool test rules", code == 0, said)
    tested = (folder / "alerts_test.yml").read_text()
    for name in re.findall(r"alert: (\w+)", (folder / "alerts.yml").read_text()):
        report.check(f"{name} is tested", f"alertname: {name}" in tested, "")
    made = subprocess.run(["python3", str(DEPLOY / "grafana/make_dashboard.py")], text=True,
                          capture_output=True, check=True).stdout
    report.check("the dashboard is what make_dashboard.py prints",
                 made == (DEPLOY / "grafana/sluice.json").read_text(), "run it again")


def many_models(report):
    """Series are bounded by what is served: 60 models, three of which are asked."""
    with Folder() as folder:
        for number in range(60):
            folder.put(f"m{number}", "v1", tiny_onnx.model(1))
        server = folder.serve("--poll", "200ms")
        for number in range(3):
            for i in range(50):
                folder.ask(f"m{number}", x=i)
        for i in range(200):
            folder.ask(f"unknown-{i}")
        text = get(server.management, "/metrics")[2]
        series = [line for line in text.splitlines() if not line.startswith("#")]
        report.check("a model that nobody asks has a few series", len(series) < 60 * 25,
                     len(series))
        report.check("names that clients make up are no labels", "unknown-" not in text, "")
        began = time.monotonic()
        for _ in range(20):
            get(server.management, "/metrics")
        print(f"    {len(series)} series, {1000 * (time.monotonic() - began) / 20:.1f} ms a scrape")


if __name__ == "__main__":
    Report("e2e/prometheus").run(clean, triton_names, scraped, names_exist, rules, many_models)
