#include "tools/compress/magnitude.h"

#include <bit>

namespace sluice::tools::compress {
namespace {

constexpr std::size_t kBuckets = std::size_t{1} << 16;

std::uint32_t magnitude_bits(float value) { return std::bit_cast<std::uint32_t>(value) << 1 >> 1; }

struct Place {
  std::size_t bucket = 0;
  std::uint64_t inside = 0;  // how many are wanted of this bucket
};

// The bucket in which the `wanted`-th lies; the last where there are fewer.
Place place_of(std::span<const std::uint64_t> counts, std::uint64_t wanted) {
  for (std::size_t i = 0; i < counts.size(); ++i) {
    if (wanted <= counts[i]) return {i, wanted};
    wanted -= counts[i];
  }
  return {counts.size() - 1, counts.back()};
}

}  // namespace

LeastOf::LeastOf(std::uint64_t wanted) : wanted_(wanted), highs_(kBuckets), lows_(kBuckets) {}

void LeastOf::count(std::span<const float> values) {
  for (const float value : values) ++highs_[magnitude_bits(value) >> 16];
}

void LeastOf::choose_high() {
  const auto place = place_of(highs_, wanted_);
  high_ = static_cast<std::uint32_t>(place.bucket);
  inside_ = place.inside;
  chosen_ = true;
}

void LeastOf::refine(std::span<const float> values) {
  if (!chosen_) choose_high();
  for (const float value : values) {
    const auto bits = magnitude_bits(value);
    if (bits >> 16 == high_) ++lows_[bits & 0xFFFF];
  }
}

Threshold LeastOf::threshold() const {
  const auto place = place_of(lows_, inside_);
  return {high_ << 16 | static_cast<std::uint32_t>(place.bucket), place.inside};
}

bool takes(Threshold& threshold, float value) {
  const auto bits = magnitude_bits(value);
  if (bits != threshold.bits) return bits < threshold.bits;
  if (threshold.ties == 0) return false;
  --threshold.ties;
  return true;
}

}  // namespace sluice::tools::compress
