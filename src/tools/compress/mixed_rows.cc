#include "tools/compress/mixed_rows.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "base/random.h"

namespace sluice::tools::compress {
namespace {

constexpr std::size_t kDrawn = 8;  // of which the nearest is the neighbour
constexpr double kSpread = 2;      // MUNGE's local variance parameter

struct ColumnFacts {
  float low = std::numeric_limits<float>::infinity();
  float high = -std::numeric_limits<float>::infinity();
  bool whole = true;

  double range() const { return high > low ? static_cast<double>(high) - low : 1; }
};

std::vector<ColumnFacts> facts_of(const TeachingRows& rows) {
  std::vector<ColumnFacts> out(rows.columns);
  for (std::size_t i = 0; i < rows.values.size(); ++i) {
    const float value = rows.values[i];
    if (std::isnan(value)) continue;
    auto& facts = out[i % rows.columns];
    facts.low = std::min(facts.low, value);
    facts.high = std::max(facts.high, value);
    facts.whole = facts.whole && value == std::floor(value);
  }
  return out;
}

class Mixer {
 public:
  Mixer(const TeachingRows& real, std::uint64_t seed)
      : real_(real), facts_(facts_of(real)), random_(seed) {}

  void add(TeachingRows& out) {
    const auto own = real_.row(random_.below(real_.count()));
    const auto other = neighbour(own);
    // How much of the other it takes differs from row to row.
    const double share = random_.uniform();
    for (std::size_t i = 0; i < real_.columns; ++i) {
      out.values.push_back(random_.uniform() < share ? near(other[i], own[i], facts_[i]) : own[i]);
    }
  }

 private:
  std::span<const float> neighbour(std::span<const float> own) {
    std::span<const float> best = own;
    double least = std::numeric_limits<double>::infinity();
    for (std::size_t k = 0; k < kDrawn; ++k) {
      const auto other = real_.row(random_.below(real_.count()));
      if (other.data() == own.data()) continue;
      double distance = 0;
      for (std::size_t i = 0; i < own.size(); ++i) {
        const double off = (own[i] - other[i]) / facts_[i].range();
        if (!std::isnan(off)) distance += off * off;
      }
      if (distance >= least) continue;
      least = distance;
      best = other;
    }
    return best;
  }

  float near(float other, float own, const ColumnFacts& facts) {
    const double apart = std::abs(static_cast<double>(own) - other);
    if (facts.whole || !(apart > 0)) return other;  // NaN too
    const double moved = other + apart / kSpread * normal();
    return std::clamp(static_cast<float>(moved), facts.low, facts.high);
  }

  double normal() {
    const double radius = std::sqrt(-2 * std::log(1 - random_.uniform()));
    return radius * std::cos(2 * std::numbers::pi * random_.uniform());
  }

  const TeachingRows& real_;
  std::vector<ColumnFacts> facts_;
  Random random_;
};

}  // namespace

TeachingRows mixed_rows(const TeachingRows& real, std::size_t count, std::uint64_t seed) {
  TeachingRows out{real.columns, {}};
  if (real.count() == 0) return out;
  out.values.reserve(count * real.columns);
  Mixer mixer(real, seed);
  for (std::size_t i = 0; i < count; ++i) mixer.add(out);
  return out;
}

}  // namespace sluice::tools::compress
