// Runs a model on sampled rows of its training data, to learn what its predictions are like.
//
// Thread-safety: a function without state.
#pragma once

#include <string>

#include "app/learn_table.h"
#include "base/error.h"
#include "core/servable.h"
#include "core/watch_config.h"

namespace sluice::app {

struct LearnedPredictions {
  PredictionTraining training;
  std::uint64_t rows = 0;     // that the model answered
  std::uint64_t skipped = 0;  // rows that it cannot take: a missing value in a column of integers
};

// Errors: of the model; kInvalidArgument/`no_prediction` where its answer is no class and no
// number.
Result<LearnedPredictions> learn_predictions(const Servable& servable, const LearnedTable& table);

}  // namespace sluice::app
