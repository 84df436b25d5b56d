#include "tools/bench/load_result.h"

#include <algorithm>
#include <cmath>

namespace sluice::tools {
namespace {

// 200 MB a list.
constexpr std::size_t kMaxSamples = 50'000'000;

void keep(std::vector<float>& samples, float value) {
  if (samples.size() < kMaxSamples) samples.push_back(value);
}

void append(std::vector<float>& samples, const std::vector<float>& more) {
  samples.insert(samples.end(), more.begin(), more.end());
}

}  // namespace

void LoadResult::count(int status, float taken, float limit) {
  ++answered;
  keep(micros, taken);
  if (status < 200 || status > 299) {
    ++refused;
  } else if (limit > 0 && taken > limit) {
    ++late;
  } else {
    ++good;
    keep(good_micros, taken);
  }
}

void LoadResult::add(const LoadResult& other) {
  answered += other.answered;
  refused += other.refused;
  late += other.late;
  good += other.good;
  failed += other.failed;
  missed += other.missed;
  seconds += other.seconds;
  append(micros, other.micros);
  append(good_micros, other.good_micros);
}

void LoadResult::sort() {
  std::ranges::sort(micros);
  std::ranges::sort(good_micros);
}

double LoadResult::quantile_of(const std::vector<float>& sorted, double q) {
  if (sorted.empty()) return 0;
  const auto rank = static_cast<std::size_t>(std::ceil(q * static_cast<double>(sorted.size())));
  return static_cast<double>(sorted[std::clamp<std::size_t>(rank, 1, sorted.size()) - 1]);
}

}  // namespace sluice::tools
