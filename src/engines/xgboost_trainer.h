// Gradient-boosted trees trained on what another model says, through XGBoost.
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"

namespace sluice::engines {

struct TreeLesson {
  enum class Kind {
    kBinary,   // the probability of the second of two classes: binary:logistic takes it as a label
    kClasses,  // those of all classes: multi:softprob, with a row for each class, weighed by it
    kValue,    // a number: reg:squarederror
  };
  Kind kind = Kind::kValue;
  std::span<const float> rows;  // count × columns; NaN: missing
  std::size_t columns = 0;
  std::span<const float> targets;  // count × width
  std::size_t width = 1;           // classes of kClasses, else 1
  std::vector<std::string> names;  // of the columns; empty: they have none
};

struct TreeOptions {
  int rounds = 30;
  int depth = 3;
  double eta = 0.3;
};

// The trained model in XGBoost's JSON, or UBJSON. The same lesson gives the same bytes; one thread.
// Errors: kInternal/`engine_failed`; kCancelled, looked at before each round. Thread-safety: any.
Result<std::string> train_xgboost(const TreeLesson& lesson, const TreeOptions& options, bool ubj,
                                  const std::atomic<bool>& stop,
                                  const std::function<void(double done)>& progress);

}  // namespace sluice::engines
