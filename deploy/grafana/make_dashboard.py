#!/usr/bin/env python3
"""Prints sluice.json, the dashboard to import into Grafana: one list of panels in place of a
thousand lines of JSON. Run it after a change:  ./make_dashboard.py > sluice.json"""

import json

PICK = 'model=~"$model",version=~"$version"'
MODEL = 'model=~"$model"'
RATE = "$__rate_interval"

# (title, unit, width of 24, [(query, legend)])
ROWS = [
    ("Traffic", [
        ("Requests", "reqps", 8, [
            (f"sum by (model, version) (rate(sluice_requests_total{{{PICK}}}[{RATE}]))",
             "{{model}} {{version}}")]),
        ("Failures", "percentunit", 8, [
            (f'sum by (model, version) (rate(sluice_requests_total{{{PICK},outcome="failure"}}[{RATE}]))'
             f" / sum by (model, version) (rate(sluice_requests_total{{{PICK}}}[{RATE}]))",
             "{{model}} {{version}}")]),
        ("How requests end", "reqps", 8, [
            (f"sum by (outcome) (rate(sluice_requests_total{{{PICK}}}[{RATE}]))", "{{outcome}}"),
            (f"sum by (outcome) (rate(sluice_unserved_requests_total[{RATE}]))",
             "no model: {{outcome}}")]),
    ]),
    ("Time", [
        ("Latency", "s", 12, [
            (f'histogram_quantile({q}, sum by (le) (rate(sluice_request_seconds_bucket{{{PICK},stage="total"}}[{RATE}])))',
             f"p{name}") for q, name in ((0.5, "50"), (0.95, "95"), (0.99, "99"), (0.999, "99.9"))]),
        ("p95 by stage", "s", 12, [
            (f"histogram_quantile(0.95, sum by (stage, le) (rate(sluice_request_seconds_bucket{{{PICK}}}[{RATE}])))",
             "{{stage}}")]),
    ]),
    ("Engine", [
        ("Rows in a run", "none", 8, [
            (f"sum by (model) (rate(sluice_rows_total{{{PICK}}}[{RATE}]))"
             f" / sum by (model) (rate(sluice_executions_total{{{PICK}}}[{RATE}]))", "{{model}}")]),
        ("Requests that wait", "none", 8, [
            (f"sum by (model) (sluice_queue_requests{{{PICK}}})", "{{model}}")]),
        ("Answers from the cache", "percentunit", 8, [
            (f"sum by (model) (rate(sluice_cache_hits_total{{{PICK}}}[{RATE}]))"
             f" / (sum by (model) (rate(sluice_cache_hits_total{{{PICK}}}[{RATE}]))"
             f" + sum by (model) (rate(sluice_cache_misses_total{{{PICK}}}[{RATE}])))",
             "{{model}}")]),
    ]),
    ("Predictions", [
        ("Classes", "percentunit", 8, [
            (f"sum by (model, version, class) (rate(sluice_predictions_total{{{PICK}}}[{RATE}]))"
             " / on (model, version) group_left"
             f" sum by (model, version) (rate(sluice_predictions_total{{{PICK}}}[{RATE}]))",
             "{{model}} {{version}} {{class}}")]),
        ("Confidence", "none", 8, [
            (f"histogram_quantile(0.5, sum by (model, le) (rate(sluice_prediction_confidence_bucket{{{PICK}}}[{RATE}])))",
             "{{model}} median"),
            (f"histogram_quantile(0.1, sum by (model, le) (rate(sluice_prediction_confidence_bucket{{{PICK}}}[{RATE}])))",
             "{{model}} lowest tenth")]),
        ("Values", "none", 8, [
            (f"sluice_prediction_value{{{PICK}}}", "{{model}} {{version}} q{{quantile}}")]),
    ]),
    ("Trust", [
        ("Guard violations", "reqps", 8, [
            (f"sum by (model, feature) (rate(sluice_guard_violations_total{{{PICK}}}[{RATE}]))",
             "{{model}} {{feature}}")]),
        ("Drift: population stability index", "none", 8, [
            (f"topk(10, sluice_drift_psi{{{PICK}}})", "{{model}} {{version}} {{feature}}")]),
        ("Shadow versions that disagree", "percentunit", 8, [
            (f"rate(sluice_shadow_disagreements_total{{{PICK}}}[{RATE}])"
             f" / rate(sluice_shadow_predictions_total{{{PICK}}}[{RATE}])",
             "{{model}} {{version}}")]),
    ]),
    ("Releases", [
        ("Shares", "percentunit", 8, [(f"sluice_release_share{{{PICK}}}", "{{model}} {{version}}")]),
        ("Evidence against a canary, of what takes it back", "percentunit", 8, [
            (f"sluice_release_log_evidence{{{MODEL}}} / sluice_release_log_evidence_limit{{{MODEL}}}",
             "{{model}} {{metric}}")]),
        ("Decisions", "none", 8, [
            (f"sum by (model, decision) (increase(sluice_release_decisions_total{{{MODEL}}}[{RATE}]))",
             "{{model}} {{decision}}")]),
    ]),
    ("Process", [
        ("Processor", "none", 8, [(f"rate(process_cpu_seconds_total{{job=\"sluice\"}}[{RATE}])",
                                   "{{instance}}")]),
        ("Memory", "bytes", 8, [("process_resident_memory_bytes{job=\"sluice\"}", "{{instance}}")]),
        ("Lost on the way to the log, drift and recent", "reqps", 8, [
            (f"rate(sluice_records_dropped_total[{RATE}])", "{{instance}}")]),
    ]),
]

