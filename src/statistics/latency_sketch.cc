#include "statistics/latency_sketch.h"

#include <algorithm>
#include <cmath>

#include "base/text.h"

namespace sluice::statistics {
namespace {

constexpr double kLowest = -14;  // log2 of the least duration in ms

}  // namespace

std::size_t LatencySketch::bucket(double millis) {
  if (!(millis > 0)) return 0;
  const double place = (std::log2(millis) - kLowest) * kPerOctave;
  return static_cast<std::size_t>(std::clamp(place, 0.0, double{kPerOctave * kOctaves - 1}));
}

double LatencySketch::value(double bucket) { return std::exp2(bucket / kPerOctave + kLowest); }

std::size_t LatencySketch::bucket_of(double q) const {
  const auto rank = static_cast<std::uint64_t>(q * static_cast<double>(total_ - 1));
  std::uint64_t before = 0;
  for (std::size_t i = 0; i < counts_.size(); ++i) {
    before += counts_[i];
    if (before > rank) return i;
  }
  return counts_.size() - 1;
}

double LatencySketch::quantile(double q) const {
  return total_ == 0 ? 0 : value(static_cast<double>(bucket_of(q)) + 0.5);
}

double LatencySketch::upper_quantile(double q) const {
  return total_ == 0 ? 0 : value(static_cast<double>(bucket_of(q)) + 1);
}

void LatencySketch::merge(const LatencySketch& other) {
  for (std::size_t i = 0; i < counts_.size(); ++i) counts_[i] += other.counts_[i];
  total_ += other.total_;
}

std::string LatencySketch::text() const {
  std::string out;
  for (std::size_t i = 0; i < counts_.size(); ++i) {
    if (counts_[i] == 0) continue;
    if (!out.empty()) out += ',';
    out += std::to_string(i) + ":" + std::to_string(counts_[i]);
  }
  return out;
}

void LatencySketch::restore(std::string_view text) {
  std::ranges::fill(counts_, 0);
  total_ = 0;
  for (const auto piece : split(text, ',')) {
    const auto colon = piece.find(':');
    if (colon == std::string_view::npos) continue;
    const auto place = parse_uint(piece.substr(0, colon));
    const auto count = parse_uint(piece.substr(colon + 1));
    if (!place || !count || *place >= counts_.size()) continue;
    counts_[*place] += *count;
    total_ += *count;
  }
}

}  // namespace sluice::statistics
