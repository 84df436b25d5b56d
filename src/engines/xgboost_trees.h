// XGBoost's trees, answered without XGBoost, which spends most of its time on rows that come from
// outside with other things than the trees.
//
// What is answered is what XGBoost answers, to the last bit: trees are added up in its order and
// its precision, and whoever makes one of these holds it against the library (`agrees`) before it
// is used. Models that are more than sums of plain trees (dart, linear, by categories, objectives
// that are not known here) stay the library's.
//
// Thread-safety: immutable once it is made.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "engines/tree_ensemble.h"

namespace sluice::engines {

class XgboostTrees {
 public:
  // `json`: of the schema that XGBoost documents ("Introduction to Model IO"). `iterations`: of
  // boosting, 0 for all. Nothing where it is for the library.
  static std::optional<XgboostTrees> read(std::string_view json, std::size_t iterations);

  std::size_t columns() const { return trees_.columns(); }
  std::size_t groups() const { return trees_.groups(); }
  // Rows row by row, answers likewise: `groups` for each.
  void predict(std::span<const float> rows, std::span<float> answers) const;

  // `library` answers the same rows, or nothing. They are made of the trees' own thresholds, what
  // lies next to them, and missing values.
  using Library = std::function<std::span<const float>(std::span<const float> rows)>;
  bool agrees(const Library& library) const;

 private:
  enum class Link { kIdentity, kLogistic, kSoftmax };
  static std::optional<Link> link_of(std::string_view objective);
  XgboostTrees(TreeEnsemble trees, Link link, float base)
      : trees_(std::move(trees)), link_(link), base_(base) {}

  TreeEnsemble trees_;
  Link link_;
  float base_;  // what each sum begins with
};

}  // namespace sluice::engines
