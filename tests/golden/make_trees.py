#!/usr/bin/env python3
"""Small XGBoost models for src/tools/compress/prune_trees_test.cc: dart, and splits by category.

Writes trees_dart.json, trees_categorical.json and trees_categorical.ubj beside itself; rows that
lack values go both ways.
"""
from pathlib import Path

import numpy as np
import xgboost

HERE = Path(__file__).resolve().parent
generator = np.random.default_rng(17)
rows = generator.normal(size=(400, 4)).astype(np.float32)
rows[:, 3] = generator.integers(0, 6, size=400)
target = rows[:, 0] * rows[:, 1] + np.isin(rows[:, 3], [1, 4]) * 2 + np.sin(3 * rows[:, 2])
rows[generator.random(rows.shape) < 0.1] = np.nan

dart = {"booster": "dart", "rate_drop": 0.3, "max_depth": 4, "seed": 3, "objective": "reg:squarederror"}
xgboost.train(dart, xgboost.DMatrix(rows, target), 6).save_model(HERE / "trees_dart.json")

matrix = xgboost.DMatrix(rows, target, feature_types=["q", "q", "q", "c"], enable_categorical=True)
several = {"tree_method": "hist", "max_depth": 4, "max_cat_to_onehot": 1, "objective": "reg:squarederror",
           "num_parallel_tree": 2, "subsample": 0.7, "seed": 3}
booster = xgboost.train(several, matrix, 3)
booster.save_model(HERE / "trees_categorical.json")
booster.save_model(HERE / "trees_categorical.ubj")
