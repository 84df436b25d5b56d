// scikit-learn's models, pickled by pickle or joblib, in worker processes of the user's Python
// (https://scikit-learn.org/stable/model_persistence.html). Loading one runs whatever its maker
// wrote, so it is only done where the user allows it, and in processes that may do little.
#pragma once

#include <memory>
#include <string>

#include "core/engine.h"

namespace sluice::engines {

// `python`: which one runs them; empty: the first that imports sklearn.
std::shared_ptr<const Engine> make_sklearn(std::string python);

}  // namespace sluice::engines
