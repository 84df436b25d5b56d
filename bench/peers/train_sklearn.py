"""Trains the model that the Python peers serve and dumps it with joblib: train_sklearn.py FILE.

The same kind of model as ours: an MLP (64, 32) on breast cancer. The scaling is folded into the
first layer, so that the peers pay for one estimator and not for a pipeline of two.
"""
import sys

import joblib
from sklearn.datasets import load_breast_cancer
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler

rows, labels = load_breast_cancer(return_X_y=True)
scaler = StandardScaler().fit(rows)
model = MLPClassifier((64, 32), max_iter=500, random_state=7).fit(scaler.transform(rows), labels)
model.coefs_[0] = model.coefs_[0] / scaler.scale_[:, None]
model.intercepts_[0] = model.intercepts_[0] - scaler.mean_ @ model.coefs_[0]
accuracy = model.score(rows, labels)
if accuracy < 0.95:
    sys.exit(f"the peers' model is wrong: accuracy {accuracy:.3f}")
joblib.dump(model, sys.argv[1])
