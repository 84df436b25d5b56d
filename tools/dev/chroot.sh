# A Debian 12 in a folder, for what must be tried where nothing is installed yet: ./dev fresh,
# deploy/deb/prove, deploy/container/prove. Sourced, after lib.sh.
# shellcheck shell=bash

# debian_base DIR: a minimal system, made once.
debian_base() {
  if [[ -d $1 ]]; then return; fi
  rm -rf "$1.tmp"
  mkdir -p "$(dirname "$1")"
  quietly debootstrap --variant=minbase bookworm "$1.tmp" "$(debian_mirror)"
  mv "$1.tmp" "$1"
}

# copy_access ROOT: the new system gets from this machine only how to reach package mirrors: apt's
# sources and transport settings, npm's configuration, certificates, name resolution.
copy_access() {
  local root=$1 file
  for file in /etc/resolv.conf /etc/hosts; do cp -L "$file" "$root$file"; done
  if [[ -f $HOME/.npmrc ]]; then cp "$HOME/.npmrc" "$root/root/.npmrc"; fi
  # Installing ca-certificates in there adds these to its own.
  if [[ -d /usr/local/share/ca-certificates ]]; then
    cp -rL /usr/local/share/ca-certificates "$root/usr/local/share/"
  fi
  debian_sources | awk -F'|' '{ print "deb", $5, $3, $4 }' > "$root/etc/apt/sources.list"
  apt-config dump | sed -En '/^Acquire::(https?|ftp|Check|Retries)/p' \
    > "$root/etc/apt/apt.conf.d/99access"
}
