// What a version answers to a dataset: predictions as users see them, and its outputs as numbers.
//
// Thread-safety: plain values and a function without state.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "core/servable.h"
#include "tools/compress/dataset.h"

namespace sluice::tools::compress {

struct Answers {
  bool classified = false;
  std::size_t width = 0;                // values of a row's prediction
  std::vector<double> predictions;      // rows × width; NaN where a row had no answer
  std::vector<std::string> names;       // of classes, a name for each row; empty: they have none
  std::size_t outputs = 0;              // numbers of a row's outputs, the same for all rows or 0
  std::vector<float> numbers;           // rows × outputs: all floating outputs side by side
  std::vector<std::size_t> unanswered;  // rows

  std::size_t rows() const { return width == 0 ? 0 : predictions.size() / width; }
};

// A row that the model refuses is unanswered. Errors: those that are not of rows; kInvalidArgument/
// `no_prediction` where no row has an answer; kCancelled.
Result<Answers> answer_all(std::shared_ptr<const Servable> servable, const Dataset& dataset,
                           const std::atomic<bool>& stop);

}  // namespace sluice::tools::compress
