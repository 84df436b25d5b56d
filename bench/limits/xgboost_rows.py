"""Limit: XGBoost on rows that lie in memory, on all threads: xgboost_rows.py MODEL ROWS THREADS
SECONDS. Prints rows a second, and the processor's microseconds for each, as JSON. No program that runs this model on these cores can be faster,
wherever its rows come from."""
import json
import sys
import time

import numpy as np
import xgboost

rows = np.load(sys.argv[2])
booster = xgboost.Booster()
booster.load_model(sys.argv[1])
booster.set_param({"nthread": int(sys.argv[3])})
booster.inplace_predict(rows)  # warm-up: the first call starts the threads
calls, began, used = 0, time.perf_counter(), time.process_time()
while time.perf_counter() - began < float(sys.argv[4]):
    booster.inplace_predict(rows)
    calls += 1
done = calls * len(rows)
print(json.dumps({"per_second": done / (time.perf_counter() - began),
                  "cpu_us": 1e6 * (time.process_time() - used) / done}))
