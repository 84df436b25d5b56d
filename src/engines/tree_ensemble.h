// Sums of regression trees, walked several rows at a time.
//
// A walk through a tree is a chain of loads and of branches that nobody can foretell. Here a step
// has no branch (a leaf leads to itself, and every row makes as many steps as the tree is deep),
// and rows take their steps side by side, so that one row's loads do not wait for another's.
//
// Thread-safety: immutable once it is made.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "engines/tree_masks.h"

namespace sluice::engines {

// As model files have it: nodes by number, the first is the root.
struct Tree {
  std::vector<std::int32_t> left;  // -1: it is a leaf
  std::vector<std::int32_t> right;
  std::vector<std::uint32_t> feature;
  std::vector<float> value;  // of a leaf; else a row goes left if its feature is less
  std::vector<std::uint8_t> missing_left;
  std::size_t group = 0;  // which sum it belongs to
};

class TreeEnsemble {
 public:
  // Nothing where a tree is none: a node without or with two parents, a feature beyond `columns`, a
  // group beyond `groups`.
  static std::optional<TreeEnsemble> make(std::span<const Tree> trees, std::size_t columns,
                                          std::size_t groups);

  std::size_t columns() const { return columns_; }
  std::size_t groups() const { return groups_; }
  // Row by row. A NaN is a missing value. To each of `sums` (rows × groups) every tree of its group
  // is added, in the order in which they were given, in single precision.
  void add(std::span<const float> rows, std::span<float> sums) const;

  // Of each column, the values that rows are held against.
  std::vector<std::vector<float>> thresholds() const;

 private:
  struct Node {
    float value;
    std::uint32_t left;  // in the tree; its right one follows it. A leaf's is itself
    std::uint32_t feature;
    std::uint8_t splits;  // 0 for a leaf
    std::uint8_t missing_right;
  };
  struct Place {
    std::size_t first;  // node
    std::size_t depth;
    std::size_t group;
    MaskTree masks;  // without leaves: it has too many, and is walked
  };

  bool place(const Tree& tree);
  void make_masks(Place& place, std::size_t leaves);
  std::uint32_t column_of(std::uint32_t feature);
  void add_sixteen(const float* rows, float* columns, float* sums) const;
  template <bool kMissing>
  void add_block(const float* rows, std::size_t count, float* sums) const;
  template <bool kMissing, std::size_t kRows>
  void walk(const Place& tree, const float* rows, float* sums) const;

  std::size_t columns_ = 0;
  std::size_t groups_ = 0;
  std::vector<Node> nodes_;
  std::vector<Place> trees_;
  std::vector<std::uint32_t> tested_;     // features that masks test; their places are columns
  std::vector<std::uint32_t> column_of_;  // of each feature, if it has one
};

}  // namespace sluice::engines
