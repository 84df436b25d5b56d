#!/usr/bin/env bash
# curl as a client: the forms of a request that it can make, HTTP/1.0, 1.1 and 2, and gRPC by hand,
# where other clients hide the wire.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib/server.sh"

JSON=(-H 'Content-Type: application/json')
ROW='{"features":[5.1,3.5,1.4,0.2],"request_id":"c-1"}'
BODY=$SCRATCH/body
HEAD=$SCRATCH/head

# request ARGUMENTS…: prints STATUS/VERSION; the answer's body and head are in $BODY and $HEAD.
# The last address of the arguments is a path on the REST port.
request() {
  local path=${*: -1}
  : > "$BODY"
  : > "$HEAD"
  curl --silent --show-error --max-time 15 --output "$BODY" --dump-header "$HEAD" \
    --write-out '%{http_code}/%{http_version}' "${@:1:$#-1}" "http://$HTTP$path" ||
    printf ' (curl: %s)' $?
}

# answers WANTED ARGUMENTS…: STATUS/VERSION is as wanted.
answers() {
  local wanted=$1 got
  shift
  got=$(request "$@")
  if [[ $got == "$wanted" ]]; then return; fi
  printf '  expected %s, got %s: %s\n' "$wanted" "$got" "$(head -c 300 "$BODY" | tr -d '\0')"
  return 1
}

predicts() {
  answers "$@" /models/iris/predict && has "$BODY" '"label":"setosa"'
}

has() {
  if grep -aqiE "$2" "$1"; then return; fi
  printf '  no %s in: %s\n' "$2" "$(head -c 600 "$1" | tr -d '\0')"
  return 1
}
hasnt() { if has "$1" "$2" > /dev/null; then return 1; fi; }

# rows NUMBER: that many rows in one request.
rows() {
  local row='[5.1,3.5,1.4,0.2]'
  printf '{"features":[%s' "$row"
  if [[ $1 -gt 1 ]]; then printf ",$row%.0s" $(seq 2 "$1"); fi
  printf ']}'
}

labels() { [[ $(grep -o setosa "$BODY" | wc -l) -eq $1 ]]; }

versions() {
  check 'HTTP/1.1' predicts 200/1.1 --http1.1 "${JSON[@]}" -d "$ROW"
  check 'HTTP/1.1: request id' has "$BODY" '"request_id":"c-1"'
  check 'HTTP/1.1: type' has "$HEAD" '^content-type: application/json'
  check 'HTTP/1.1: no close' hasnt "$HEAD" '^connection: close'
  check 'HTTP/2' predicts 200/2 --http2-prior-knowledge "${JSON[@]}" -d "$ROW"
  check 'HTTP/2: type' has "$HEAD" '^content-type: application/json'
  # Upgrading to HTTP/2 is optional and obsolete (RFC 9113, section 3.1): answered as HTTP/1.1.
  check 'Upgrade: h2c is ignored' predicts 200/1.1 --http2 "${JSON[@]}" -d "$ROW"
  check 'HTTP/1.0' answers 200/1.1 --http1.0 "${JSON[@]}" -d "$ROW" /models/iris/predict
  check 'HTTP/1.0: closes' hasnt "$HEAD" '^connection: keep-alive'
  check 'HTTP/1.0: length or close' has "$HEAD" '^(content-length|connection: close)'
  check 'HTTP/1.0 keep-alive' answers 200/1.1 --http1.0 -H 'Connection: keep-alive' /health
  check 'HTTP/1.0 keep-alive: is said' has "$HEAD" '^connection: keep-alive'
}

methods() {
  local version path
  for version in --http1.1 --http2-prior-knowledge; do
    for path in /health /ready; do
      check "$version HEAD $path" answers "200/${VERSION[$version]}" "$version" --head "$path"
      check "$version HEAD $path: length" has "$HEAD" '^content-length: [1-9]'
    done
    check "$version GET of predict" answers "405/${VERSION[$version]}" "$version" \
      /models/iris/predict
    check "$version Allow" has "$HEAD" '^allow: .*POST'
    check "$version HEAD of predict" answers "405/${VERSION[$version]}" "$version" --head \
      /models/iris/predict
    check "$version DELETE" answers "405/${VERSION[$version]}" "$version" -X DELETE /health
    check "$version not found" answers "404/${VERSION[$version]}" "$version" /nothing
    check "$version form data is not JSON" answers "415/${VERSION[$version]}" "$version" -d "$ROW" \
      /models/iris/predict
    check "$version unknown model" answers "404/${VERSION[$version]}" "$version" "${JSON[@]}" \
      -d "$ROW" /models/nothere/predict
    check "$version error's form" has "$BODY" '^\{"error":\{"code":"[a-z_]+","message":".*nothere'
  done
  check 'HEAD, then GET on one connection' twice
}

# After a HEAD whose answer had a body by mistake, the next answer would begin with it.
twice() {
  local got
  got=$(curl --silent --max-time 15 --head "http://$HTTP/health" --next --silent --max-time 15 \
    --write-out '%{http_code} %{num_connects}' "http://$HTTP/health" | tail -n 1)
  if [[ $got == '{"status":"healthy","model_loaded":true}200 0' ]]; then return; fi
  printf '  %s\n' "$got"
  return 1
}

