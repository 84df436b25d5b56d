// `sluice inspect MODEL --learn-bounds TABLE`: learns from training data which values a model's
// inputs have, and writes it into model.yaml: bounds, training statistics, what predictions were.
//
// Thread-safety: one thread.
#pragma once

#include <string>

#include "app/commands.h"

namespace sluice::app {

struct LearnArguments {
  std::string model;   // a model file, or the directory of a version or of a model
  std::string table;   // .parquet, .csv, .jsonl
  std::string label;   // a column that is not the model's
  std::string output;  // a file, - for standard output, empty: where the repository reads it
  double margin = 0;   // by which share of its range bounds are wider than what was seen
  bool json = false;
};

// Answers the exit code.
int learn_bounds(const LearnArguments& arguments, const LoadFlags& load_flags);

}  // namespace sluice::app
