// Whether a changed model is still right: its answers beside the original's and beside what is
// true.
//
// Of classes: accuracy where labels are known, agreement with the original anyway. Of numbers: R²
// (the share of the labels' variance that is explained) and the mean absolute error; without
// labels both are of the original's predictions. Numbers agree where they differ by no more than a
// hundredth of the standard deviation of the original's predictions.
//
// Thread-safety: plain values and a function without state.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tools/compress/answers.h"

namespace sluice::tools::compress {

// By how much a row's outputs differ at most.
struct WorstRow {
  std::size_t row = 0;  // of the dataset, from 1
  double difference = 0;
  std::string before;  // predictions
  std::string after;
};

// What a model is worth by the labels.
struct Score {
  double quality = 0;                // accuracy, or R²
  std::optional<double> mean_error;  // absolute, of numbers
};

struct Comparison {
  std::size_t rows = 0;
  std::size_t labelled = 0;  // rows with a label
  bool classified = false;
  std::optional<Score> before;  // where there are labels
  std::optional<Score> after;
  double agreement = 0;        // share of rows
  double mean_difference = 0;  // absolute, of all numbers that both put out
  double greatest_difference = 0;
  std::size_t lost = 0;  // rows that only the original answers
  std::vector<WorstRow> worst;

  // What was lost: of accuracy or R² where there are labels; else of agreement, or of R² with the
  // original's predictions in the labels' place. Never below 0 for what is only another answer.
  double drop = 0;
  std::string_view quality;  // "accuracy", "R²", "agreement", "R² with the original"
};

// `labels`: Dataset::labels. Errors: kInvalidArgument/`wrong_labels` where none of them is a class
// or a number of the model's.
Result<Comparison> compare(const Answers& before, const Answers& after,
                           const std::vector<std::string>& labels);

}  // namespace sluice::tools::compress
