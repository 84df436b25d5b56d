# Compiling and starting. Sourced by ./dev.
# shellcheck shell=bash

cmd_build() {
  local preset=${1:-release}
  plan 3
  prepare
  compile "$preset"
}

is_preset() {
  [[ $1 == release || $1 == debug || $1 == asan || $1 == tsan || $1 == coverage || $1 == bench ||
    $1 == fuzz ]]
}

# compile PRESET [TARGET]: configures once; ninja runs cmake again by itself when a list changes.
compile() {
  local preset=$1 target=${2:-all}
  is_preset "$preset" || die "no preset '$preset': release, debug, asan, tsan, coverage, bench or fuzz"
  step "build ($preset)"
  if [[ ! -f build/$preset/build.ninja ]]; then quietly cmake --preset "$preset"; fi
  cmake --build --preset "$preset" --target "$target" -j "$(nproc)"
}

# A path, where there is one, comes first: what follows an option may be its value.
cmd_serve() {
  if [[ $# -eq 0 || $1 == -* ]]; then set -- examples/models "$@"; fi
  plan 3
  prepare
  # The server alone: whoever wants to see it run should not wait for the tests to compile.
  compile release sluice
  exec build/release/sluice serve "$@"
}

cmd_bench() {
  plan 4
  prepare bench
  test_clients  # s3rver
  compile bench
  exec /usr/bin/python3 bench/run.py --build build/bench "$@"
}
