#!/usr/bin/env bash
# Where a request goes, in instructions: Sluice under callgrind, one I/O thread, one connection.
# Counts are repeatable; times are not. Two runs of different length are subtracted, so that start-up
# and loading cancel out. Usage: bench/instructions.sh [BINARY]
set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
BIN=${1:-$ROOT/build/release/sluice}
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT

# run NAME REQUESTS
run() {
  local name=$1 requests=$2
  valgrind --tool=callgrind --callgrind-out-file="$WORK/$name.out" \
    "$BIN" serve "$ROOT/examples/models" --io-threads 1 --log-level off \
    --http 127.0.0.1:0 --grpc 127.0.0.1:0 --management 127.0.0.1:0 \
    > "$WORK/$name.log" 2> /dev/null &
  local pid=$! port=
  for _ in $(seq 900); do  # loading under callgrind is slow
    port=$(sed -n 's/.*http 127.0.0.1:\([0-9]*\).*/\1/p' "$WORK/$name.log")
    if [[ -n $port ]] && curl -fs "http://127.0.0.1:$port/ready" > /dev/null; then break; fi
    sleep 0.2
  done
  /usr/bin/python3 - "$port" "$requests" "$ROOT/examples/golden/breast_cancer.v1.jsonl" << 'PY'
import http.client, json, sys
port, count, golden = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
body = json.dumps({"features": json.loads(open(golden).readline())["features"]})
connection = http.client.HTTPConnection("127.0.0.1", port)
for _ in range(count):
    connection.request("POST", "/models/breast_cancer/versions/v1/predict", body,
                       {"Content-Type": "application/json"})
    assert connection.getresponse().read().startswith(b'{"prediction":')
PY
  kill -TERM "$pid"
  wait "$pid" || true
}

run few 200
run many 2200
/usr/bin/python3 - "$WORK/few.out" "$WORK/many.out" << 'PY'
import re, subprocess, sys

def read(path):
    out = subprocess.run(["callgrind_annotate", "--inclusive=yes", "--threshold=100", path],
                         capture_output=True, text=True).stdout
    costs = {}
    for line in out.split("\n"):
        found = re.match(r"\s*([\d,]+) \(\s*[\d.]+%\)\s+(.*)", line)
        if found:
            name = re.sub(r" \[.*", "", found[2]).split(":", 1)[-1]
            costs[name] = max(costs.get(name, 0), int(found[1].replace(",", "")))
    return costs

few, many = read(sys.argv[1]), read(sys.argv[2])
PARTS = [
    ("everything in user space", "PROGRAM TOTALS"),
    ("read head", "Http1::read_head"),
    ("  parse and check", "parse_head"),
    ("  route and media type", "Router::admit"),
    ("serve: bytes to a request", "Router::serve"),
    ("  decode JSON", "decode_simple_json("),
    ("model (ONNX Runtime)", "OnnxModel::run"),
    ("interpret", "serving::interpret("),
    ("encode JSON", "encode_simple_json"),
    ("write answer", "Http1::write("),
    ("count", "Statistics::on_finish"),
    ("keep a copy for those who look", "TapObserver::before_answer"),
]
print(f"{'part':44}{'instructions a request':>24}")
for title, needle in PARTS:
    names = [name for name in many if needle in name and "lambda" not in name]
    if names:
        name = max(names, key=lambda n: many[n])
        print(f"{title:44}{(many[name] - few.get(name, 0)) / 2000:24,.0f}")
PY
