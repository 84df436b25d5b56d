// The range of an activation, from what was seen of it: histograms and three ways to choose.
//
// Thread-safety: a Histogram has one owner; the functions have no state.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace sluice::tools::compress {

struct Range {
  float low = 0;
  float high = 0;
};

// Counts of values by magnitude, those below zero apart from the others. It grows with what it
// sees: where a value is beyond, the width of all bins doubles and pairs of them become one, so it
// is the same whatever the order of the values was.
class Histogram {
 public:
  static constexpr std::size_t kBins = 2048;  // on each side

  // Values must be finite.
  void add(std::span<const float> values);

  std::uint64_t count() const { return count_; }
  float low() const { return low_; }    // the least value, 0 where there is none
  float high() const { return high_; }  // the largest
  // Of a bin; a power of two. Bin i has magnitudes in [i · width, (i + 1) · width).
  double width() const { return width_; }
  std::span<const std::uint64_t> below() const { return below_; }  // zero
  std::span<const std::uint64_t> above() const { return above_; }  // and zero itself

 private:
  void reach(float magnitude);

  std::uint64_t count_ = 0;
  float low_ = 0;
  float high_ = 0;
  double width_ = 0;  // 0: no value but zeros so far
  std::vector<std::uint64_t> below_ = std::vector<std::uint64_t>(kBins);
  std::vector<std::uint64_t> above_ = std::vector<std::uint64_t>(kBins);
};

// All that was seen.
Range min_max(const Histogram& histogram);

// The narrowest range of whole bins that leaves out no more than (100 − percent) / 2 percent of the
// values at either end, within what was seen.
Range percentile(const Histogram& histogram, double percent);

// The threshold of magnitudes at which values, clipped there and put into as many steps as 8 bits
// have on a side, differ least in distribution from what they were: the least Kullback-Leibler
// divergence, as TensorRT chooses it (S. Migacz, 8-bit Inference with TensorRT, GTC 2017). 128
// steps where there are values on both sides of zero, else 255.
Range entropy(const Histogram& histogram);

// The number of bins, from `steps` to all, at which `magnitudes` are best clipped.
std::size_t entropy_bins(std::span<const std::uint64_t> magnitudes, std::size_t steps);

}  // namespace sluice::tools::compress
