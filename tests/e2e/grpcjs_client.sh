#!/usr/bin/env bash
# npm's grpc-js as a client; the calls are in clients/grpcjs.js, which also counts them.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib/server.sh"

start_server "$ROOT/examples/models"
timeout 60 node "$ROOT/tests/e2e/clients/grpcjs.js" "$GRPC" "$ROOT" "$ROOT/.deps/clients"
