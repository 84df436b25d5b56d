#!/usr/bin/env bash
# curl and npm's grpc-js on the Open Inference Protocol and TensorFlow Serving's REST: HTTP/1.1 and
# HTTP/2, binary tensors, gRPC by hand.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib/server.sh"

JSON='Content-Type: application/json'
OCTETS='Content-Type: application/octet-stream'
ROW='{"inputs":[{"name":"X","shape":[1,4],"datatype":"FP32","data":[5.1,3.5,1.4,0.2]}]}'
# The same row: 5.1, 3.5, 1.4 and 0.2, little-endian.
BYTES='\x33\x33\xa3\x40\x00\x00\x60\x40\x33\x33\xb3\x3f\xcd\xcc\x4c\x3e'
BODY=$SCRATCH/body
HEAD=$SCRATCH/head

# answers WANTED ARGUMENTS… PATH: STATUS/VERSION is as wanted; body and head are in files.
answers() {
  local wanted=$1 got path=${*: -1}
  shift
  got=$(curl --silent --show-error --max-time 15 --output "$BODY" --dump-header "$HEAD" \
    --write-out '%{http_code}/%{http_version}' "${@:1:$#-1}" "http://$HTTP$path" 2>&1) || true
  if [[ $got == "$wanted" ]]; then return; fi
  printf '  expected %s, got %s: %s\n' "$wanted" "$got" "$(head -c 300 "$BODY" | tr -d '\0')"
  return 1
}

has() {
  if grep -aqiE "$2" "$1"; then return; fi
  printf '  no %s in: %s\n' "$2" "$(head -c 600 "$1" | tr -d '\0')"
  return 1
}

binary_body() {
  printf '%s' '{"inputs":[{"name":"X","shape":[1,4],"datatype":"FP32","parameters":' \
    '{"binary_data_size":16}}],"outputs":[{"name":"label","parameters":{"binary_data":false}},' \
    '{"name":"probabilities","parameters":{"binary_data":true}}]}' > "$SCRATCH/json"
  { cat "$SCRATCH/json" && printf '%b' "$BYTES"; } > "$SCRATCH/binary"
  printf '%b' "$BYTES" > "$SCRATCH/raw"
}

# The JSON is as long as the answer says, and 12 bytes of three floats follow.
halves() {
  local length
  length=$(sed -n 's/\r$//; s/^inference-header-content-length: //Ip' "$HEAD")
  [[ $(head -c "$length" "$BODY" | tail -c 1) == '}' &&
    $(wc -c < "$BODY") -eq $((length + 12)) ]] && has "$BODY" '"binary_data_size":12'
}

versions() {
  local flag version infer=/v2/models/iris/infer
  for flag in --http1.1 --http2-prior-knowledge; do
    version=${VERSION[$flag]}
    check "$flag JSON" answers "200/$version" "$flag" -H "$JSON" -d "$ROW" "$infer"
    check "$flag JSON: label" has "$BODY" '"data":\["setosa"\]'
    check "$flag JSON: type" has "$HEAD" '^content-type: application/json'
    check "$flag binary" answers "200/$version" "$flag" -H "$OCTETS" --data-binary \
      "@$SCRATCH/binary" -H "Inference-Header-Content-Length: $(wc -c < "$SCRATCH/json")" "$infer"
    check "$flag binary: type" has "$HEAD" '^content-type: application/octet-stream'
    check "$flag binary: label" has "$BODY" '"data":\["setosa"\]'
    check "$flag binary: halves" halves
    check "$flag raw" answers "200/$version" "$flag" -H "$OCTETS" --data-binary "@$SCRATCH/raw" \
      -H 'Inference-Header-Content-Length: 0' "$infer"
    check "$flag raw: label" has "$BODY" 'setosa'
    check "$flag compressed" answers "200/$version" "$flag" --compressed -H "$JSON" \
      -H 'Content-Encoding: gzip' --data-binary "@$SCRATCH/gzip" "$infer"
    check "$flag compressed: so is the answer" has "$HEAD" '^content-encoding: gzip'
    check "$flag compressed: label" has "$BODY" '"data":\["setosa"\]'
    check "$flag rows" answers "200/$version" "$flag" -H "$JSON" \
      -d '{"instances":[[5.1,3.5,1.4,0.2]]}' /v1/models/iris:predict
    check "$flag rows: label" has "$BODY" '"predictions":\[\{"label":"setosa"'
    check "$flag columns" answers "200/$version" "$flag" -H "$JSON" \
      -d '{"inputs":{"X":[[5.1,3.5,1.4,0.2]]}}' /v1/models/iris/versions/1:predict
    check "$flag columns: label" has "$BODY" '"outputs":\{"label":\["setosa"\]'
    refusals "$flag" "$version"
  done
}