SOURCE = {"type": "prometheus", "uid": "${datasource}"}


def panel(number, title, unit, width, x, y, queries):
    return {
        "id": number, "type": "timeseries", "title": title, "datasource": SOURCE,
        "gridPos": {"h": 8, "w": width, "x": x, "y": y},
        "fieldConfig": {"defaults": {"unit": unit, "custom": {"fillOpacity": 8, "showPoints": "never"}},
                        "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"},
                    "tooltip": {"mode": "multi", "sort": "desc"}},
        "targets": [{"refId": chr(65 + i), "expr": query, "legendFormat": legend,
                     "datasource": SOURCE} for i, (query, legend) in enumerate(queries)],
    }


def variable(name, query):
    return {"name": name, "label": name, "type": "query", "datasource": SOURCE, "query": query,
            "definition": query, "refresh": 2, "includeAll": True, "multi": True,
            "allValue": ".*", "current": {"text": "All", "value": "$__all"}, "sort": 1}


def dashboard():
    panels, number, y = [], 0, 0
    for title, row in ROWS:
        number += 1
        panels.append({"id": number, "type": "row", "title": title, "collapsed": False,
                       "gridPos": {"h": 1, "w": 24, "x": 0, "y": y}, "panels": []})
        y, x = y + 1, 0
        for name, unit, width, queries in row:
            number += 1
            panels.append(panel(number, name, unit, width, x, y, queries))
            x += width
        y += 8
    return {
        "title": "Sluice", "uid": "sluice", "tags": ["sluice"], "schemaVersion": 37, "version": 1,
        "editable": True, "refresh": "30s", "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser", "panels": panels,
        "templating": {"list": [
            {"name": "datasource", "label": "Prometheus", "type": "datasource",
             "query": "prometheus", "current": {}},
            variable("model", "label_values(sluice_version_ready, model)"),
            variable("version", 'label_values(sluice_version_ready{model=~"$model"}, version)')]},
        "annotations": {"list": [{
            "name": "Release decisions", "enable": True, "datasource": SOURCE,
            "iconColor": "orange", "titleFormat": "{{model}}: {{decision}}",
            "expr": f"sum by (model, decision) (increase(sluice_release_decisions_total{{{MODEL}}}[1m])) > 0"}]},
    }


if __name__ == "__main__":
    print(json.dumps(dashboard(), indent=1))
