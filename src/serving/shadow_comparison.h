// How far a shadow version's answers are from those that users got.
//
// Each row of each request counts once. Its difference is |shadow − primary|: of the predicted
// numbers, the largest of a row's where it is a vector; for classes, of their places in the list.
// Rows agree where the class is the same (by name where both versions have names), or where the
// difference is at most `tolerance`. A row whose difference is no number (one side is NaN) counts
// and disagrees, and is in no mean.
//
// Quantiles, and the two-sample Kolmogorov–Smirnov test (statistics/kolmogorov_smirnov) of what
// both versions say, are of the last 4,096 rows; everything else is since the beginning. The test
// takes single numbers: the predicted one, or for classes the probability of the second of two
// and of the best of more. The two samples are of the same inputs, which the test does not know:
// its p-value errs on the large side.
//
// Thread-safety: every function may be called from any thread. Written by a thread of idle
// priority, so that a reader may wait some milliseconds on a machine that is full.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "core/prediction.h"
#include "core/signature.h"
#include "statistics/latency_sketch.h"

namespace sluice::serving {

// What the two said to the same inputs.
struct ShadowPair {
  const Prediction& primary;
  const Prediction& shadow;
  std::span<const TensorView> inputs;  // as the primary took them, of this signature
  const Signature& signature;
  std::string_view request_id;
  double tolerance = 0.01;
  std::chrono::system_clock::time_point at{};
  // How long the engines took, where the two can be compared: each with the request alone.
  std::optional<double> primary_ms;
  std::optional<double> shadow_ms;
};

struct Disagreement {
  double difference = 0;  // infinity: one of the two is no number
  std::string primary;    // the class's name, or the value as JSON
  std::string shadow;
  std::string inputs;  // JSON: {"name": [the row's values]}, cut off after 64 values or 4 KiB
  bool cut = false;    // there were more
  std::string request_id;
  std::size_t row = 0;
  std::chrono::system_clock::time_point at{};
};

struct ShadowReport {
  std::uint64_t rows = 0;
  std::uint64_t agreed = 0;
  std::uint64_t not_finite = 0;  // rows of which one of the two was no number
  double mean_difference = 0;
  double max_difference = 0;
  std::array<double, 3> quantiles{};  // 0.5, 0.95, 0.99 of the difference
  // Rows whose probabilities could be compared, class by class: the largest difference of a row.
  std::uint64_t probability_rows = 0;
  double mean_probability_difference = 0;
  double max_probability_difference = 0;
  std::uint64_t tested = 0;  // rows of the Kolmogorov–Smirnov test
  double ks_distance = 0;
  double ks_p_value = 1;
  // (class of the primary, class of the shadow) → rows; classes past the hundredth are "(others)".
  std::map<std::pair<std::string, std::string>, std::uint64_t> confusion;
  std::uint64_t timed = 0;             // requests whose times could be compared
  std::array<double, 2> primary_ms{};  // 0.5, 0.95
  std::array<double, 2> shadow_ms{};
  std::vector<Disagreement> worst;  // the worst first

  double agreement_rate() const { return double(agreed) / double(rows); }  // NaN: of nothing
  double latency_p95_ratio() const { return shadow_ms[1] / primary_ms[1]; }
};

class ShadowComparison {
 public:
  static constexpr std::size_t kMostRows = 1024;  // of a request that are looked at
  static constexpr std::size_t kRecent = 4096;
  static constexpr std::size_t kMostClasses = 100;
  static constexpr std::size_t kWorst = 10;

  struct Added {
    std::uint64_t rows = 0;
    std::uint64_t disagreed = 0;
  };

  // Errors: kFailedPrecondition/`not_comparable` where the answers have different shapes, or only
  // one of the two is a class; nothing has been counted then.
  Result<Added> add(const ShadowPair& pair);
  ShadowReport report() const;

 private:
  struct Recent {
    double difference = 0;  // NaN: none
    double primary = 0;     // NaN: not a single number
    double shadow = 0;
  };
  struct Row;

  Row look(const ShadowPair& pair, std::size_t row) const;
  void count(const ShadowPair& pair, const Row& row);
  void note_class(const ShadowPair& pair, const Row& row);
  std::size_t class_index(const std::string& name);
  void note_worst(const ShadowPair& pair, const Row& row);
  void test_recent(std::vector<Recent> recent, ShadowReport& out) const;

  mutable std::mutex mutex_;
  // All guarded by mutex_.
  ShadowReport sums_;  // means are sums, quantiles and tests are left out
  std::vector<Recent> recent_;
  std::size_t next_ = 0;  // the place in recent_ to be written next
  std::vector<std::string> classes_;
  std::map<std::pair<std::size_t, std::size_t>, std::uint64_t> confusion_;
  statistics::LatencySketch primary_ms_;
  statistics::LatencySketch shadow_ms_;
};

}  // namespace sluice::serving
