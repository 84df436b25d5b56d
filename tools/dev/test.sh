# Runs every suite and ends with one line 'N passed, N failed'. Sourced by ./dev.
# shellcheck shell=bash

PASSED=0
FAILED=0
SUITE_TIMEOUT=900

# test [PRESET] [FILTER]
cmd_test() {
  local preset=release filter
  if [[ $# -gt 0 ]] && is_preset "$1"; then
    preset=$1
    shift
  fi
  filter=${1:-}
  plan 8
  prepare
  test_clients
  compile "$preset"
  LOGS="build/$preset/test-logs"
  mkdir -p "$LOGS"
  # End-to-end tests find the binary here.
  export SLUICE_SERVER="$ROOT/build/$preset/sluice"
  step "unit tests"
  unit_tests "$preset" "$filter"
  step "contract"
  run_matching "$filter" tests/contract/run.py --server "$SLUICE_SERVER"
  step "end to end"
  local script
  for script in tests/e2e/*.sh tests/e2e/*.py; do
    if [[ -x $script ]]; then run_matching "$filter" "$script"; fi
  done
  step "layers"
  run_matching "$filter" tools/layers.py
  say "$PASSED passed, $FAILED failed"
  [[ $FAILED -eq 0 && $PASSED -gt 0 ]]
}

# A filter without a wildcard means 'has this in its name'.
unit_tests() {
  local binary="build/$1/sluice_tests" filter=${2:-*} log="$LOGS/unit.log" status=0 passed failed
  [[ $filter == *[*?:]* ]] || filter="*$filter*"
  timeout --kill-after=10 "$SUITE_TIMEOUT" "$binary" --gtest_filter="$filter" \
    > "$log" 2>&1 < /dev/null || status=$?
  passed=$(sed -n 's/^\[  PASSED  \] \([0-9]*\) tests\{0,1\}\..*/\1/p' "$log")
  failed=$(sed -n 's/^\[  FAILED  \] \([0-9]*\) tests\{0,1\}, listed below:.*/\1/p' "$log")
  count unit "$log" "$status" "${passed:-0}" "${failed:-0}"
}

# run_matching FILTER SCRIPT ARGS…: a script that ends with 'NAME: N passed, N failed'. Debian's
# Python, because its packages belong to no other.
run_matching() {
  local filter=$1 script=$2 name log status=0 line command=()
  shift 2
  name=${script#tests/}
  if [[ ! -f $script || $name != *"$filter"* ]]; then return; fi
  log="$LOGS/${name//\//-}.log"
  if [[ $script == *.py ]]; then command=(/usr/bin/python3); fi
  timeout --kill-after=10 "$SUITE_TIMEOUT" "${command[@]}" "$script" "$@" \
    > "$log" 2>&1 < /dev/null || status=$?
  line=$(grep -aE '^[^ ]+: [0-9]+ passed, [0-9]+ failed' "$log" | tail -n 1) || true
  if [[ $line =~ :\ ([0-9]+)\ passed,\ ([0-9]+)\ failed ]]; then
    count "$name" "$log" "$status" "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}"
  else
    count "$name" "$log" "${status/#0/1}" 0 0
  fi
}

# count NAME LOG STATUS PASSED FAILED: adds up, and shows the output of what failed. A suite that
# failed without saying how many tests did (a crash, a leak found at exit) is one failure.
count() {
  local name=$1 log=$2 status=$3 passed=$4 failed=$5
  if [[ $status -ne 0 && $failed -eq 0 ]]; then failed=1; fi
  PASSED=$((PASSED + passed))
  FAILED=$((FAILED + failed))
  # GoogleTest's lines about tests that passed say nothing; the last RUN line names a crash.
  if [[ $failed -gt 0 ]]; then sed -e '/^\[ RUN  /{N; /\n\[       OK/d}' "$log"; fi
  say "      $name: $passed passed, $failed failed (exit $status)"
}