refusals() {
  local flag=$1 version=$2 path
  for path in /v2/models/nothere/infer /v1/models/nothere:predict; do
    check "$flag unknown model" answers "404/$version" "$flag" -H "$JSON" -d "$ROW" "$path"
    check "$flag unknown model: form" has "$BODY" '^\{"error":"[^"]*nothere[^"]*"\}$'
  done
  for path in /v2/models/iris/infer /v1/models/iris:predict; do
    check "$flag GET" answers "405/$version" "$flag" "$path"
    check "$flag GET: Allow" has "$HEAD" '^allow: POST'
    check "$flag form data" answers "415/$version" "$flag" -d "$ROW" "$path"
    check "$flag form data: form" has "$BODY" '^\{"error":"[^"]+"\}$'
    check "$flag a deadline that has passed" answers "504/$version" "$flag" -H "$JSON" \
      -H 'X-Request-Timeout-Ms: 0' -d "$(good_body "$path")" "$path"
  done
}

good_body() {
  if [[ $1 == /v2* ]]; then printf '%s' "$ROW"; else printf '{"instances":[[1,2,3,4]]}'; fi
}

# frame FILE: the five bytes before a message, then the message.
frame() {
  local length
  length=$(printf '%08x' "$(wc -c < "$1")")
  printf '%b' "\\x00\\x${length:0:2}\\x${length:2:2}\\x${length:4:2}\\x${length:6:2}"
  cat "$1"
}

grpc_call() {
  local method=$1
  shift
  curl --silent --max-time 15 --http2-prior-knowledge --output "$BODY" --dump-header "$HEAD" \
    -H 'Content-Type: application/grpc' -H 'TE: trailers' --data-binary "@$SCRATCH/frames" "$@" \
    "http://$GRPC/inference.GRPCInferenceService/$method" || true
}

# gRPC by hand: a client's own clock would end such calls before the server has to.
grpc() {
  printf '%s' 'model_name: "iris" inputs {name: "X" datatype: "FP32" shape: [1, 4] contents' \
    '{fp32_contents: [5.1, 3.5, 1.4, 0.2]}}' |
    protoc -I "$ROOT/proto" --encode=inference.ModelInferRequest oip/service.proto \
      > "$SCRATCH/message"
  frame "$SCRATCH/message" > "$SCRATCH/frames"
  grpc_call ModelInfer
  check 'gRPC by hand: status' has "$HEAD" '^grpc-status: 0'
  check 'gRPC by hand: answer' has "$BODY" setosa
  grpc_call ModelInfer -H 'grpc-timeout: 1n'
  check 'expired grpc-timeout' has "$HEAD" '^grpc-status: 4'
  cat "$SCRATCH/frames" "$SCRATCH/frames" "$SCRATCH/frames" > "$SCRATCH/three"
  mv "$SCRATCH/three" "$SCRATCH/frames"
  grpc_call ModelStreamInfer
  check 'a stream by hand: status' has "$HEAD" '^grpc-status: 0'
  check 'a stream by hand: three answers' three
}

three() { [[ $(grep -ao setosa "$BODY" | wc -l) -eq 3 ]]; }

node_client() {
  local out counts
  out=$(timeout 120 node "$ROOT/tests/e2e/clients/oip_grpcjs.js" "$GRPC" "$ROOT" \
    "$ROOT/.deps/clients" 2>&1) || true
  counts=$(tail -n 1 <<< "$out")
  if [[ ! $counts =~ ^[0-9]+\ [0-9]+$ ]]; then counts='0 1'; fi
  if [[ $counts != *' 0' ]]; then printf '%s\n' "$out"; fi
  PASSED=$((PASSED + ${counts% *}))
  FAILED=$((FAILED + ${counts#* }))
}

declare -A VERSION=([--http1.1]=1.1 [--http2-prior-knowledge]=2)
start_server "$ROOT/examples/models"
binary_body
gzip -c <<< "$ROW" > "$SCRATCH/gzip"
versions
grpc
node_client
finish oip_clients