bodies() {
  rows 200 > "$SCRATCH/200"
  check 'Expect: 100-continue' answers 200/1.1 --http1.1 "${JSON[@]}" -H 'Expect: 100-continue' \
    --expect100-timeout 10 --data-binary "@$SCRATCH/200" /models/iris/predict
  check '100 came first' has "$HEAD" '^HTTP/1.1 100'
  check '200 rows' labels 200
  check 'Expect of a path that is not there' answers 404/1.1 --http1.1 "${JSON[@]}" \
    -H 'Expect: 100-continue' --expect100-timeout 10 --data-binary "@$SCRATCH/200" /nothing
  check 'no 100 for it' hasnt "$HEAD" '^HTTP/1.1 100'
  check 'chunked' predicts 200/1.1 --http1.1 "${JSON[@]}" -H 'Transfer-Encoding: chunked' -d "$ROW"
  check 'chunked, 200 rows' answers 200/1.1 --http1.1 "${JSON[@]}" \
    -H 'Transfer-Encoding: chunked' --data-binary "@$SCRATCH/200" /models/iris/predict
  check 'chunked: all of them' labels 200
  check 'chunked from a pipe' from_pipe
  check 'Transfer-Encoding: gzip' answers 501/1.1 --http1.1 "${JSON[@]}" \
    -H 'Transfer-Encoding: gzip, chunked' -d "$ROW" /models/iris/predict
  check 'Content-Encoding: br' answers 415/1.1 --http1.1 "${JSON[@]}" -H 'Content-Encoding: br' \
    -d "$ROW" /models/iris/predict
}

from_pipe() {
  rows 200 | answers 200/1.1 --http1.1 "${JSON[@]}" -X POST -T - /models/iris/predict && labels 200
}

# Many times what any buffer of the server holds, in both directions.
large() {
  local version
  rows 100000 > "$SCRATCH/large"
  for version in --http1.1 --http2-prior-knowledge; do
    check "$version 100,000 rows" answers "200/${VERSION[$version]}" "$version" "${JSON[@]}" \
      --data-binary "@$SCRATCH/large" /models/iris/predict
    check "$version 100,000 rows: all of them" labels 100000
    check "$version slow reader" answers "200/${VERSION[$version]}" "$version" "${JSON[@]}" \
      --limit-rate 2M --data-binary "@$SCRATCH/large" /models/iris/predict
    check "$version slow reader: all rows" labels 100000
  done
}

# grpc FILE ARGUMENTS…: a call by hand on the gRPC port.
grpc_call() {
  local file=$1
  shift
  curl --silent --max-time 15 --http2-prior-knowledge --output "$BODY" --dump-header "$HEAD" \
    -H 'Content-Type: application/grpc' -H 'TE: trailers' --data-binary "@$file" "$@" \
    "http://$GRPC/PredictionService/Predict" || true
}

# frame COMPRESSED FILE: the five bytes before a message, then the message.
frame() {
  local length
  length=$(printf '%08x' "$(wc -c < "$2")")
  printf '%b' "\\x$1\\x${length:0:2}\\x${length:2:2}\\x${length:4:2}\\x${length:6:2}"
  cat "$2"
}

flag() { [[ $(head -c 1 "$BODY" | od -An -tu1 | tr -d ' ') == "$1" ]]; }

grpc() {
  printf 'model: "iris" features: [5.1, 3.5, 1.4, 0.2]' |
    protoc -I "$ROOT/proto" --encode=PredictRequest prediction.proto > "$SCRATCH/message"
  frame 00 "$SCRATCH/message" > "$SCRATCH/plain"
  gzip -c "$SCRATCH/message" > "$SCRATCH/message.gz"
  frame 01 "$SCRATCH/message.gz" > "$SCRATCH/gzip"

  grpc_call "$SCRATCH/plain"
  check 'gRPC by hand: status' has "$HEAD" '^grpc-status: 0'
  check 'gRPC by hand: answer' has "$BODY" setosa
  check 'gRPC by hand: not compressed' flag 0
  grpc_call "$SCRATCH/gzip" -H 'grpc-encoding: gzip' -H 'grpc-accept-encoding: identity,gzip'
  check 'gzip: status' has "$HEAD" '^grpc-status: 0'
  check 'gzip: the answer says so' has "$HEAD" '^grpc-encoding: gzip'
  check 'gzip: the answer is compressed' flag 1
  check 'gzip: it holds the prediction' unzips
  # The client's own clock would end such a call first; only by hand does the server have to.
  grpc_call "$SCRATCH/plain" -H 'grpc-timeout: 1n'
  check 'expired grpc-timeout' has "$HEAD" '^grpc-status: 4'
  grpc_call "$SCRATCH/plain" -H 'grpc-timeout: 20S'
  check 'ample grpc-timeout' has "$HEAD" '^grpc-status: 0'
  # Refused before the message is read; curl 7.88 then misses the end of the stream, and waits.
  grpc_call "$SCRATCH/plain" --max-time 1 -H 'grpc-timeout: soon'
  check 'malformed grpc-timeout' has "$HEAD" '^grpc-status: (3|13)'
  grpc_call "$SCRATCH/plain" --max-time 1 -H 'grpc-encoding: snappy'
  check 'unknown grpc-encoding' has "$HEAD" '^grpc-status: 12'
  check 'says what is known' has "$HEAD" '^grpc-accept-encoding: .*gzip'
  grpc_call "$SCRATCH/gzip"
  check 'compressed without saying how' has "$HEAD" '^grpc-status: 1[23]'
  check 'gRPC port: no HTTP/1.1' refuses_http1
}

unzips() { tail -c +6 "$BODY" | gzip -dc | grep -aq setosa; }

refuses_http1() {
  ! curl --silent --max-time 10 --output /dev/null --http1.1 "http://$GRPC/health"
}

declare -A VERSION=([--http1.1]=1.1 [--http2-prior-knowledge]=2)
start_server "$ROOT/examples/models"
versions
methods
bodies
grpc
large
finish curl
