// What each feature of a row adds to a model's answer: Shapley values of the interventional kind,
// for any function that can be asked about rows.
//
// The worth of a set of features is the mean answer over the background rows once the set's
// features have the explained row's values; a feature's attribution is what it adds, averaged over
// all orders in which the features can arrive. Each background row is a game of its own, and the
// attributions are the mean over these games:
// - where every subset of every game fits in the budget, all of them are evaluated: exact;
// - else orders are drawn (Strumbelj and Kononenko, Knowledge and Information Systems 41, 2014),
// each
//   walked forward and backward (antithetic pairs: Mitchell, Cooper, Frank and Holmes, JMLR 23,
//   2022), as the PermutationExplainer of the Python package shap does. Unlike there, each
//   background row draws orders of its own, which costs the same and averages over more of them.
// Walks telescope, so that base value + attributions is the row's own answer, after any number of
// them. Features that have the same value in both rows add nothing and cost nothing.
//
// Thread-safety: a function without state; `evaluate` is called on the calling thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/error.h"

namespace sluice::statistics {

// Answers of whole rows, row-major and as wide as the explained one; fills one number for each.
// What it returns as an error ends the explanation (a deadline, say).
using EvaluateRows =
    std::function<Result<void>(std::span<const double> rows, std::span<double> answers)>;

struct ShapleyOptions {
  std::size_t budget = 2000;  // rows that may be evaluated, in all
  std::size_t at_once = 256;  // rows of one call, at most; at least 1
  double tolerance = 0.01;    // ends once no error is greater than this part of the greatest
                              // attribution; 0: only once nothing is left to find
  std::uint64_t seed = 0;     // of the orders, and of which background rows are taken
};

struct ShapleyValues {
  double base_value = 0;             // the mean answer of the background rows that were used
  double answer = 0;                 // the row's own: base_value + all attributions
  std::vector<double> attributions;  // one per feature
  std::vector<double> errors;        // standard errors of the orders drawn; 0 where exact
  std::size_t evaluations = 0;       // rows evaluated: at most the budget
  std::size_t background_rows = 0;   // those used: fewer than there are where the budget is short
  bool exact = false;                // every subset was evaluated
};

// `background`: whole rows, row-major, at least one. NaN stands for a missing value and is one.
// Errors: kInvalidArgument/`not_explainable` where the budget is too small for one walk or an
// answer is not a finite number; else what `evaluate` returns.
Result<ShapleyValues> shapley_values(std::span<const double> background,
                                     std::span<const double> row, const EvaluateRows& evaluate,
                                     const ShapleyOptions& options);

}  // namespace sluice::statistics
