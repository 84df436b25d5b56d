"""Trains the model that the Python peers run and dumps it with joblib: train_sklearn.py FILE [KIND].

The same kinds of models as ours on breast cancer: `mlp` (64, 32), whose scaling is folded into the
first layer, so that the peers pay for one estimator and not for a pipeline of two; or `trees`, fifty
boosted ones with eight leaves at most.
"""
import sys

import joblib
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler

rows, labels = load_breast_cancer(return_X_y=True)
if sys.argv[2:] == ["trees"]:
    model = GradientBoostingClassifier(n_estimators=50, max_depth=3, random_state=7)
    model.fit(rows, labels)
else:
    scaler = StandardScaler().fit(rows)
    model = MLPClassifier((64, 32), max_iter=500, random_state=7)
    model.fit(scaler.transform(rows), labels)
    model.coefs_[0] = model.coefs_[0] / scaler.scale_[:, None]
    model.intercepts_[0] = model.intercepts_[0] - scaler.mean_ @ model.coefs_[0]
accuracy = model.score(rows, labels)
if accuracy < 0.95:
    sys.exit(f"the peers' model is wrong: accuracy {accuracy:.3f}")
joblib.dump(model, sys.argv[1])
