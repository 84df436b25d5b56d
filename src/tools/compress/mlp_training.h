// Trains a small network (mlp.h) on rows of numbers and what a teacher says of them.
//
// Adam (Kingma and Ba, 2015) on mini-batches, its step falling by a half cosine to nothing
// (Loshchilov and Hutter, 2017); a tenth of the rows is not learned from but watched, and the
// weights that did best there are kept.
//
// Thread-safety: functions without state. The same rows, options and seed give the same bytes.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/error.h"
#include "tools/compress/mlp.h"

namespace sluice::tools::compress {

struct MlpOptions {
  std::vector<std::size_t> hidden = {64};  // units of each hidden layer
  int epochs = 60;                         // at most
  int patience = 12;                       // epochs without progress before it stops
  std::size_t batch = 128;
  double step = 0.006;
  double temperature = 1;
  std::uint64_t seed = 1;
};

struct TrainedMlp {
  Mlp mlp;
  std::vector<float> means;  // of the columns; what stands for a missing value
  bool centred = false;      // `mlp` takes rows from which `means` was taken away; else as they are
  bool any_missing = false;  // some row had a NaN
  int epochs = 0;
  double loss = 0;  // of the watched rows
};

// `rows`: count × columns, NaN where a value is missing, otherwise finite; `targets`: count ×
// width, probabilities or numbers. At least 2 rows. Columns are standardised, and numbers that are
// taught too; both are undone within the weights of the first and the last layer, so that the
// network takes and gives what rows and targets have. Where a mean is far beyond its column's
// deviation, that would cost precision, and rows have to be centred. Errors: kCancelled.
Result<TrainedMlp> train_mlp(std::span<const float> rows, std::size_t columns,
                             std::span<const float> targets, std::size_t width, Lesson lesson,
                             const MlpOptions& options, const std::atomic<bool>& stop,
                             const std::function<void(double done)>& progress);

}  // namespace sluice::tools::compress
