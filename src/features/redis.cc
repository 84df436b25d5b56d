#include "features/redis.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "base/text.h"
#include "clients/redis.h"
#include "features/convert.h"

namespace sluice::features {
namespace {

using clients::RedisClient;
using clients::RedisReplies;
using Deadline = std::chrono::steady_clock::time_point;

constexpr Unreadable kNoHash{"is not kept in a hash"};

// "'a' and 'b'".
std::string quoted(std::span<const EntityKey> keys) {
  std::vector<std::string> names;
  for (const auto& key : keys) names.push_back("'" + printable(key.name) + "'");
  return join_and(names);
}

// --- reading a lookup
// -----------------------------------------------------------------------------

struct Lookup {
  KeyTemplate key;
  std::vector<WantedFeature> features;
  bool has_time = false;  // behind the features
};

// The replies to an HMGET for each entity.
class Rows : public RedisReplies {
 public:
  Rows(const Lookup& lookup, std::span<FeatureRow> rows) : lookup_(lookup), rows_(rows) {}

  bool list(std::size_t reply, std::size_t size) override {
    rows_[reply].values.resize(lookup_.features.size());
    return size == lookup_.features.size() + (lookup_.has_time ? 1 : 0);
  }
  void text(std::size_t reply, std::size_t element, std::string_view text) override {
    auto& row = rows_[reply];
    if (element == lookup_.features.size()) {
      const auto time = parse_time(text).value_or(0);
      for (auto& value : row.values) value.time_ns = time;
      return;
    }
    row.values[element].data = read_text(text, lookup_.features[element].type);
    row.known = true;
  }
  void nil(std::size_t, std::size_t) override {}
  Result<void> refused(std::size_t reply, std::string_view why) override {
    if (!why.starts_with("WRONGTYPE")) return Failure(clients::redis_refusal(why));
    rows_[reply].values.assign(lookup_.features.size(), FeatureValue{kNoHash});
    rows_[reply].known = true;
    return {};
  }

 private:
  const Lookup& lookup_;
  const std::span<FeatureRow> rows_;
};

class Reader : public FeatureReader {
 public:
  Reader(std::shared_ptr<const RedisClient> client, Lookup lookup, const std::string& time_field)
      : client_(std::move(client)),
        lookup_(std::move(lookup)),
        command_(fields_of(lookup_, time_field)) {}

  Result<void> read(std::span<const EntityValues> entities, std::span<FeatureRow> rows,
                    Deadline deadline) const override {
    std::string pipeline;
    std::string key;
    pipeline.reserve(entities.size() * command_.bytes());
    for (const auto entity : entities) {
      lookup_.key.write(entity, key);
      command_.append(pipeline, key);
    }
    Rows replies(lookup_, rows);
    return client_->ask(pipeline, entities.size(), replies, deadline);
  }

 private:
  static std::vector<std::string> fields_of(const Lookup& lookup, const std::string& time_field) {
    std::vector<std::string> out;
    for (const auto& feature : lookup.features) out.push_back(feature.name);
    if (lookup.has_time) out.push_back(time_field);
    return out;
  }

  const std::shared_ptr<const RedisClient> client_;
  const Lookup lookup_;
  const clients::RedisHmget command_;
};

// --- everything of one entity
// ---------------------------------------------------------------------

// The reply to an HGETALL: names and values in turn.
class Listing : public RedisReplies {
 public:
  explicit Listing(std::string_view time_field) : time_field_(time_field) {}

  bool list(std::size_t, std::size_t size) override { return size % 2 == 0; }
  void text(std::size_t, std::size_t element, std::string_view text) override {
    if (element % 2 == 0) {
      features_.emplace_back(std::string(text), FeatureValue());
      return;
    }
    auto& [name, value] = features_.back();
    value.data = read_text(text, FeatureType::kAny);
    if (name == time_field_) time_ = parse_time(text).value_or(0);
  }
  void nil(std::size_t, std::size_t) override {}
  Result<void> refused(std::size_t, std::string_view why) override {
    return Failure(clients::redis_refusal(why));
  }

