// What model.yaml says about explanations of a model's predictions.
//
// Thread-safety: immutable once read.
#pragma once

#include <cstdint>
#include <vector>

#include "base/option.h"

namespace sluice {

struct ExplainOptions {
  static constexpr std::size_t kMostRows = 100;

  // Rows that a prediction is compared with: ordinary ones, as wide as the model's inputs together.
  std::vector<std::vector<double>> background;
  std::int64_t budget = 2000;  // rows that the model is asked about for one explanation, at most
  static const Schema<ExplainOptions>& schema();
};

}  // namespace sluice
