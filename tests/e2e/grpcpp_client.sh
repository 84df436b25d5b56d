#!/usr/bin/env bash
# Google's grpc++ as a client; the calls are in clients/grpcpp.cc, which also counts them.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib/server.sh"

SOURCE=$ROOT/tests/e2e/clients/grpcpp.cc
PROTO=$ROOT/proto/prediction.proto

# Compiling takes longer than everything else here, so the client is kept under the hash of what it
# is made of; built beside and moved, because two scripts may do so at once.
client() {
  local key directory
  key=$(cat "$SOURCE" "$PROTO" "${BASH_SOURCE[0]}" <(pkg-config --modversion grpc++ protobuf) |
    sha256sum | cut -c 1-16)
  directory=$ROOT/build/e2e/grpcpp-$key
  CLIENT=$directory/client
  if [[ -x $CLIENT ]]; then return; fi
  printf 'compiling the client\n'
  protoc -I "$ROOT/proto" --cpp_out="$SCRATCH" --grpc_out="$SCRATCH" \
    --plugin=protoc-gen-grpc="$(command -v grpc_cpp_plugin)" "$PROTO"
  # shellcheck disable=SC2046
  g++ -std=c++17 -O1 -I "$SCRATCH" -o "$SCRATCH/client" "$SOURCE" "$SCRATCH"/*.cc \
    $(pkg-config --cflags --libs grpc++ protobuf)
  rm -rf "$ROOT"/build/e2e/grpcpp-*
  mkdir -p "$directory"
  mv "$SCRATCH/client" "$CLIENT"
}

# One golden row a line, in the form that C++ reads without a JSON library.
rows() {
  sed -En 's/.*"features": \[([^]]*)\].*"confidence": ([^,]*), "label": "([^"]*)".*/\3 \2 \1/p' \
    "$ROOT/examples/golden/iris.1.jsonl" | tr -d ','
}

client
start_server "$ROOT/examples/models"
rows | timeout 60 "$CLIENT" "$GRPC"
