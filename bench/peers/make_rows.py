"""Writes rows that lie near given ones: make_rows.py FILE ROWS GIVEN, where GIVEN is a file of
JSON. float32, as .npy: no Python here reads Parquet."""
import json
import sys

import numpy as np

with open(sys.argv[3]) as given:
    near = np.array(json.load(given), np.float32)
random = np.random.default_rng(7)
picked = random.integers(0, len(near), int(sys.argv[2]))
noise = random.uniform(0.98, 1.02, (len(picked), near.shape[1])).astype(np.float32)
np.save(sys.argv[1], near[picked] * noise)
