# The Debian package. Sourced by ./dev.
# shellcheck shell=bash

cmd_package() {
  plan 4
  prepare
  compile release sluice
  step "package"
  # CPack needs no rule of the build but the program: the tests are not compiled for it.
  (cd build/release && quietly cpack)
  say "      $(ls build/release/package/*.deb)"
}
