#include "engines/tree_masks.h"

#include <bit>
#include <cstring>

#include "base/always_inline.h"

namespace sluice::engines {
namespace {

// A register with AVX-512, two with AVX2, four with what every processor has.
using Floats = float __attribute__((vector_size(4 * kMaskRows)));
using Bits = std::uint32_t __attribute__((vector_size(4 * kMaskRows)));

SLUICE_ALWAYS_INLINE void add(const MaskTree& tree, const float* columns, float* sums,
                              std::size_t stride) {
  const auto* const values = reinterpret_cast<const Floats*>(columns);
  Bits left = ~Bits{};
  for (const auto& test : tree.missing_right) {
    left &= reinterpret_cast<Bits>(values[test.column] < test.threshold) | test.keep;
  }
  for (const auto& test : tree.missing_left) {
    left &= ~reinterpret_cast<Bits>(values[test.column] >= test.threshold) | test.keep;
  }
  alignas(Bits) std::uint32_t each[kMaskRows];  // NOLINT(modernize-avoid-c-arrays): without checks
  std::memcpy(each, &left, sizeof each);
  const float* const leaves = tree.leaves.data();
#pragma GCC unroll 16
  for (std::size_t row = 0; row < kMaskRows; ++row) {
    sums[row * stride] += leaves[std::countr_zero(each[row])];
  }
}

void add_anywhere(const MaskTree& tree, const float* columns, float* sums, std::size_t stride) {
  add(tree, columns, sums, stride);
}

#if defined(__x86_64__)
__attribute__((target("avx2,bmi"))) void add_avx2(const MaskTree& tree, const float* columns,
                                                  float* sums, std::size_t stride) {
  add(tree, columns, sums, stride);
}

__attribute__((target("avx512f,bmi"))) void add_avx512(const MaskTree& tree, const float* columns,
                                                       float* sums, std::size_t stride) {
  add(tree, columns, sums, stride);
}
#endif

auto* best() {
#if defined(__x86_64__)
  const bool counts = __builtin_cpu_supports("bmi");
  if (counts && __builtin_cpu_supports("avx512f")) return add_avx512;
  if (counts && __builtin_cpu_supports("avx2")) return add_avx2;
#endif
  return add_anywhere;
}

}  // namespace

void add_leaves(const MaskTree& tree, const float* columns, float* sums, std::size_t stride) {
  static auto* const kAdd = best();
  kAdd(tree, columns, sums, stride);
}

}  // namespace sluice::engines
