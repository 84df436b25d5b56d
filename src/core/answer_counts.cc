#include "core/answer_counts.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace sluice {

void AnswerCounts::add(const Prediction& prediction) {
  if (prediction.values.size() != prediction.rows) return;
  auto mine = shards_.mine();
  Shard& shard = mine.shard;
  for (std::size_t row = 0; row < prediction.rows; ++row) {
    const double value = prediction.values[row];
    if (!std::isfinite(value)) {
      mine.bump(shard.not_finite, 1);
      continue;
    }
    if (!prediction.classified) {
      mine.bump(shard.values.at(ValueBuckets::of(value)), 1);
      shard.value_sum.fetch_add(value, std::memory_order_relaxed);
      continue;
    }
    const bool known = value >= 0 && value < static_cast<double>(kClasses);
    mine.bump(known ? shard.classes[static_cast<std::size_t>(value)] : shard.other_classes, 1);
    const double confidence = std::clamp(prediction.confidences[row], 0.0, 1.0);
    const auto bin = static_cast<std::size_t>(confidence * kConfidences);
    mine.bump(shard.confidences[std::min(bin, kConfidences - 1)], 1);
    mine.bump(shard.confidence_millionths, static_cast<std::uint64_t>(confidence * 1e6 + 0.5));
  }
}

AnswerCounts::Sums AnswerCounts::sums() const {
  Sums out;
  shards_.each([&](const Shard& shard) {
    for (std::size_t i = 0; i < kClasses; ++i) out.classes[i] += shard.classes[i].value();
    for (std::size_t i = 0; i < kConfidences; ++i) {
      out.confidences[i] += shard.confidences[i].value();
    }
    out.other_classes += shard.other_classes.value();
    out.confidence_sum += static_cast<double>(shard.confidence_millionths.value()) / 1e6;
    out.not_finite += shard.not_finite.value();
    out.value_sum += shard.value_sum.load(std::memory_order_relaxed);
    shard.values.each(
        [&](std::size_t bucket, std::uint64_t count) { out.values.add(bucket, count); });
  });
  return out;
}

void AnswerCounts::Sums::merge(const Sums& other) {
  for (std::size_t i = 0; i < kClasses; ++i) classes[i] += other.classes[i];
  for (std::size_t i = 0; i < kConfidences; ++i) confidences[i] += other.confidences[i];
  other_classes += other.other_classes;
  confidence_sum += other.confidence_sum;
  values.merge(other.values);
  not_finite += other.not_finite;
  value_sum += other.value_sum;
}

std::uint64_t AnswerCounts::Sums::classified() const {
  return std::accumulate(classes.begin(), classes.end(), other_classes);
}

}  // namespace sluice
