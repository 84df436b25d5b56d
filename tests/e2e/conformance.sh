#!/usr/bin/env bash
# The conformance suite of the Open Inference Protocol against this server: as it starts by default,
# and with everything switched on that a client may ask for. What is skipped is counted too, since a
# server that advertises nothing would pass.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib/server.sh"

# suite SKIPPED: runs it against the server that was started; adds up its counts.
suite() {
  local most=$1 line status=0
  /usr/bin/python3 "$ROOT/tests/conformance/run.py" --http "$HTTP" --grpc "$GRPC" \
    > "$SCRATCH/suite" 2>&1 || status=$?
  grep -av '^conformance: ' "$SCRATCH/suite" || true
  line=$(grep -aE '^conformance: [0-9]+ passed, [0-9]+ failed' "$SCRATCH/suite" || true)
  if [[ $line =~ ([0-9]+)\ passed,\ ([0-9]+)\ failed ]]; then
    PASSED=$((PASSED + BASH_REMATCH[1]))
    FAILED=$((FAILED + BASH_REMATCH[2]))
  fi
  check "the suite ends well" test "$status" -eq 0
  check "no more than $most cases are skipped" \
    test "$(sed -n 's/^skipped: \([0-9]*\).*/\1/p' "$SCRATCH/suite")" -le "$most"
  check "the server ends with 0" stop_server
}

stop_server() {
  kill -TERM "$SERVER_PID"
  local status=0
  wait "$SERVER_PID" || status=$?
  SERVER_PID=
  return "$status"
}

REPOSITORY=$ROOT/tests/conformance/repository
start_server "$REPOSITORY"
suite 13
start_server "$REPOSITORY" env SLUICE_MODEL_CONTROL=explicit SLUICE_LOAD_MODEL='*' \
  SLUICE_ALLOW_CLIENT_SHM=true
suite 5
finish e2e/conformance
