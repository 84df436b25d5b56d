#include "tools/compress/calibration.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace sluice::tools::compress {
namespace {

// Pairs of bins become one.
void halve(std::vector<std::uint64_t>& bins) {
  const std::size_t half = bins.size() / 2;
  for (std::size_t i = 0; i < half; ++i) bins[i] = bins[2 * i] + bins[2 * i + 1];
  std::fill(bins.begin() + static_cast<std::ptrdiff_t>(half), bins.end(), 0);
}

// How many bins remain when from the last one downwards at most `spare` values are left out, on one
// side and then, of what is left, on the other.
std::size_t kept(std::span<const std::uint64_t> bins, double& spare) {
  std::size_t out = bins.size();
  while (out > 0 && static_cast<double>(bins[out - 1]) <= spare) {
    spare -= static_cast<double>(bins[out - 1]);
    --out;
  }
  return out;
}

// The edge of what is left of all bins, from one end: positive on the side where it begins.
double edge(std::span<const std::uint64_t> near, std::span<const std::uint64_t> far, double width,
            double spare) {
  const std::size_t left = kept(near, spare);
  if (left > 0) return static_cast<double>(left) * width;
  // All of this side may go: the edge lies on the other, whose first bins go first.
  std::size_t gone = 0;
  while (gone < far.size() && static_cast<double>(far[gone]) <= spare) {
    spare -= static_cast<double>(far[gone]);
    ++gone;
  }
  return -static_cast<double>(gone) * width;
}

// Σ p · log(p / q) over the first `count` bins, of which the last has what lies beyond as well; q
// is p in `steps` steps, each spread evenly over those of its bins that have something.
double divergence(std::span<const std::uint64_t> bins, std::size_t count, std::size_t steps,
                  std::uint64_t beyond) {
  double all = static_cast<double>(beyond);
  double inside = 0;
  for (std::size_t i = 0; i < count; ++i) inside += static_cast<double>(bins[i]);
  all += inside;
  if (inside == 0) return std::numeric_limits<double>::infinity();
  double out = 0;
  for (std::size_t step = 0; step < steps; ++step) {
    const std::size_t from = step * count / steps;
    const std::size_t to = (step + 1) * count / steps;
    double sum = 0;
    double filled = 0;
    for (std::size_t i = from; i < to; ++i) {
      sum += static_cast<double>(bins[i]);
      filled += bins[i] > 0 ? 1 : 0;
    }
    for (std::size_t i = from; i < to; ++i) {
      const bool last = i + 1 == count;
      const double p =
          (static_cast<double>(bins[i]) + static_cast<double>(last ? beyond : 0)) / all;
      if (p == 0) continue;
      // Nothing in the last bin but what lies beyond: q has nothing there, which is no candidate.
      if (bins[i] == 0) return std::numeric_limits<double>::infinity();
      out += p * std::log(p / (sum / filled / inside));
    }
  }
  return out;
}

Range within(const Histogram& histogram, double low, double high) {
  Range out;
  out.low = std::max(histogram.low(), static_cast<float>(low));
  out.high = std::min(histogram.high(), static_cast<float>(high));
  return out;
}

}  // namespace

void Histogram::reach(float magnitude) {
  if (width_ == 0) {
    int exponent = 0;
    std::frexp(magnitude, &exponent);  // magnitude < 2^exponent
    width_ = std::ldexp(1.0, exponent) / static_cast<double>(kBins);
  }
  while (magnitude >= width_ * static_cast<double>(kBins)) {
    halve(below_);
    halve(above_);
    width_ *= 2;
  }
}

void Histogram::add(std::span<const float> values) {
  if (values.empty()) return;
  const auto [least, largest] = std::ranges::minmax(values);
  // Adding 0 makes 0 of -0.
  low_ = (count_ == 0 ? least : std::min(low_, least)) + 0.0F;
  high_ = (count_ == 0 ? largest : std::max(high_, largest)) + 0.0F;
  count_ += values.size();
  const float magnitude = std::max(std::fabs(least), std::fabs(largest));
  if (magnitude > 0) reach(magnitude);
  // Zeros alone: any width will do.
  const double bins = width_ == 0 ? 0 : 1 / width_;
  for (const float value : values) {
    const auto bin = static_cast<std::size_t>(std::fabs(static_cast<double>(value)) * bins);
    ++(value < 0 ? below_ : above_)[bin];
  }
}

Range min_max(const Histogram& histogram) { return {histogram.low(), histogram.high()}; }

Range percentile(const Histogram& histogram, double percent) {
  const double spare = (100 - percent) / 200 * static_cast<double>(histogram.count());
  const double high = edge(histogram.above(), histogram.below(), histogram.width(), spare);
  const double low = -edge(histogram.below(), histogram.above(), histogram.width(), spare);
  return within(histogram, low, high);
}

std::size_t entropy_bins(std::span<const std::uint64_t> magnitudes, std::size_t steps) {
  std::uint64_t beyond = 0;
  for (const auto count : magnitudes.subspan(std::min(steps, magnitudes.size()))) beyond += count;
  std::size_t best = magnitudes.size();
  double least = std::numeric_limits<double>::infinity();
  for (std::size_t count = steps; count <= magnitudes.size(); ++count) {
    const double now = divergence(magnitudes, count, steps, beyond);
    if (now < least) {
      least = now;
      best = count;
    }
    if (count < magnitudes.size()) beyond -= magnitudes[count];
  }
  return best;
}

Range entropy(const Histogram& histogram) {
  std::vector<std::uint64_t> magnitudes(histogram.above().begin(), histogram.above().end());
  for (std::size_t i = 0; i < magnitudes.size(); ++i) magnitudes[i] += histogram.below()[i];
  // Zeros are exact whatever the range is, and of Relus there are so many that they would hide the
  // rest: as in NVIDIA's pytorch-quantization (calib/histogram.py), the first bin counts no more
  // than its neighbour.
  magnitudes[0] = std::min(magnitudes[0], magnitudes[1]);
  const std::size_t steps = histogram.low() < 0 && histogram.high() > 0 ? 128 : 255;
  const double threshold = static_cast<double>(entropy_bins(magnitudes, steps)) * histogram.width();
  return within(histogram, -threshold, threshold);
}

}  // namespace sluice::tools::compress
