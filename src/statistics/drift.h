// Does a column of live traffic still look as it did in a reference, such as the training data?
//
// A Reference knows the distribution at some edges: quantiles, of which equal ones are one edge
// with all of their mass (a constant column is one edge), or the classes of a label. Live values
// are counted between the edges, in a window that slides in twelve parts; a part that is too old is
// forgotten as a whole, so the window reaches back 11/12 to 12/12 of its length. Memory is bounded
// by the edges: no value is kept but a few far outside of them.
//
// Population stability index: over bins with the shares r in the reference and p now,
//   PSI = sum (p - r) ln(p / r)
// (Jeffreys' divergence; Lewis, "An Introduction to Credit Scoring", 1994; Yurdakul and Naranjo,
// "Statistical properties of the population stability index", J. Risk Model Validation 14, 2020).
// Bins are about a tenth of the reference each; a value with more mass has a bin of its own, and so
// have missing values, and what lies beyond a least or greatest value that is common. Both shares
// are smoothed as if half a row more were in each bin (of the window's rows, at most 5,000), so
// that an empty bin stays finite and equal shares are 0. By chance alone PSI is about
// (1/n + 1/m) times a chi-squared number with one degree of freedom less than bins, for n rows
// against m of the reference (the second source): `psi_by_chance` is what this exceeds in one of
// 100,000 looks.
//
// Kolmogorov-Smirnov: the greatest difference of the distribution functions at the edges, which is
// at most the true one; at an edge whose mass quantiles do not tell exactly, what is certain.
//
// NaN is a missing value; infinities lie beyond every edge. Time is given, in nanoseconds since
// whenever.
//
// Thread-safety: one owner.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/random.h"

namespace sluice::statistics {

class Reference {
 public:
  // Edges that are kept; more quantiles are thinned out.
  static constexpr std::size_t kMostEdges = 104;
  // Classes beyond share the last place.
  static constexpr std::size_t kMostClasses = 256;

  // Nothing is known.
  Reference() = default;
  // Evenly spaced and rising, least and greatest value included, of those that were not missing.
  // Nothing is known of fewer than two, or of what does not rise. `rows`: that they are of, 0 where
  // that is not known.
  static Reference of_quantiles(std::span<const double> quantiles, double missing, double rows);
  // The share of each class.
  static Reference of_classes(std::span<const double> shares, double rows);
  // Of rows that were seen; NaN is missing. `classes`: values are places in a list of so many; 0:
  // they are numbers.
  static Reference of_sample(std::span<const double> values, std::size_t classes);

  bool known() const { return !edges_.empty(); }
  // True: values are classes, which have no order.
  bool classes() const { return classes_; }
  double rows() const { return rows_; }
  double missing() const { return missing_; }
  std::optional<double> median() const { return median_; }
  // Bins of values that are there.
  std::size_t bins() const { return edges_.size() + 1; }
  // The place of a value: up to `bins()`, which is that of a missing one.
  std::size_t bin_of(double value) const;

 private:
  friend class LiveColumn;

  void add_edge(double value, double below, bool single, double slack);
  void merge_bins();
  void join_small_rest(const std::vector<bool>& alone);
  bool heavy(std::size_t bin) const;
  double mass(std::size_t bin) const;

  std::vector<double> edges_;        // bin i ends at (and includes) edge i; the last one is open
  std::vector<double> below_;        // share of values up to and including the edge
  std::vector<double> slack_;        // by how much that may be off
  std::vector<bool> single_;         // the bin's mass is all at its edge
  std::vector<std::size_t> merged_;  // for each bin, its place among the merged ones
  std::vector<double> merged_mass_;
  double rows_ = 0;
  double missing_ = 0;
  std::optional<double> median_;
  bool classes_ = false;
  bool low_common_ = false;  // the least value is common, so that the first bin is below it
  bool high_common_ = false;
};

// Twelve parts of a window of time, of which each is forgotten when it is too old.
template <class Part>
class SlidingParts {
 public:
  static constexpr std::int64_t kParts = 12;

  explicit SlidingParts(std::chrono::nanoseconds window)
      : length_(std::max<std::int64_t>(1, window.count() / kParts)) {}

  // The part of this moment. Time may go back within the window; what is older has no part.
  Part* at(std::chrono::nanoseconds now) {
    const std::int64_t index = now.count() / length_;
    Slot& slot = slots_[static_cast<std::size_t>(index % kParts)];
    if (slot.index > index) return nullptr;
    if (slot.index < index) slot = {index, Part()};
    return &slot.part;
  }
  template <class Visit>
  void each(std::chrono::nanoseconds now, Visit visit) const {
    const std::int64_t index = now.count() / length_;
    for (const Slot& slot : slots_) {
      if (slot.index > index - kParts && slot.index <= index) visit(slot.part);
    }
  }

 private:
  struct Slot {
    std::int64_t index = -1;
    Part part;
  };

  std::int64_t length_;  // of a part, in ns
  std::array<Slot, kParts> slots_;
};

struct Drift {
  std::uint64_t rows = 0;  // in the window, missing ones included
  double psi = 0;
  double psi_by_chance = 0;  // what it hardly ever is above where nothing has changed
  std::optional<double> ks;  // not of classes, which have no order, nor where all is missing
  std::optional<double> ks_p_value;
  double missing = 0;  // share
  double reference_missing = 0;
  std::optional<double> median;
  std::optional<double> reference_median;
  std::vector<double> shares;  // of classes: now, and in the reference
  std::vector<double> reference_shares;
};

// What was seen of one column in the window.
class LiveColumn {
 public:
  // The reference is known.
  LiveColumn(Reference reference, std::chrono::nanoseconds window)
      : reference_(std::move(reference)), parts_(window) {}

  void add(double value, std::chrono::nanoseconds now);
  Drift drift(std::chrono::nanoseconds now) const;
  std::uint64_t rows(std::chrono::nanoseconds now) const;

 private:
  static constexpr std::size_t kFar = 32;

  struct Part {
    std::vector<std::uint32_t> counts;
    std::uint64_t far_seen = 0;  // values in the two outer bins
    std::vector<double> far;     // a fair sample of them, for a median that lies there
  };
  struct Weighted {
    double value;
    double weight;
  };

  std::vector<std::uint64_t> counts(std::chrono::nanoseconds now) const;
  void fill_psi(const std::vector<std::uint64_t>& counts, Drift& out) const;
  void fill_ks(const std::vector<std::uint64_t>& counts, Drift& out) const;
  void fill_shares(const std::vector<std::uint64_t>& counts, Drift& out) const;
  std::optional<double> median(const std::vector<std::uint64_t>& counts,
                               std::chrono::nanoseconds now) const;
  double far_median(bool above, double rank, std::chrono::nanoseconds now) const;

  Reference reference_;
  SlidingParts<Part> parts_;
  Random random_{0x51};
};

}  // namespace sluice::statistics
