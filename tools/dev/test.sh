# Runs every suite and ends with one line 'N passed, N failed'. Sourced by ./dev.
#
# Most suites wait more than they compute, so that several run side by side: they pick free ports
# and folders of their own. Those whose first lines say '# alone: WHY' measure times, and run one
# after the other at the end, with nothing beside them.
# shellcheck shell=bash

PASSED=0
FAILED=0
SUITE_TIMEOUT=900
# Suites at once; TEST_JOBS=1 is one after the other.
TEST_JOBS=${TEST_JOBS:-$(($(nproc) + 1))}
UNIT_SHARDS=2
# What runs: the name, the log and the beginning ($SECONDS) of each, by its process.
declare -A NAMES=() LOG_OF=() BEGAN=()

# test [PRESET] [FILTER]
cmd_test() {
  local preset=release filter suites=() alone=() script
  if [[ $# -gt 0 ]] && is_preset "$1"; then
    preset=$1
    shift
  fi
  filter=${1:-}
  plan 6
  prepare
  test_clients
  compile "$preset"
  LOGS="build/$preset/test-logs"
  mkdir -p "$LOGS"
  # End-to-end tests find the binary here.
  export SLUICE_SERVER="$ROOT/build/$preset/sluice"
  trap end_suites EXIT
  step "tests, $TEST_JOBS suites side by side"
  start_unit_tests "build/$preset/sluice_tests" "$filter"
  mapfile -t suites < <(scripts "$filter")
  for script in "${suites[@]}"; do
    if stands_alone "$script"; then alone+=("$script"); else start_script "$script"; fi
  done
  finish_suites 0
  step "tests that stand alone"
  for script in "${alone[@]}"; do
    start_script "$script"
    finish_suites 0
  done
  say "$PASSED passed, $FAILED failed"
  [[ $FAILED -eq 0 && $PASSED -gt 0 ]]
}

# scripts FILTER: those with this in their name. The longest begin first, because the last to begin
# would otherwise be waited for alone; how long they take, they say themselves ('# takes: 60 s').
scripts() {
  local script name seconds
  for script in tests/contract/run.py tests/e2e/*.sh tests/e2e/*.py tools/layers.py; do
    name=${script#tests/}
    [[ $name == *"$1"* ]] || continue
    seconds=$(sed -n 's/^# takes: \([0-9]*\) s$/\1/p' "$script")
    printf '%s %s\n' "${seconds:-0}" "$script"
  done | sort --stable --key=1,1nr | cut -d ' ' -f 2
}

stands_alone() { grep -q '^# alone: ' "$1"; }

# In shards, each of which is a suite; a filter without a wildcard means 'has this in its name'.
start_unit_tests() {
  local binary=$1 filter=${2:-*} shard
  [[ $filter == *[*?:]* ]] || filter="*$filter*"
  for ((shard = 0; shard < UNIT_SHARDS; shard++)); do
    start_suite "unit $((shard + 1))/$UNIT_SHARDS" "unit-$((shard + 1))" \
      env GTEST_TOTAL_SHARDS="$UNIT_SHARDS" GTEST_SHARD_INDEX="$shard" \
      "$binary" --gtest_filter="$filter"
  done
}

# A script that ends with 'NAME: N passed, N failed'. Debian's Python, because its packages belong
# to no other.
start_script() {
  local script=$1 name=${1#tests/} command=("$1")
  if [[ $script == *.py ]]; then command=(/usr/bin/python3 "$script"); fi
  if [[ $name == contract/* ]]; then command+=(--server "$SLUICE_SERVER"); fi
  start_suite "$name" "${name//\//-}" "${command[@]}"
}

# start_suite NAME LOG COMMAND…: waits until fewer than $TEST_JOBS run, and begins it. 'timeout' makes a
# process group of its own, whose number is its process. A shell lets what it starts in the background
# ignore SIGINT, which tests send.
start_suite() {
  local name=$1 log="$LOGS/$2.log" pid
  shift 2
  finish_suites $((TEST_JOBS - 1))
  env --default-signal=INT,QUIT timeout --kill-after=10 "$SUITE_TIMEOUT" "$@" > "$log" 2>&1 < /dev/null &
  pid=$!
  NAMES[$pid]=$name
  LOG_OF[$pid]=$log
  BEGAN[$pid]=$SECONDS
}

# finish_suites MOST: waits until no more than that run, and tells how each went that ended.
finish_suites() {
  local pid status
  while [[ ${#NAMES[@]} -gt $1 ]]; do
    status=0
    wait -n -p pid "${!NAMES[@]}" || status=$?
    end_group "$pid"
    tell "${NAMES[$pid]}" "${LOG_OF[$pid]}" "$status" $((SECONDS - BEGAN[$pid]))
    unset "NAMES[$pid]"
  done
}

# What a suite left running, as one that was ended in the middle does, disturbs the next.
end_group() { kill -KILL -- "-$1" 2> /dev/null || true; }

# However ./dev ends, its suites do not outlive it.
end_suites() {
  local pid
  for pid in "${!NAMES[@]}"; do end_group "$pid"; done
}

# tell NAME LOG STATUS SECONDS: adds up, and shows the output of what failed.
tell() {
  local name=$1 log=$2 status=$3 passed failed
  read -r passed failed < <(counts_of "$log")
  # A crash, a leak found at exit, no count at all: one failure.
  if [[ $failed -eq 0 && ($status -ne 0 || ($passed -eq 0 && $name != unit*)) ]]; then failed=1; fi
  PASSED=$((PASSED + passed))
  FAILED=$((FAILED + failed))
  # GoogleTest's lines about tests that passed say nothing; the last RUN line names a crash.
  if [[ $failed -gt 0 ]]; then
    sed -e '/^\[ RUN  /{N; /\n\[       OK/d}' -e '/^\[---/d; /^$/d' "$log"
  fi
  say "      $name: $passed passed, $failed failed (exit $status, $4 s)"
}

# counts_of LOG: 'PASSED FAILED', as a script or GoogleTest says them.
counts_of() {
  local line passed failed
  line=$(grep -aE '^[^ ]+: [0-9]+ passed, [0-9]+ failed' "$1" | tail -n 1) || true
  if [[ $line =~ :\ ([0-9]+)\ passed,\ ([0-9]+)\ failed ]]; then
    say "${BASH_REMATCH[1]} ${BASH_REMATCH[2]}"
    return
  fi
  passed=$(sed -n 's/^\[  PASSED  \] \([0-9]*\) tests\{0,1\}\..*/\1/p' "$1")
  failed=$(sed -n 's/^\[  FAILED  \] \([0-9]*\) tests\{0,1\}, listed below:.*/\1/p' "$1")
  say "${passed:-0} ${failed:-0}"
}
