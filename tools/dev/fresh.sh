# Runs the README's first commands as a newcomer would: in a Debian 12 that has nothing installed,
# on the last commit. Sourced by ./dev.
# shellcheck shell=bash

FRESH="$ROOT/build/fresh"
CHROOT="$FRESH/root"
PORT=8000

cmd_fresh() {
  if [[ -z ${SLUICE_FRESH_INSIDE:-} ]]; then
    [[ $EUID -eq 0 ]] || die "fresh mounts and changes root: run it as root"
    plan 6
    prepare fresh
    # Mounts and processes in namespaces of their own, which end with the command however it ends.
    SLUICE_FRESH_INSIDE=1 exec unshare --mount --pid --fork --kill-child "$ROOT/dev" fresh
  fi
  plan 6 2
  step "new Debian 12"
  make_chroot
  step "./dev serve, for the first time"
  serve_once 1500
  step "./dev serve, once more"
  serve_once 3
  step "./dev test"
  (inside ./dev test)
  say "fresh: all of it works, in $SECONDS s"
}

# The tree that is worked in is new each time.
make_chroot() {
  mkdir -p "$FRESH"
  debian_base "$FRESH/base"
  rm -rf "$CHROOT"
  cp -a --reflink=auto "$FRESH/base" "$CHROOT"
  copy_access "$CHROOT"
  mkdir "$CHROOT/root/sluice"
  git archive HEAD | tar -x -C "$CHROOT/root/sluice"
  mount -t proc proc "$CHROOT/proc"
  mount --bind /dev "$CHROOT/dev"
  mount -t tmpfs tmpfs "$CHROOT/dev/shm"
}

# inside COMMAND…: replaces this shell, with a clean environment but for what reaching the mirrors
# takes, and OpenBLAS' choice of kernel, which some machines must force to get right results.
inside() {
  local kept
  mapfile -t kept < <(env | sed -En \
    '/^([A-Za-z]+_proxy|[A-Z]+_PROXY|NODE_EXTRA_CA_CERTS|SSL_CERT_(FILE|DIR)|OPENBLAS_\w+)=/p')
  exec env -i "${kept[@]}" HOME=/root LANG=C.UTF-8 TERM="${TERM:-dumb}" \
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    chroot "$CHROOT" sh -c 'cd /root/sluice && exec "$@"' sh "$@"
}

# serve_once SECONDS: starts ./dev serve, waits until a prediction is answered, stops it.
serve_once() {
  local limit=$1 start=$SECONDS server status=0
  if answers; then die "something else already answers on port $PORT"; fi
  inside ./dev serve &
  server=$!
  until answers; do
    kill -0 "$server" 2> /dev/null || die "./dev serve ended before it answered"
    [[ $((SECONDS - start)) -le $limit ]] || die "no answer within $limit s"
    sleep 0.2
  done
  say "      a prediction was answered after $((SECONDS - start)) s"
  kill -TERM "$server"
  wait "$server" || status=$?
  [[ $status -eq 0 ]] || die "the server did not stop cleanly: exit $status"
}

answers() {
  local row
  row=$(sed -En '1s/.*("features": *\[[^]]*\]).*/{\1}/p' \
    "$CHROOT/root/sluice/examples/golden/breast_cancer.v1.jsonl")
  curl --silent --fail --max-time 2 --output /dev/null --data "$row" \
    --header 'Content-Type: application/json' \
    "http://127.0.0.1:$PORT/models/breast_cancer/predict"
}
