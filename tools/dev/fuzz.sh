# Coverage-guided fuzzing of the codecs (tests/fuzz/README.md). Sourced by ./dev.
# shellcheck shell=bash

FUZZ_TARGETS=(json binary grpc simple)

# fuzz [TARGET] [SECONDS]: every target for a minute each, one after the other.
cmd_fuzz() {
  local targets=("${FUZZ_TARGETS[@]}") seconds=60 target
  if [[ $# -gt 0 && ! $1 =~ ^[0-9]+$ ]]; then
    [[ " ${FUZZ_TARGETS[*]} " == *" $1 "* ]] || die "no fuzz target '$1': ${FUZZ_TARGETS[*]}"
    targets=("$1")
    shift
  fi
  if [[ $# -gt 0 ]]; then
    [[ $1 =~ ^[1-9][0-9]*$ ]] || die "fuzz takes a number of seconds, not '$1'"
    seconds=$1
  fi
  plan 4
  prepare fuzz
  compile fuzz fuzz_targets
  step "fuzz: $seconds s for each of ${targets[*]}"
  local passed=0 failed=0
  for target in "${targets[@]}"; do
    if fuzz_target "$target" "$seconds"; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
  done
  say "$passed passed, $failed failed"
  [[ $failed -eq 0 ]]
}

# What is new goes to build/fuzz; the committed corpus is only read. No input is larger than 4 KiB,
# and nothing may take much memory for it.
fuzz_target() {
  local target=$1 seconds=$2 work="build/fuzz/work/$1" corpus="tests/fuzz/corpus/$1" status=0
  local dictionary=tests/fuzz/dictionary/json.dict log="$work.log" facts
  if [[ $target == grpc || $target == simple ]]; then dictionary=tests/fuzz/dictionary/grpc.dict; fi
  mkdir -p "$work" build/fuzz/findings
  ASAN_SYMBOLIZER_PATH=/usr/lib/llvm-19/bin/llvm-symbolizer "build/fuzz/${target}_fuzz" \
    -max_total_time="$seconds" -max_len=4096 -timeout=10 -rss_limit_mb=1024 -malloc_limit_mb=64 \
    -print_final_stats=1 -dict="$dictionary" -artifact_prefix="build/fuzz/findings/$target-" \
    "$work" "$corpus" > "$log" 2>&1 < /dev/null || status=$?
  facts=$(sed -n 's/^stat::number_of_executed_units: *\([0-9]*\)/\1 inputs/p' "$log")
  if [[ $status -ne 0 ]]; then tail -n 60 "$log" >&2; fi
  say "      $target: ${facts:-no inputs}, $(find "$work" -type f | wc -l) kept (exit $status)"
  return "$status"
}