  NamedFeatures take() && {
    for (auto& [name, value] : features_) value.time_ns = time_;
    return std::move(features_);
  }

 private:
  const std::string_view time_field_;
  NamedFeatures features_;
  std::int64_t time_ = 0;
};

class Redis : public FeatureStore {
 public:
  Redis(clients::RedisUrl url, const StoreOptions& options)
      : client_(std::make_shared<const RedisClient>(std::move(url))),
        key_(options.key),
        time_field_(options.time_field) {}

  Result<std::unique_ptr<const FeatureReader>> reader(const FeatureLookup& lookup) const override {
    SLUICE_TRY(auto key, KeyTemplate::parse(key_, lookup.keys));
    return std::make_unique<const Reader>(
        client_, Lookup{std::move(key), lookup.features, !time_field_.empty()}, time_field_);
  }

  Result<std::optional<NamedFeatures>> list(std::span<const EntityKey> keys, EntityValues entity,
                                            Deadline deadline) const override {
    SLUICE_TRY(const auto made, KeyTemplate::parse(key_, keys));
    std::string key;
    made.write(entity, key);
    std::string pipeline;
    clients::append_redis_command(pipeline, std::array<std::string_view, 2>{"HGETALL", key});
    Listing replies(time_field_);
    SLUICE_CHECK(client_->ask(pipeline, 1, replies, deadline));
    return std::move(replies).take();
  }

 private:
  const std::shared_ptr<const RedisClient> client_;
  const std::string key_;
  const std::string time_field_;
};

}  // namespace

Result<KeyTemplate> KeyTemplate::parse(std::string_view text, std::span<const EntityKey> keys) {
  KeyTemplate out;
  if (text.empty()) {
    out.escape_ = keys.size() > 1;
    for (std::size_t i = 0; i < keys.size(); ++i) out.pieces_.push_back({i == 0 ? "" : ":", i});
    return out;
  }
  std::string before;
  std::vector<bool> used(keys.size());
  while (!text.empty()) {
    if (text.starts_with("{{") || text.starts_with("}}") || text.front() != '{') {
      before += text.front();
      text.remove_prefix(text.starts_with("{{") || text.starts_with("}}") ? 2 : 1);
      continue;
    }
    const auto end = text.find('}');
    const auto name = text.substr(1, end == std::string_view::npos ? end : end - 1);
    const auto key = std::ranges::find(keys, name, &EntityKey::name);
    if (end == std::string_view::npos || key == keys.end()) {
      return invalid("bad_config", "the store's key template has '{" + printable(name) +
                                       "}' in it, and the entity's keys are " + quoted(keys) +
                                       "; write {{ for a brace");
    }
    const auto index = static_cast<std::size_t>(key - keys.begin());
    used[index] = true;
    out.pieces_.push_back({std::exchange(before, {}), index});
    text.remove_prefix(end + 1);
  }
  if (!before.empty()) out.pieces_.push_back({std::move(before), std::string::npos});
  if (const auto unused = std::ranges::find(used, false); unused != used.end()) {
    const auto& name = keys[static_cast<std::size_t>(unused - used.begin())].name;
    return invalid("bad_config", "the store's key template does not have '{" + printable(name) +
                                     "}' in it: two entities would share a hash");
  }
  return out;
}

void KeyTemplate::write(EntityValues values, std::string& out) const {
  out.clear();
  for (const auto& piece : pieces_) {
    out += piece.text;
    if (piece.key == std::string::npos) continue;
    if (!escape_) {
      out += values[piece.key];
      continue;
    }
    for (const char c : values[piece.key]) {
      if (c == ':' || c == '\\') out += '\\';
      out += c;
    }
  }
}

Result<std::shared_ptr<const FeatureStore>> open_redis(const StoreOptions& options) {
  SLUICE_TRY(auto url, clients::parse_redis_url(options.url));
  return std::make_shared<const Redis>(std::move(url), options);
}

}  // namespace sluice::features
