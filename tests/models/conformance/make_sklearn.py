"""Makes the files of sklearn.txt, since a pickle is a program and is never committed:
make_sklearn.py FOLDER."""
import pickle
import sys
from pathlib import Path

import joblib
from sklearn.datasets import load_diabetes, load_iris
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

folder = Path(sys.argv[1])
iris, diabetes = load_iris(), load_diabetes()
named = make_pipeline(StandardScaler(), LogisticRegression())
named.fit(iris.data, iris.target_names[iris.target])
(folder / "named.pkl").write_bytes(pickle.dumps(named))
joblib.dump(RandomForestRegressor(5, random_state=1).fit(diabetes.data, diabetes.target),
            folder / "forest.joblib")
(folder / "dict.pkl").write_bytes(pickle.dumps({"no": "model"}))
(folder / "noise.joblib").write_bytes(b"nothing that is a pickle")
