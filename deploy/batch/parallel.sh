#!/usr/bin/env bash
# Predictions for a whole table with GNU parallel: on this machine, or on many over ssh.
#
#   SHARDS=8 ./parallel.sh fraud in.parquet out.parquet --on-error null
#   HOSTS=2/one,2/two SHARDS=8 ./parallel.sh fraud in.parquet out.parquet
#
# MODEL, INPUT and OUTPUT, then options of sluice batch. HOSTS are parallel's --sshlogin, here two
# shards at a time on each; they see this folder under the same name. Without HOSTS there are as
# many at a time as JOBS says (2). WORKERS (1) are each shard's, SLUICE is the binary. After a failure
# the same command goes on with what is finished.
set -euo pipefail

if [[ $# -lt 3 ]]; then
  printf 'parallel.sh: give it MODEL INPUT OUTPUT, and options of sluice batch after them\n' >&2
  exit 64
fi
SLUICE=${SLUICE:-sluice}
SHARDS=${SHARDS:-4}
where=(--jobs "${JOBS:-2}")
if [[ -n ${HOSTS:-} ]]; then where=(--sshlogin "$HOSTS" --workdir .); fi

# --quote: names and SQL arrive as they are. No shard is begun after one that failed three times.
seq "$SHARDS" | parallel --will-cite --quote --retries 3 --halt soon,fail=1 --tagstring 'shard {}' \
  "${where[@]}" \
  "$SLUICE" batch --model "$1" --input "$2" --output "$3" --workers "${WORKERS:-1}" --resume \
  "${@:4}" --shard "{}/$SHARDS"
"$SLUICE" batch --merge --output "$3"
