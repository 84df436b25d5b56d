# Formatting and static analysis. Sourced by ./dev.
# shellcheck shell=bash

sources() { find src -name '*.cc' -o -name '*.h' | sort; }

# Sources that differ from the last commit, or all of them with --all.
sources_to_check() {
  if [[ ${1:-} == --all ]]; then
    sources | grep '\.cc$'
  else
    { git diff --name-only --diff-filter=d HEAD -- src && git ls-files -o --exclude-standard src; } |
      grep '\.cc$' | sort -u
  fi
}

cmd_lint() {
  [[ $# -eq 0 || $1 == --all ]] || die "lint takes --all or nothing, not '$1'"
  plan 5
  prepare lint
  # Generated headers and compile_commands.json must be there and current.
  compile release
  step "clang-format"
  sources | xargs --no-run-if-empty clang-format --dry-run -Werror
  step "clang-tidy (${1:-changed files; --all for every file})"
  sources_to_check "$@" |
    xargs --no-run-if-empty -n 1 -P "$(nproc)" clang-tidy-19 --quiet -p build/release \
      --extra-arg=-Wno-ignored-gch  # g++'s precompiled header: clang reads its text instead
}

cmd_format() {
  plan 3
  prepare lint
  step "clang-format -i"
  sources | xargs --no-run-if-empty clang-format -i
}
