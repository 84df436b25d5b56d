// What became of the requests of a load: counts, and latencies of all answers and of the good ones.
//
// An answer is good when it is 2xx and came within the plan's time-out; without a time-out, when it
// is 2xx. Goodput is good answers a second.
//
// Thread-safety: a plain value.
#pragma once

#include <cstdint>
#include <vector>

namespace sluice::tools {

struct LoadResult {
  std::uint64_t answered = 0;
  std::uint64_t refused = 0;  // answered with a status other than 2xx
  std::uint64_t late = 0;     // answered with 2xx after the time-out
  std::uint64_t good = 0;
  std::uint64_t failed = 0;  // no answer
  std::uint64_t missed = 0;  // never sent: no connection was free within the time-out
  double seconds = 0;
  std::vector<float> micros;       // of all answers
  std::vector<float> good_micros;  // of good ones

  // One answer that took `micros`; `limit` is the time-out in microseconds, 0 for none.
  void count(int status, float taken, float limit);
  // As if both had been one measurement, `other` after this one.
  void add(const LoadResult& other);
  // Before quantiles are asked for.
  void sort();

  double per_second() const { return ratio(answered); }
  double goodput() const { return ratio(good); }
  // The smallest latency that at least this share of the answers do not exceed, in microseconds; 0
  // where there are none.
  double quantile(double q) const { return quantile_of(micros, q); }
  double good_quantile(double q) const { return quantile_of(good_micros, q); }

 private:
  double ratio(std::uint64_t number) const {
    return seconds > 0 ? static_cast<double>(number) / seconds : 0;
  }
  static double quantile_of(const std::vector<float>& sorted, double q);
};

}  // namespace sluice::tools
