#include "observers/traffic_rows.h"

#include <algorithm>
#include <cmath>

namespace sluice::observers {
namespace {

// Row `row` of all inputs, one behind the other; empty where one is text.
// Empty too where a number is missing.
std::vector<float> row_of(const Record& record, std::size_t row) {
  std::vector<float> out;
  for (const auto& input : record.inputs) {
    if (input.dtype == DType::kString) return {};
    const std::size_t width = input.elements() / record.head.rows;
    for (std::size_t i = 0; i < width; ++i) {
      const double value = number_at(input, row * width + i);
      if (!std::isfinite(value)) return {};  // the model need not answer a mixture with it
      out.push_back(static_cast<float>(value));
    }
  }
  return out;
}

}  // namespace

void TrafficRows::take(const Record& record) {
  const bool usable = record.head.ending == Ending::kAnswered && record.head.rows > 0 &&
                      !record.head.inputs_left_out;
  if (!usable) return;
  const auto table = tables_.get();
  const ModelEntry* entry = table->find(record.model);
  // Whoever does not want features written down does not want them compared with either.
  if (entry == nullptr || entry->config.log.features != Privacy::kFull) return;
  const auto row = row_of(record, random_.below(record.head.rows));
  if (row.empty() || row.size() > kWidest) return;
  const std::lock_guard lock(mutex_);
  Kept& kept = versions_[{std::string(record.model), std::string(record.version)}];
  if (kept.width != row.size()) kept = {row.size(), 0, {}};
  kept.seen = std::min(kept.seen + 1, kMemory);
  if (kept.rows.size() < kMost) {
    kept.rows.push_back(row);
  } else if (const auto place = random_.below(kept.seen); place < kMost) {
    kept.rows[place] = row;
  }
}

// Versions that are gone take their rows with them.
void TrafficRows::tick() {
  const auto table = tables_.get();
  const std::lock_guard lock(mutex_);
  std::erase_if(versions_, [&](const auto& each) {
    const ModelEntry* entry = table->find(each.first.first);
    return entry == nullptr || entry->find(each.first.second) == nullptr;
  });
}

std::vector<double> TrafficRows::rows(const Servable& servable, std::size_t width,
                                      std::size_t most) const {
  std::vector<double> out;
  const std::lock_guard lock(mutex_);
  const auto found = versions_.find({servable.model().str(), servable.version().str()});
  if (found == versions_.end()) return out;
  const Kept& kept = found->second;
  if (kept.width != width || kept.rows.size() < kFewest) return out;
  for (std::size_t i = 0; i < std::min(most, kept.rows.size()); ++i) {
    out.insert(out.end(), kept.rows[i].begin(), kept.rows[i].end());
  }
  return out;
}

}  // namespace sluice::observers
