#include "statistics/drift.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "statistics/kolmogorov_smirnov.h"

namespace sluice::statistics {
namespace {

constexpr double kBins = 10;
constexpr double kInfinity = std::numeric_limits<double>::infinity();
// Rows that shares are smoothed as if they were of: the least share is then 1 in 10,000.
constexpr double kMostSmoothed = 5000;
// Training statistics do not say how many rows they are of.
constexpr double kUnknownRows = 500;
// Of the standard normal: 1 in 100,000.
constexpr double kRare = 4.2649;

// Of a chi-squared number, by Wilson and Hilferty (PNAS 17, 1931).
double rare_chi_squared(double degrees) {
  const double part = 2 / (9 * degrees);
  const double root = 1 - part + kRare * std::sqrt(part);
  return degrees * root * root * root;
}

double sum_of(const std::vector<std::uint64_t>& counts) {
  return static_cast<double>(std::accumulate(counts.begin(), counts.end(), std::uint64_t{0}));
}

// Equal neighbours among quantiles.
struct Tie {
  double value;
  bool single;   // several of one value
  double below;  // share of values up to and including this one
  double slack;  // by how much that may be off
};

// Between two neighbours that differ, the distribution function reaches the first one's share
// somewhere; where both are rare values, at the first one.
std::vector<Tie> ties_of(std::span<const double> quantiles) {
  const auto last = static_cast<double>(quantiles.size() - 1);
  const auto equal = [&](std::size_t i) {
    return i + 1 < quantiles.size() && quantiles[i] == quantiles[i + 1];
  };
  std::vector<Tie> out;
  for (std::size_t i = 0; i < quantiles.size(); ++i) {
    if (equal(i)) continue;
    const bool single = i > 0 && equal(i - 1);
    const bool unsure = i < last && (single || equal(i + 1));
    const double half = unsure ? 0.5 / last : 0;
    out.push_back({quantiles[i], single, static_cast<double>(i) / last + half, half});
  }
  return out;
}

// To steps of a hundredth; the first and the last stay.
std::vector<Tie> thinned(std::vector<Tie> ties) {
  if (ties.size() <= 101) return ties;
  std::vector<Tie> out{ties.front()};
  for (std::size_t i = 1; i < ties.size(); ++i) {
    const bool far = ties[i].below - out.back().below >= 0.01 - 1e-9;
    if (far || i + 1 == ties.size()) out.push_back(ties[i]);
  }
  return out;
}

bool rising(std::span<const double> quantiles) {
  return quantiles.size() >= 2 && std::ranges::is_sorted(quantiles) &&
         std::ranges::none_of(quantiles, [](double value) { return std::isnan(value); });
}

}  // namespace

void Reference::add_edge(double value, double below, bool single, double slack) {
  edges_.push_back(value);
  below_.push_back(below);
  single_.push_back(single);
  slack_.push_back(slack);
}

double Reference::mass(std::size_t bin) const {
  if (bin == edges_.size()) return 1 - below_.back();
  return below_[bin] - (bin == 0 ? 0 : below_[bin - 1]);
}

bool Reference::heavy(std::size_t bin) const {
  return bin < edges_.size() && single_[bin] && (classes_ || mass(bin) >= 1 / kBins);
}

// Fine bins to about ten. What lies beyond an end that is common is a bin of its own, and else
// belongs to the outermost tenth.
void Reference::merge_bins() {
  std::vector<bool> alone;
  merged_.assign(bins(), 0);
  merged_mass_.clear();
  for (std::size_t bin = 0; bin < bins(); ++bin) {
    const bool top = bin == edges_.size();
    const bool apart = (bin == 0 && low_common_) || (top && high_common_) || heavy(bin);
    const bool joins = !apart && !alone.empty() && !alone.back() &&
                       (top || merged_mass_.back() < 1 / kBins - 1e-9);
    if (!joins) {
      merged_mass_.push_back(0);
      alone.push_back(apart);
    }
    merged_[bin] = merged_mass_.size() - 1;
    merged_mass_.back() += mass(bin);
  }
  join_small_rest(alone);
  if (merged_mass_.size() > 1 || edges_.size() < 2) return;
  // Hardly more than a range is known: then that is what is looked at.
  merged_.assign(bins(), 1);
  merged_.front() = 0;
  merged_.back() = 2;
  merged_mass_ = {below_.front(), below_.back() - below_.front(), 1 - below_.back()};
}

void Reference::join_small_rest(const std::vector<bool>& alone) {
  const std::size_t last = merged_mass_.size() - 1;
  if (last == 0 || alone[last] || alone[last - 1] || merged_mass_[last] >= 0.5 / kBins) return;
  for (auto& place : merged_) place = std::min(place, last - 1);
  merged_mass_[last - 1] += merged_mass_[last];
  merged_mass_.pop_back();
}

Reference Reference::of_quantiles(std::span<const double> quantiles, double missing, double rows) {
  Reference out;
  if (!rising(quantiles)) return out;
  const auto ties = thinned(ties_of(quantiles));
  out.low_common_ = ties.front().single;
  out.high_common_ = ties.back().single;
  if (out.low_common_) {
    out.add_edge(std::nextafter(ties.front().value, -kInfinity), 0, false, 0);
  }
  for (const Tie& tie : ties) out.add_edge(tie.value, tie.below, tie.single, tie.slack);
  out.rows_ = rows;
  out.missing_ = missing;
  out.median_ = quantiles[(quantiles.size() - 1) / 2];
  out.merge_bins();
  return out;
}

Reference Reference::of_classes(std::span<const double> shares, double rows) {
  Reference out;
  const std::size_t count = std::min(shares.size(), kMostClasses);
  const double sum = std::accumulate(shares.begin(), shares.end(), 0.0);
  if (count == 0 || !(sum > 0) || !std::isfinite(sum)) return out;
  out.classes_ = true;
  out.rows_ = rows;
  double below = 0;
  for (std::size_t i = 0; i < count; ++i) {
    below += shares[i] / sum;
    // The last place has all that lie beyond.
    out.add_edge(static_cast<double>(i), i + 1 == count ? 1.0 : below, true, 0);
  }
  out.merge_bins();
  return out;
}

Reference Reference::of_sample(std::span<const double> values, std::size_t classes) {
  std::vector<double> there;
  std::ranges::copy_if(values, std::back_inserter(there),
                       [](double value) { return !std::isnan(value); });
  if (there.empty()) return {};
  const auto rows = static_cast<double>(values.size());
  if (classes > 0) {
    std::vector<double> shares(classes);
    for (const double value : there) {
      const auto last = static_cast<double>(classes - 1);
      shares[static_cast<std::size_t>(std::clamp(value, 0.0, last))] += 1;
    }
    return of_classes(shares, rows);
  }
  std::ranges::sort(there);
  const std::size_t last = there.size() - 1;
  const std::size_t steps = std::clamp<std::size_t>(last, 1, 100);
  std::vector<double> quantiles;
  for (std::size_t i = 0; i <= steps; ++i)
    quantiles.push_back(there[(i * last + steps / 2) / steps]);
  return of_quantiles(quantiles, 1 - static_cast<double>(there.size()) / rows, rows);
}

std::size_t Reference::bin_of(double value) const {
  if (std::isnan(value)) return bins();
  const auto edge = std::ranges::lower_bound(edges_, value);
  const auto bin = static_cast<std::size_t>(edge - edges_.begin());
  return classes_ ? std::min(bin, edges_.size() - 1) : bin;
}

void LiveColumn::add(double value, std::chrono::nanoseconds now) {
  Part* part = parts_.at(now);
  if (part == nullptr) return;
  if (part->counts.empty()) part->counts.resize(reference_.bins() + 1);
  const std::size_t bin = reference_.bin_of(value);
  if (part->counts[bin] == std::numeric_limits<std::uint32_t>::max()) return;
  ++part->counts[bin];
  const bool outer = bin == 0 || bin == reference_.edges_.size();
  if (!outer || reference_.classes_) return;
  // Vitter's algorithm R.
  ++part->far_seen;
  if (part->far.size() < kFar) {
    part->far.push_back(value);
  } else if (const auto place = random_.below(part->far_seen); place < kFar) {
    part->far[place] = value;
  }
}

std::vector<std::uint64_t> LiveColumn::counts(std::chrono::nanoseconds now) const {
  std::vector<std::uint64_t> out(reference_.bins() + 1);
  parts_.each(now, [&](const Part& part) {
    for (std::size_t i = 0; i < part.counts.size(); ++i) out[i] += part.counts[i];
  });
  return out;
}

std::uint64_t LiveColumn::rows(std::chrono::nanoseconds now) const {
  return static_cast<std::uint64_t>(sum_of(counts(now)));
}

Drift LiveColumn::drift(std::chrono::nanoseconds now) const {
  const auto counted = counts(now);
  Drift out;
  out.rows = static_cast<std::uint64_t>(sum_of(counted));
  out.reference_missing = reference_.missing_;
  out.reference_median = reference_.median_;
  if (out.rows == 0) return out;
  out.missing = static_cast<double>(counted.back()) / static_cast<double>(out.rows);
  fill_psi(counted, out);
  if (reference_.classes_) {
    fill_shares(counted, out);
  } else {
    fill_ks(counted, out);
    out.median = median(counted, now);
  }
  return out;
}

void LiveColumn::fill_psi(const std::vector<std::uint64_t>& counts, Drift& out) const {
  const double rows = sum_of(counts);
  const double there = 1 - reference_.missing_;
  std::vector<double> before;
  for (const double mass : reference_.merged_mass_) before.push_back(mass * there);
  before.push_back(reference_.missing_);
  std::vector<double> now(before.size());
  for (std::size_t bin = 0; bin < reference_.bins(); ++bin) {
    now[reference_.merged_[bin]] += static_cast<double>(counts[bin]) / rows;
  }
  now.back() = static_cast<double>(counts.back()) / rows;
  const double smoothed = std::min(rows, kMostSmoothed);
  const double whole = smoothed + 0.5 * static_cast<double>(now.size());
  double used = 0;
  for (std::size_t i = 0; i < now.size(); ++i) {
    if (now[i] > 0 || before[i] > 1e-12) ++used;
    const double p = (now[i] * smoothed + 0.5) / whole;
    const double r = (std::max(0.0, before[i]) * smoothed + 0.5) / whole;
    out.psi += (p - r) * std::log(p / r);
  }
  const double against = reference_.rows_ > 0 ? reference_.rows_ : kUnknownRows;
  out.psi_by_chance = (1 / rows + 1 / against) * rare_chi_squared(std::max(1.0, used - 1));
}

void LiveColumn::fill_ks(const std::vector<std::uint64_t>& counts, Drift& out) const {
  const double there = sum_of(counts) - static_cast<double>(counts.back());
  if (there == 0) return;
  double below = 0;
  double distance = 0;
  for (std::size_t i = 0; i < reference_.edges_.size(); ++i) {
    below += static_cast<double>(counts[i]) / there;
    distance = std::max(distance, std::abs(below - reference_.below_[i]) - reference_.slack_[i]);
  }
  // Sums of shares end a rounding away from 1.
  if (distance < 1e-12) distance = 0;
  const double against = reference_.rows_;
  const double size = against > 0 ? there * against / (there + against) : there;
  const double root = std::sqrt(size);
  out.ks = distance;
  out.ks_p_value = kolmogorov_beyond((root + 0.12 + 0.11 / root) * distance);
}

void LiveColumn::fill_shares(const std::vector<std::uint64_t>& counts, Drift& out) const {
  const double there = sum_of(counts) - static_cast<double>(counts.back());
  for (std::size_t i = 0; i < reference_.edges_.size(); ++i) {
    out.reference_shares.push_back(reference_.mass(i));
    out.shares.push_back(there == 0 ? 0 : static_cast<double>(counts[i]) / there);
  }
}

// Between two edges as if values were spread evenly.
std::optional<double> LiveColumn::median(const std::vector<std::uint64_t>& counts,
                                         std::chrono::nanoseconds now) const {
  const double there = sum_of(counts) - static_cast<double>(counts.back());
  if (there == 0) return std::nullopt;
  const auto& edges = reference_.edges_;
  double rank = there / 2;
  std::size_t bin = 0;
  while (bin < edges.size() && rank > static_cast<double>(counts[bin])) {
    rank -= static_cast<double>(counts[bin++]);
  }
  const auto inside = static_cast<double>(counts[bin]);
  if (bin < edges.size() && reference_.single_[bin]) return edges[bin];
  if (bin > 0 && bin < edges.size()) {
    return edges[bin - 1] + (edges[bin] - edges[bin - 1]) * rank / inside;
  }
  return far_median(bin > 0, rank / inside, now);
}

// The value at `rank` (0 to 1) of those in one outer bin. A part's sample stands for all of it.
double LiveColumn::far_median(bool above, double rank, std::chrono::nanoseconds now) const {
  std::vector<Weighted> found;
  double sum = 0;
  const double edge = above ? reference_.edges_.back() : reference_.edges_.front();
  parts_.each(now, [&](const Part& part) {
    if (part.far.empty()) return;
    const double weight = static_cast<double>(part.far_seen) / static_cast<double>(part.far.size());
    for (const double value : part.far) {
      if (above != (value > edge)) continue;
      found.push_back({value, weight});
      sum += weight;
    }
  });
  std::ranges::sort(found, {}, &Weighted::value);
  double reached = 0;
  for (const auto& [value, weight] : found) {
    reached += weight;
    if (reached >= rank * sum) return value;
  }
  return edge;  // a part has both kinds, and its sample only the other one
}

}  // namespace sluice::statistics
