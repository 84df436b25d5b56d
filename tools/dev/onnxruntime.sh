#!/usr/bin/env bash
# Puts ONNX Runtime into .deps/onnxruntime/{include,lib} for systems without libonnxruntime-dev
# (Debian 12): the library out of the official npm package, the headers out of Debian 13's package,
# nothing of which is installed. The library serves every API version up to its own, so that
# headers older than it are fine.
set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
source "$ROOT/tools/dev/lib.sh"

DEST="$DEPS/onnxruntime"
WORK="$DEPS/onnxruntime.tmp"

node_architecture() {
  case $(uname -m) in
    x86_64) say x64 ;;
    aarch64) say arm64 ;;
    *) die "no ONNX Runtime for $(uname -m): pass -DONNXRUNTIME_ROOT=<prefix> to cmake" ;;
  esac
}

# npm checks the hashes of the lockfile. --ignore-scripts: the package's own script would download
# GPU libraries.
fetch_library() {
  local arch
  arch=$(node_architecture)
  say "      library: onnxruntime-node from npm"
  mkdir -p "$WORK/npm" "$WORK/out/lib"
  cp "$LISTS/package.json" "$LISTS/package-lock.json" "$WORK/npm/"
  (cd "$WORK/npm" &&
    retry quietly npm ci --ignore-scripts --no-audit --no-fund --cache "$WORK/npm-cache")
  cp "$WORK"/npm/node_modules/onnxruntime-node/bin/napi-v*/linux/"$arch"/libonnxruntime.so.1 \
    "$WORK/out/lib/"
  ln -s libonnxruntime.so.1 "$WORK/out/lib/libonnxruntime.so"
}

# An apt of its own, with its own lists and cache, that knows Debian 13 alone: the machine's apt
# never sees that suite.
fetch_headers() {
  local mirror apt
  mirror=$(debian_mirror)
  if [[ -z $mirror ]]; then
    # Images that come with every package often come without apt's lists.
    need_root
    retry quietly as_root apt-get update -q
    mirror=$(debian_mirror)
  fi
  [[ -n $mirror ]] || die "apt has no Debian mirror: pass -DONNXRUNTIME_ROOT=<prefix> to cmake"
  say "      headers: libonnxruntime-dev from Debian 13"
  mkdir -p "$WORK"/apt/{lists,cache/archives}/partial "$WORK/deb" "$WORK/out/include"
  say "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie main" \
    > "$WORK/apt/sources.list"
  apt=(apt-get -o "Dir::Etc::sourcelist=$WORK/apt/sources.list" -o Dir::Etc::sourceparts=/dev/null
    -o "Dir::State::lists=$WORK/apt/lists" -o "Dir::Cache=$WORK/apt/cache"
    -o Acquire::Languages=none -o "APT::Sandbox::User=$(id -un)")
  retry quietly "${apt[@]}" update
  (cd "$WORK/deb" && retry quietly "${apt[@]}" download libonnxruntime-dev)
  dpkg -x "$WORK"/deb/libonnxruntime-dev_*.deb "$WORK/deb/root"
  cp "$WORK"/deb/root/usr/include/onnxruntime/*.h "$WORK/out/include/"
}

main() {
  rm -rf "$WORK"
  mkdir -p "$WORK"
  trap 'rm -rf "$WORK"' EXIT
  fetch_library
  fetch_headers
  rm -rf "$DEST"
  mv "$WORK/out" "$DEST"
}

main
