# A server under test and a count of what passed, for scripts in bash; server.py is its twin.
# Source it, then: start_server [PATH]; check WHAT COMMAND…; finish NAME.
# shellcheck shell=bash disable=SC2034,SC2120

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
SERVER=${SLUICE_SERVER:-$ROOT/build/release/sluice}
SCRATCH=$(mktemp -d)
SERVER_PID=
PASSED=0
FAILED=0
# A proxy of the environment never applies to this machine itself.
unset http_proxy HTTP_PROXY https_proxy HTTPS_PROXY all_proxy ALL_PROXY grpc_proxy
# Nor do variables that would send traces somewhere.
unset OTEL_EXPORTER_OTLP_ENDPOINT OTEL_EXPORTER_OTLP_TRACES_ENDPOINT

end_server() {
  if [[ -n $SERVER_PID ]]; then
    kill -KILL "$SERVER_PID" 2> /dev/null || true
    wait "$SERVER_PID" 2> /dev/null || true
    SERVER_PID=
  fi
}
trap 'end_server; rm -rf "$SCRATCH"' EXIT

# start_server [PATH [WRAPPER…]]: sets HTTP, GRPC and MANAGEMENT to HOST:PORT. A wrapper such as
# strace is what SERVER_PID then names.
start_server() {
  local path=${1:-$ROOT/examples/models} line='' i
  shift || true
  : > "$SCRATCH/stdout"
  env -u SLUICE_SERVER SLUICE_STATE_DIR=:memory: "$@" "$SERVER" serve "$path" --http 127.0.0.1:0 --grpc 127.0.0.1:0 \
    --management 127.0.0.1:0 > "$SCRATCH/stdout" 2> "$SCRATCH/stderr" < /dev/null &
  SERVER_PID=$!
  for ((i = 0; i < 600; i++)); do
    line=$(grep '^listening ' "$SCRATCH/stdout" || true)
    read -r _ _ HTTP _ GRPC _ MANAGEMENT <<< "$line"
    if [[ -n ${HTTP:-} ]] && curl --silent --fail --output /dev/null "http://$HTTP/ready"; then
      return
    fi
    kill -0 "$SERVER_PID" 2> /dev/null || break
    sleep 0.05
  done
  printf 'the server did not become ready:\n' && cat "$SCRATCH/stderr"
  return 1
}

# check WHAT COMMAND…: one test, passed when the command succeeds.
check() {
  local what=$1
  shift
  if "$@"; then
    PASSED=$((PASSED + 1))
  else
    FAILED=$((FAILED + 1))
    printf 'FAILED %s\n' "$what"
  fi
}

finish() {
  printf '%s: %d passed, %d failed\n' "$1" "$PASSED" "$FAILED"
  [[ $FAILED -eq 0 && $PASSED -gt 0 ]]
}
