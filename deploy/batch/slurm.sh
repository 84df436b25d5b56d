#!/usr/bin/env bash
# Predictions for a whole table on a Slurm cluster: an array job whose tasks take a shard each, and
# a job after it that joins them. Copy it, set what stands after #SBATCH for your cluster, and run it
# where sbatch is, in a folder that every node sees:
#
#   SHARDS=8 ./slurm.sh fraud in.parquet out.parquet --on-error null
#
# MODEL, INPUT and OUTPUT, then options of sluice batch. SHARDS is 4 if it is not set, SLUICE the
# binary. After a failure the same command goes on with what is finished.

#SBATCH --job-name=sluice-batch
#SBATCH --array=0-3
#SBATCH --cpus-per-task=2
#SBATCH --mem=2G
#SBATCH --time=04:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=sluice-batch-%A_%a.log

set -euo pipefail

die() {
  printf 'slurm.sh: %s\n' "$1" >&2
  exit 64
}

# Both jobs; prints their numbers. The second waits for all tasks of the first, and is cancelled
# when one of them fails.
submit() {
  local shards=${SHARDS:-4} array merge
  [[ $shards =~ ^[1-9][0-9]*$ ]] || die "SHARDS is not a number of shards; use one such as 8"
  export OUTPUT=$3
  array=$(sbatch --parsable --export=ALL --array="0-$((shards - 1))" "$0" "$@")
  array=${array%%;*}  # a cluster's name may stand behind it
  # The job's own shell reads these variables; no name in them is read as shell.
  # shellcheck disable=SC2016
  merge=$(sbatch --parsable --export=ALL --job-name=sluice-merge --cpus-per-task=1 --mem=1G \
    --requeue --open-mode=append --output=sluice-batch-%j.log \
    --dependency="afterok:$array" --kill-on-invalid-dep=yes \
    --wrap 'exec "$SLUICE" batch --merge --output "$OUTPUT"')
  printf '%s %s\n' "$array" "${merge%%;*}"
}

# One task. sluice finds its shard in Slurm's variables: task 0 of 4 takes shard 1/4.
predict() {
  # An array such as 2 alone would be one shard of one: the whole table.
  if [[ ${SLURM_ARRAY_TASK_MIN:-0} != 0 ]] ||
    [[ $SLURM_ARRAY_TASK_MAX != $((SLURM_ARRAY_TASK_COUNT - 1)) ]]; then
    die "the array is not all shards; use one such as 0-7, finished shards are kept"
  fi
  exec "$SLUICE" batch --model "$1" --input "$2" --output "$3" \
    --workers "${SLURM_CPUS_PER_TASK:-1}" --resume "${@:4}"
}

[[ $# -ge 3 ]] || die "give it MODEL INPUT OUTPUT, and options of sluice batch after them"
export SLUICE=${SLUICE:-sluice}
if [[ -n ${SLURM_ARRAY_TASK_ID:-} ]]; then predict "$@"; else submit "$@"; fi
