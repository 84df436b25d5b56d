"""Peer: the batch predictor that one finds in tutorials: batch_predictor.py MODEL ROWS OUT WORKERS.

joblib.load, one piece of the rows for each worker of a multiprocessing pool, model.predict on it, and
all of it back in one array. Rows come from .npy and go to .npy with the column of predictions, where
the original reads and writes Parquet through pandas, which would be slower. Prints the seconds from
reading to writing; starting Python is not in them.
"""
import sys
import time
from multiprocessing import Pool

import joblib
import numpy as np


class BatchPredictor:
    def __init__(self, model_path, n_workers):
        self.model = joblib.load(model_path)
        self.n_workers = n_workers

    def predict_parallel(self, features):
        chunk_size = -(-len(features) // self.n_workers)
        chunks = [features[i:i + chunk_size] for i in range(0, len(features), chunk_size)]
        with Pool(self.n_workers) as pool:
            return np.concatenate(pool.map(self._predict_chunk, chunks))

    def _predict_chunk(self, chunk):
        return self.model.predict(chunk)


if __name__ == "__main__":
    began = time.monotonic()
    predictor = BatchPredictor(sys.argv[1], int(sys.argv[4]))
    rows = np.load(sys.argv[2])
    predictions = predictor.predict_parallel(rows)
    if len(predictions) != len(rows) or not set(np.unique(predictions)) <= {0, 1}:
        sys.exit("the peer's predictions are not a class for each row")
    np.save(sys.argv[3], np.column_stack((rows, predictions.astype(np.float32))))
    print(time.monotonic() - began)
