#!/usr/bin/env bash
# Serving opens no outgoing connection: under strace, from its start through loading, predictions of
# every engine and the end, the server neither connects nor sends to an address. (ONNX Runtime's
# official build would report usage to its vendor.)
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib/server.sh"

TRACE=$SCRATCH/trace
# A sanitizer build looks for leaks with ptrace, which strace already uses.
CALLS=trace=connect,sendto,sendmsg,sendmmsg,socket,bind
STRACE=(strace -f -qq -o "$TRACE" -E ASAN_OPTIONS=detect_leaks=0 -e "$CALLS")

# What goes out: a connect, or a message that names where it goes. An answer on an accepted
# connection names nobody (NULL, or no msg_name), and Unix sockets do not leave the machine.
outgoing() {
  grep -E 'connect\(|sendto\(|sendmsg\(|sendmmsg\(' "$TRACE" |
    grep -E 'sa_family=' | grep -v 'sa_family=AF_UNIX' || true
}
# A socket that is bound here to listen is one of three; others would be for going out.
sockets() { grep -cE ' socket\(AF_INET6?,.* = [0-9]+' "$TRACE" || true; }

nothing_outgoing() {
  local found
  found=$(outgoing)
  if [[ -z $found ]]; then return; fi
  printf '  %s\n' "$found"
  return 1
}

predictions() {
  local file model version row status
  for file in "$ROOT"/examples/golden/*.jsonl; do
    IFS=. read -r model version _ <<< "${file##*/}"
    row=$(sed -En '1s/.*("features": *\[[^]]*\]).*/{\1}/p' "$file")
    status=$(curl --silent --max-time 20 --output /dev/null --write-out '%{http_code}' \
      -H 'Content-Type: application/json' -d "$row" \
      "http://$HTTP/models/$model/versions/$version/predict" || true)
    check "$model $version predicts" test "$status" = 200
  done
  check 'HTTP/2' curl --silent --fail --max-time 20 --output /dev/null --http2-prior-knowledge \
    "http://$HTTP/health"
  check 'gRPC' grpc_health
  check 'an unknown path' test "$(curl --silent --max-time 20 --output /dev/null \
    --write-out '%{http_code}' "http://$HTTP/nothing")" = 404
}

# An empty HealthCheckRequest by hand.
grpc_health() {
  printf '\0\0\0\0\0' | curl --silent --max-time 20 --output /dev/null --dump-header - \
    --http2-prior-knowledge -H 'Content-Type: application/grpc' -H 'TE: trailers' \
    --data-binary @- "http://$GRPC/grpc.health.v1.Health/Check" | grep -qi '^grpc-status: 0'
}

# strace hands a signal on to nobody: the server is its child, and is told itself.
stop_traced() {
  local status=0
  kill -TERM "$(pgrep -P "$SERVER_PID")"
  wait "$SERVER_PID" || status=$?
  SERVER_PID=
  return "$status"
}

# The control first: a trace that sees nothing would prove nothing.
"${STRACE[@]}" /usr/bin/python3 "$ROOT/tests/e2e/clients/connects.py"
check 'control: connect is seen' grep -q 'connect(.*AF_INET' <(outgoing)
check 'control: sendto is seen' grep -q 'sendto(.*AF_INET' <(outgoing)

start_server "$ROOT/examples/models" "${STRACE[@]}"
predictions
# Long enough for the repository to be looked at again, and for work that is put off.
sleep 3
check 'ends with 0' stop_traced
check 'the trace saw the listeners' test "$(grep -c 'bind(.*AF_INET' "$TRACE")" -eq 3
check 'nothing goes out' nothing_outgoing
check 'three sockets, the listeners' test "$(sockets)" -eq 3
finish no_outgoing
