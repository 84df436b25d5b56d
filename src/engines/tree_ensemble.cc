#include "engines/tree_ensemble.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <memory>
#include <new>

namespace sluice::engines {
namespace {

// Rows that a tree is walked for before the next one: it stays in the first cache meanwhile.
constexpr std::size_t kBlock = 64;
// Of them, side by side.
constexpr std::size_t kAbreast = 16;
// Features whose values of sixteen rows stay in the second cache.
constexpr std::size_t kMostTested = 4096;

constexpr std::uint32_t kNone = std::numeric_limits<std::uint32_t>::max();

struct Freed {
  void operator()(float* values) const {
    ::operator delete[](values, std::align_val_t{kMaskRows * sizeof(float)});
  }
};

}  // namespace

std::optional<TreeEnsemble> TreeEnsemble::make(std::span<const Tree> trees, std::size_t columns,
                                               std::size_t groups) {
  TreeEnsemble out;
  out.columns_ = columns;
  out.groups_ = groups;
  out.column_of_.assign(columns, kNone);
  for (const auto& tree : trees) {
    if (!out.place(tree)) return std::nullopt;
  }
  return out;
}

// Level by level, so that brothers are neighbours.
bool TreeEnsemble::place(const Tree& tree) {
  const std::size_t count = tree.left.size();
  const bool whole = count > 0 && tree.right.size() == count && tree.feature.size() == count &&
                     tree.value.size() == count && tree.missing_left.size() == count;
  if (!whole || tree.group >= groups_) return false;
  struct Waiting {
    std::size_t node;
    std::size_t depth;
  };
  std::vector<Waiting> order{{0, 0}};
  std::vector<bool> seen(count);
  std::size_t leaves = 0;
  const std::size_t first = nodes_.size();
  for (std::size_t at = 0; at < order.size(); ++at) {
    const auto [node, depth] = order[at];
    if (seen[node]) return false;
    seen[node] = true;
    if (tree.left[node] < 0) {
      ++leaves;
      nodes_.push_back({tree.value[node], static_cast<std::uint32_t>(at), 0, 0, 0});
      continue;
    }
    const auto left = static_cast<std::size_t>(tree.left[node]);
    const auto right = static_cast<std::size_t>(tree.right[node]);
    const bool fits = tree.right[node] >= 0 && left < count && right < count &&
                      tree.feature[node] < columns_ && !std::isnan(tree.value[node]);
    if (!fits) return false;
    nodes_.push_back({tree.value[node], static_cast<std::uint32_t>(order.size()),
                      tree.feature[node], 1, static_cast<std::uint8_t>(!tree.missing_left[node])});
    order.push_back({left, depth + 1});
    order.push_back({right, depth + 1});
  }
  trees_.push_back({first, order.back().depth, tree.group, {}});
  if (leaves <= kMaskLeaves) make_masks(trees_.back(), leaves);
  return true;
}

std::uint32_t TreeEnsemble::column_of(std::uint32_t feature) {
  auto& column = column_of_[feature];
  if (column == kNone) {
    column = static_cast<std::uint32_t>(tested_.size());
    tested_.push_back(feature);
  }
  return column;
}

void TreeEnsemble::make_masks(Place& place, std::size_t leaves) {
  place.masks.leaves.reserve(leaves);
  // From left to right; the bits of the leaves below it.
  const auto visit = [&](const auto& self, std::uint32_t at) -> std::uint32_t {
    const Node& node = nodes_[place.first + at];
    if (node.splits == 0) {
      place.masks.leaves.push_back(node.value);
      return std::uint32_t{1} << (place.masks.leaves.size() - 1);
    }
    const auto left = self(self, node.left);
    auto& tests = node.missing_right ? place.masks.missing_right : place.masks.missing_left;
    tests.push_back({node.value, column_of(node.feature), ~left});
    return left | self(self, node.left + 1);
  };
  visit(visit, 0);
}

// `columns`: room for the values that are tested.
void TreeEnsemble::add_sixteen(const float* rows, float* columns, float* sums) const {
  for (std::size_t i = 0; i < tested_.size(); ++i) {
    for (std::size_t row = 0; row < kMaskRows; ++row) {
      columns[i * kMaskRows + row] = rows[row * columns_ + tested_[i]];
    }
  }
  for (const auto& tree : trees_) {
    if (!tree.masks.leaves.empty()) {
      add_leaves(tree.masks, columns, sums + tree.group, groups_);
    } else {
      walk<true, kMaskRows>(tree, rows, sums);
    }
  }
}

template <bool kMissing, std::size_t kRows>
void TreeEnsemble::walk(const Place& tree, const float* rows, float* sums) const {
  const Node* const nodes = nodes_.data() + tree.first;
  const std::size_t columns = columns_;
  // Unrolled, so that where each row stands is in a register.
  std::uint32_t at[kRows] = {};  // NOLINT(modernize-avoid-c-arrays): without checks
  for (std::size_t step = 0; step < tree.depth; ++step) {
#pragma GCC unroll 16
    for (std::size_t row = 0; row < kRows; ++row) {
      const Node& node = nodes[at[row]];
      const float value = rows[row * columns + node.feature];
      std::uint32_t right = !(value < node.value);
      if constexpr (kMissing) right = value != value ? node.missing_right : right;
      at[row] = node.left + (right & node.splits);
    }
  }
#pragma GCC unroll 16
  for (std::size_t row = 0; row < kRows; ++row) {
    sums[row * groups_ + tree.group] += nodes[at[row]].value;
  }
}

template <bool kMissing>
void TreeEnsemble::add_block(const float* rows, std::size_t count, float* sums) const {
  for (const auto& tree : trees_) {
    std::size_t row = 0;
    for (; row + kAbreast <= count; row += kAbreast) {
      walk<kMissing, kAbreast>(tree, rows + row * columns_, sums + row * groups_);
    }
    for (; row < count; ++row) walk<kMissing, 1>(tree, rows + row * columns_, sums + row * groups_);
  }
}

void TreeEnsemble::add(std::span<const float> rows, std::span<float> sums) const {
  const std::size_t count = sums.size() / groups_;
  std::size_t row = 0;
  if (!tested_.empty() && tested_.size() <= kMostTested && count >= kMaskRows) {
    const std::size_t room = tested_.size() * kMaskRows;
    const std::unique_ptr<float[], Freed> columns(
        new (std::align_val_t{kMaskRows * sizeof(float)}) float[room]);
    for (; row + kMaskRows <= count; row += kMaskRows) {
      add_sixteen(rows.data() + row * columns_, columns.get(), sums.data() + row * groups_);
    }
  }
  for (; row < count; row += kBlock) {
    const std::size_t block = std::min(kBlock, count - row);
    const auto values = rows.subspan(row * columns_, block * columns_);
    float* const to = sums.data() + row * groups_;
    // No branch: many values at once.
    bool missing = false;
    for (const float value : values) missing |= value != value;
    if (missing) {
      add_block<true>(values.data(), block, to);
    } else {
      add_block<false>(values.data(), block, to);
    }
  }
}

std::vector<std::vector<float>> TreeEnsemble::thresholds() const {
  std::vector<std::vector<float>> out(columns_);
  for (const auto& node : nodes_) {
    if (node.splits != 0) out[node.feature].push_back(node.value);
  }
  return out;
}

}  // namespace sluice::engines
