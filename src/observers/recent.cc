#include "observers/recent.h"

#include <algorithm>

#include "core/debug_info.h"
#include "observers/record_json.h"

namespace sluice::observers {
namespace {

constexpr std::size_t kLatest = 100;
constexpr std::size_t kSpread = 120;
constexpr std::int64_t kSpreadNanos = 5'000'000'000;
constexpr std::size_t kFailed = 50;
// A request's features take no more; above, they are left out.
constexpr std::size_t kMostJson = 8 << 10;

std::string render(const Record& record, const RecordStyle& style) {
  const bool open = style.privacy.features == Privacy::kFull;
  std::string out;
  JsonWriter json(out);
  json.begin_object();
  write_record(record, style, json);
  json.field("protocol", word_of(record.head.protocol));
  json.field("outcome", word_of(record.head.ending));
  if (!record.reason.empty()) {
    json.key("error").begin_object().field("code", record.reason);
    // Messages quote values.
    if (open) json.field("message", record.message);
    json.end_object();
  }
  json.key("stages_ms").begin_object();
  json.field("queue", record.head.queue_ms).field("compute", record.head.compute_ms);
  json.end_object();
  if (!record.probabilities.empty() && record.head.rows == 1) {
    json.key("class_probabilities");
    write_class_probabilities(record.probabilities, json);
  }
  if (record.head.unsound) json.field("broke_output_guard", true);
  if (open && !record.warnings.empty()) {
    json.key("warnings").begin_array();
    for (const auto warning : record.warnings) json.value(warning);
    json.end_array();
  }
  json.end_object();
  return out;
}

}  // namespace

void RecentRequests::take(const Record& record) {
  const auto table = tables_.read();
  const ModelEntry* entry = table->find(record.model);
  if (entry == nullptr) return;
  RecordStyle style;
  style.key = key_;
  style.privacy = entry->config.log;
  if (style.privacy.sample <= 0) return;
  const VersionEntry* version = entry->find(record.version);
  if (version != nullptr && version->servable) style.signature = &version->servable->signature();
  Item item{record.head.at_ns,     std::string(record.request_id), record.head.ending,
            render(record, style), style.privacy.features,         style.privacy.user_id};
  if (item.json.size() > kMostJson) {
    style.privacy.features = Privacy::kOff;
    item.json = render(record, style);
    if (item.json.size() > kMostJson) return;  // thousands of predictions
  }
  const auto keep = [&item](std::deque<Item>& list, std::size_t most) {
    if (list.size() == most) list.pop_front();
    list.push_back(item);
  };
  const std::lock_guard lock(mutex_);
  // Models that are gone make room for those that came.
  std::erase_if(models_, [&](const auto& each) { return table->find(each.first) == nullptr; });
  auto found = models_.find(record.model);
  if (found == models_.end()) found = models_.try_emplace(std::string(record.model)).first;
  Lists& lists = found->second;
  keep(lists.latest, kLatest);
  if (item.ending != Ending::kAnswered) keep(lists.failed, kFailed);
  if (lists.spread.empty() || item.at_ns - lists.spread.back().at_ns >= kSpreadNanos) {
    keep(lists.spread, kSpread);
  }
}

std::vector<std::string> RecentRequests::list(std::string_view model, const LogOptions& allowed,
                                              const Query& query) const {
  if (allowed.sample <= 0) return {};
  std::vector<const Item*> found;
  const std::lock_guard lock(mutex_);
  const auto lists = models_.find(model);
  if (lists == models_.end()) return {};
  for (const auto* list : {&lists->second.latest, &lists->second.spread, &lists->second.failed}) {
    for (const auto& item : *list) {
      // kFull < kHashed < kOff: what is rendered must be no more open than is allowed now.
      const bool may = item.features >= allowed.features && item.user_id >= allowed.user_id;
      const bool wanted = may &&
                          (query.request_id.empty() || item.request_id == query.request_id) &&
                          (query.outcome.empty() || word_of(item.ending) == query.outcome);
      const bool known = std::ranges::any_of(found, [&](const Item* other) {
        return other->at_ns == item.at_ns && other->json == item.json;
      });
      if (wanted && !known) found.push_back(&item);
    }
  }
  std::ranges::sort(found, std::greater(), &Item::at_ns);
  std::vector<std::string> out;
  for (const auto* item : found) {
    if (out.size() == query.limit) break;
    out.push_back(item->json);
  }
  return out;
}

}  // namespace sluice::observers
