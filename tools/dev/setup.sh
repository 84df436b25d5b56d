# Installs what the tree needs: Debian packages by purpose (tools/deps/apt-NAME.txt), ONNX Runtime
# and DuckDB. Sourced by ./dev. What was done is stamped in .deps/stamps, so that a second run costs
# milliseconds and never asks apt.
# shellcheck shell=bash

cmd_setup() {
  local extra=() option
  for option in "$@"; do
    [[ $option == --* && -f $LISTS/apt-${option#--}.txt ]] ||
      die "setup takes --bench, --train, --lint, --fuzz or --fresh, not '$option'"
    extra+=("${option#--}")
  done
  plan 3
  prepare "${extra[@]}"
  test_clients
}

# Two steps: the packages of build, test and the lists named, then the libraries that Debian lacks.
prepare() {
  step "system packages"
  ensure "packages of build test $*" tools/deps install_lists build test "$@"
  step "ONNX Runtime and DuckDB"
  ensure "onnxruntime" "tools/deps/package-lock.json tools/dev/onnxruntime.sh" install_onnxruntime
  ensure "duckdb" "tools/deps/duckdb tools/dev/duckdb.sh" "$ROOT/tools/dev/duckdb.sh"
}

# Only for tests: whoever wants to see the server run should not wait for them.
test_clients() {
  step "clients and networks for the tests"
  ensure "node clients" tools/deps/clients install_node clients \
    "grpc-js, s3rver and the messages of OTLP"
  ensure "networks" tools/deps/networks install_node networks \
    "networks that read lines and hear words"
}

# ensure NAME "FILES…" COMMAND…: runs the command unless it has succeeded here for these files.
ensure() {
  local name=$1 files=$2 stamp key
  shift 2
  stamp="$DEPS/stamps/${name// /-}"
  key=$(stamp_key "$files")
  if stamped; then return; fi
  mkdir -p "$DEPS/stamps"
  # One at a time: two shells may both run ./dev in a fresh tree, and the second finds it done.
  exec {lock}> "$DEPS/lock"
  flock "$lock"
  if ! stamped; then
    "$@"
    printf '%s\n' "$key" > "$stamp"
  fi
  exec {lock}>&-
}

stamped() { [[ -f $stamp && $(< "$stamp") == "$key" ]]; }

# The machine is part of the key: a tree that is moved to another one finds nothing installed there.
stamp_key() {
  local machine=/etc/machine-id
  [[ -f $machine ]] || machine=
  # shellcheck disable=SC2086
  find $1 $machine -type f -exec sha256sum {} + | sort | sha256sum
}

install_lists() {
  local missing
  mapfile -t missing < <(packages_of "$@" | missing_packages)
  if [[ ${#missing[@]} -gt 0 ]]; then install_packages "${missing[@]}"; fi
}

install_packages() {
  say "      installing $*"
  need_root
  export DEBIAN_FRONTEND=noninteractive
  retry quietly as_root apt-get update -q || die "apt-get update failed"
  retry quietly as_root apt-get install -qy --no-install-recommends \
    -o DPkg::Lock::Timeout=600 "$@" || die "apt-get install failed"
}

packages_of() {
  local list
  for list in "$@"; do
    sed -e 's/[[:space:]]*#.*//' -e '/^[[:space:]]*$/d' "$LISTS/apt-$list.txt"
  done
}

# Filters names on standard input. npm and node often come from elsewhere than Debian, whose
# packages of those names would then conflict: any npm and node will do.
missing_packages() {
  local name
  while read -r name; do
    case $name in
      npm) if command -v npm > /dev/null; then continue; fi ;;
      nodejs) if command -v node > /dev/null; then continue; fi ;;
    esac
    if [[ $(dpkg-query -W -f='${db:Status-Status}' "$name" 2> /dev/null) != installed ]]; then
      say "$name"
    fi
  done
}

# install_node NAME WHAT: tools/deps/NAME into .deps/NAME/node_modules. npm checks the hashes of the
# lockfile.
install_node() {
  local name=$1
  say "      $2 from npm"
  rm -rf "${DEPS:?}/$name"
  mkdir -p "$DEPS/$name"
  cp "$LISTS/$name"/package*.json "$DEPS/$name/"
  (cd "$DEPS/$name" &&
    retry quietly npm ci --ignore-scripts --no-audit --no-fund --cache "$DEPS/$name/.cache")
  rm -rf "$DEPS/$name/.cache"
}

# Debian 13 and Ubuntu package it; Debian 12 does not.
install_onnxruntime() {
  if apt-cache show libonnxruntime-dev > /dev/null 2>&1; then
    install_packages libonnxruntime-dev
  else
    "$ROOT/tools/dev/onnxruntime.sh"
  fi
}
