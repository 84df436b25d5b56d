#!/usr/bin/env bash
# Puts DuckDB into .deps/duckdb/{include,lib}: the library out of the official npm package for
# Node.js, and the one header of its C API out of the package with DuckDB's sources. No
# distribution packages it. Both are pinned by the hashes of tools/deps/duckdb/package-lock.json,
# and nothing of either is run.
set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
source "$ROOT/tools/dev/lib.sh"

DEST="$DEPS/duckdb"
WORK="$DEPS/duckdb.tmp"

node_architecture() {
  case $(uname -m) in
    x86_64) say x64 ;;
    aarch64) say arm64 ;;
    *) die "no DuckDB for $(uname -m): pass -DDUCKDB_ROOT=<prefix> to cmake" ;;
  esac
}

# --ignore-scripts: the script of 'duckdb' would compile all of it.
fetch() {
  say "      library and header: @duckdb/node-bindings and duckdb from npm"
  mkdir -p "$WORK/npm"
  cp "$LISTS"/duckdb/package*.json "$WORK/npm/"
  (cd "$WORK/npm" &&
    retry quietly npm ci --ignore-scripts --no-audit --no-fund --cache "$WORK/npm-cache")
}

# 65 of 130 MB.
keep_what_is_needed() {
  local modules="$WORK/npm/node_modules" arch
  arch=$(node_architecture)
  mkdir -p "$WORK"/out/{include,lib}
  cp "$modules/@duckdb/node-bindings-linux-$arch/libduckdb.so" "$WORK/out/lib/"
  cp "$modules/duckdb/src/duckdb/src/include/duckdb.h" "$WORK/out/include/"
}

main() {
  rm -rf "$WORK"
  mkdir -p "$WORK"
  trap 'rm -rf "$WORK"' EXIT
  fetch
  keep_what_is_needed
  rm -rf "$DEST"
  mv "$WORK/out" "$DEST"
}

main
