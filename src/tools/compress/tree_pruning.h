// Trees of XGBoost's JSON models (doc/model.schema of XGBoost), and splits taken out of them.
//
// Thread-safety: functions without state.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace sluice::tools::compress {

// With floats for numbers, as XGBoost has them: what is read and written again is the same number.
using FloatJson = nlohmann::basic_json<std::map, std::vector, std::string, bool, std::int64_t,
                                       std::uint64_t, float>;

// A model's text as XGBoost writes it. Errors: kInvalidArgument/`bad_model`.
Result<FloatJson> read_model(std::string_view text);
std::string write_model(const FloatJson& model);

struct TreeLimits {
  float min_gain = 0;            // splits whose children are leaves and that gain less; 0: none
  std::optional<int> max_depth;  // of splits above any leaf
};

struct TreeCounts {
  std::uint64_t splits_before = 0;
  std::uint64_t splits = 0;
};

// What the splits that are reached gained in training.
Result<std::vector<float>> gains_of(const FloatJson& tree);

// From the leaves up, so that a split with a good one below it stays. What was below becomes a
// leaf: the mean of the leaves that were there, each weighed by its cover (sum_hessian), or plainly
// where nothing covers them. A tree of which nothing goes is not touched. Errors:
// kInvalidArgument/`bad_model` for a tree that is none; `not_compressible` for leaves of several
// numbers.
Result<TreeCounts> prune_tree(FloatJson& tree, const TreeLimits& limits);

}  // namespace sluice::tools::compress
