"""Peer: the batch predictor that one finds in tutorials: batch_predictor.py MODEL ROWS OUT WORKERS.

joblib.load, one piece of the rows for each worker of a multiprocessing pool, model.predict on it, and
all of it back in one array. Rows come from .npy and go to .npy with the column of predictions, which
leaves out what a table costs, or from .csv to .csv through pandas, as the original does with Parquet.
Prints the seconds from reading to writing; starting Python is not in them.
"""
import sys
import time
from multiprocessing import Pool

import joblib
import numpy as np
import pandas as pd


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


def checked(predictions, count):
    if len(predictions) != count or not set(np.unique(predictions)) <= {0, 1}:
        sys.exit("the peer's predictions are not a class for each row")
    return predictions


if __name__ == "__main__":
    began = time.monotonic()
    predictor = BatchPredictor(sys.argv[1], int(sys.argv[4]))
    if sys.argv[2].endswith(".csv"):
        table = pd.read_csv(sys.argv[2])
        features = table.to_numpy(np.float32)
        table["prediction"] = checked(predictor.predict_parallel(features), len(table))
        table.to_csv(sys.argv[3], index=False)
    else:
        rows = np.load(sys.argv[2])
        predictions = checked(predictor.predict_parallel(rows), len(rows))
        np.save(sys.argv[3], np.column_stack((rows, predictions.astype(np.float32))))
    print(time.monotonic() - began)
