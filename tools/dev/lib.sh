# What every sub-command of ./dev shares. Sourced, never run; expects $ROOT to be the source tree.
# shellcheck shell=bash disable=SC2034
DEPS="$ROOT/.deps"
LISTS="$ROOT/tools/deps"

say() { printf '%s\n' "$*"; }
die() {
  printf 'dev: %s\n' "$*" >&2
  exit 1
}
# plan TOTAL [DONE]: each sub-command says how many steps it will announce.
plan() {
  STEPS=$1
  STEP=${2:-0}
}
step() {
  STEP=$((STEP + 1))
  say "[$STEP/$STEPS] $*"
}

# Asked before anything is run quietly, so that the answer is seen.
need_root() {
  [[ $EUID -eq 0 ]] || command -v sudo > /dev/null ||
    die "installing packages needs root: run './dev setup' once as root, or install sudo"
}
as_root() {
  if [[ $EUID -eq 0 ]]; then "$@"; else sudo --preserve-env=DEBIAN_FRONTEND "$@"; fi
}

# Shows a command's output only when it fails: apt and npm are loud, and hide what matters.
quietly() {
  local log status=0
  log=$(mktemp)
  "$@" > "$log" 2>&1 || status=$?
  if [[ $status -ne 0 ]]; then cat "$log" >&2; fi
  rm -f "$log"
  return "$status"
}

# Mirrors drop connections, and apt's lock on its lists has no option to wait.
retry() {
  local pause
  for pause in 5 10 20 40; do
    if "$@"; then return 0; fi
    say "      failed; trying again in $pause s" >&2
    sleep "$pause"
  done
  "$@"
}

# The package sources of Debian itself, one 'ORIGIN|CODENAME|RELEASE|COMPONENT|URI' a line. Asking
# apt covers both formats of source file; other vendors' sources are told by their origin.
debian_sources() {
  # shellcheck disable=SC2016
  apt-get indextargets --format '$(ORIGIN)|$(CODENAME)|$(RELEASE)|$(COMPONENT)|$(REPO_URI)' \
    'Created-By: Packages' | sed -n '/^Debian|/p' | sort -u
}

# The mirror that this machine takes Debian's main archive from; empty where there is none.
debian_mirror() {
  local codename
  codename=$(. /etc/os-release && printf '%s' "${VERSION_CODENAME:-}")
  debian_sources | sed -n "s/^Debian|$codename|[^|]*|main|//p" | head -n 1
}
