"""Peer: model.predict(batch) in a loop, and nothing else: predict_loop.py MODEL SECONDS, with the
rows as JSON on standard input. Prints microseconds a call."""
import json
import sys
import time

import joblib
import numpy as np

model, seconds = joblib.load(sys.argv[1]), float(sys.argv[2])
batch = np.array(json.load(sys.stdin))
for _ in range(20):
    model.predict(batch)
runs, began = 0, time.perf_counter()
while time.perf_counter() - began < seconds:
    model.predict(batch)
    runs += 1
print(1e6 * (time.perf_counter() - began) / runs)
