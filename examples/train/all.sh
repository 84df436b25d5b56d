#!/usr/bin/env bash
# Trains every example model again and rewrites examples/models and examples/golden.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

# Debian's own interpreter: another python3 in PATH would not see Debian's packages.
PYTHON=${PYTHON:-/usr/bin/python3}
# One thread, so that sums are always taken in the same order.
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE=1

for model in breast_cancer digits iris wine wine_pipeline diabetes; do
  "$PYTHON" "$model.py"
done
