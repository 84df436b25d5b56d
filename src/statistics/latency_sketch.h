// Quantiles of durations in bounded memory: a histogram whose buckets are 1/64 of an octave wide,
// so that a quantile is off by at most 0.55 % of its value.
//
// Thread-safety: one owner.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::statistics {

class LatencySketch {
 public:
  void add(double millis) {
    ++counts_[bucket(millis)];
    ++total_;
  }
  std::uint64_t count() const { return total_; }
  // 0 where there is nothing. `q`: 0 to 1.
  double quantile(double q) const;
  // No less than the quantile, so that what equals it is not above it.
  double upper_quantile(double q) const;
  void merge(const LatencySketch& other);

  // "bucket:count,…" of those that are not empty.
  std::string text() const;
  // What cannot be read counts as nothing.
  void restore(std::string_view text);

 private:
  static constexpr int kPerOctave = 64;
  static constexpr int kOctaves = 40;  // from 2^-14 ms, 60 ns, to 2^26 ms, 18 hours

  static std::size_t bucket(double millis);
  static double value(double bucket);
  std::size_t bucket_of(double q) const;

  std::vector<std::uint64_t> counts_ = std::vector<std::uint64_t>(kPerOctave * kOctaves);
  std::uint64_t total_ = 0;
};

}  // namespace sluice::statistics
