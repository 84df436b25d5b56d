// Trees of up to 32 leaves, for sixteen rows at a time and without a walk.
//
// Every test of a tree is made for all rows at once. One that sends a row to the right rules out
// the leaves on its left, which are bits; the leftmost leaf that is left over is the row's
// (Lucchese and others, "QuickScorer", SIGIR 2015; with vectors: "Exploiting CPU SIMD Extensions to
// Speed-up Document Scoring with Tree Ensembles", SIGIR 2016). With AVX2 or AVX-512 where the
// processor has it.
//
// Thread-safety: plain values, and a function without state.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace sluice::engines {

inline constexpr std::size_t kMaskRows = 16;
inline constexpr std::size_t kMaskLeaves = 32;

struct MaskTest {
  float threshold;
  std::uint32_t column;
  std::uint32_t keep;  // the leaves that are not on its left
};

struct MaskTree {
  // A missing value goes to the right, or to the left.
  std::vector<MaskTest> missing_right;
  std::vector<MaskTest> missing_left;
  std::vector<float> leaves;  // from left to right
};

// `columns`: kMaskRows values for each, aligned to 64 bytes. Adds the leaf of each row to its sum;
// sums are `stride` apart.
void add_leaves(const MaskTree& tree, const float* columns, float* sums, std::size_t stride);

}  // namespace sluice::engines
