#include "features/feast_redis.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/text.h"
#include "clients/redis.h"
#include "features/feast_keys.h"
#include "features/feast_value.h"
#include "features/murmur3.h"

namespace sluice::features {
namespace {

using Deadline = std::chrono::steady_clock::time_point;

constexpr Unreadable kNoHash{"is not kept in a hash"};

std::string field_of(std::string_view name) {
  const auto hash = murmur3(name);
  std::string out;
  for (int i = 0; i < 4; ++i) out += static_cast<char>(hash >> 8 * i);
  return out;
}

// What is asked of every hash: a field for each feature, and behind them one for each view.
struct Lookup {
  std::vector<EntityKey> keys;
  std::vector<WantedFeature> features;
  std::vector<std::size_t> views;  // of each feature, in `times`
  std::vector<std::string> times;  // "_ts:view"

  std::vector<std::string> fields() const {
    std::vector<std::string> out;
    for (const auto& feature : features) out.push_back(field_of(feature.name));
    out.insert(out.end(), times.begin(), times.end());
    return out;
  }
};

Result<Lookup> plan(const FeatureLookup& lookup) {
  Lookup out;
  out.keys = lookup.keys;
  out.features = lookup.features;
  for (const auto& feature : lookup.features) {
    SLUICE_TRY(const auto name, parse_feast_name(feature.name));
    const auto field = "_ts:" + name.view;
    const auto known = std::ranges::find(out.times, field);
    out.views.push_back(static_cast<std::size_t>(known - out.times.begin()));
    if (known == out.times.end()) out.times.push_back(field);
  }
  return out;
}

class Rows : public clients::RedisReplies {
 public:
  // `which[reply]` is the row of a reply.
  Rows(const Lookup& lookup, std::span<const std::size_t> which, std::span<FeatureRow> rows)
      : lookup_(lookup), which_(which), rows_(rows) {}

  bool list(std::size_t reply, std::size_t size) override {
    row(reply).values.resize(lookup_.features.size());
    return size == lookup_.features.size() + lookup_.times.size();
  }
  void text(std::size_t reply, std::size_t element, std::string_view bytes) override {
    auto& values = row(reply).values;
    if (element < values.size()) {
      values[element].data = feast_value(bytes, lookup_.features[element].type);
      row(reply).known = true;
      return;
    }
    const auto time = feast_timestamp(bytes).value_or(0);
    const auto view = element - values.size();
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (lookup_.views[i] == view) values[i].time_ns = time;
    }
  }
  void nil(std::size_t, std::size_t) override {}
  Result<void> refused(std::size_t reply, std::string_view why) override {
    if (!why.starts_with("WRONGTYPE")) return Failure(clients::redis_refusal(why));
    row(reply).values.assign(lookup_.features.size(), FeatureValue{kNoHash});
    row(reply).known = true;
    return {};
  }

 private:
  FeatureRow& row(std::size_t reply) { return rows_[which_[reply]]; }

  const Lookup& lookup_;
  const std::span<const std::size_t> which_;
  const std::span<FeatureRow> rows_;
};

class Reader : public FeatureReader {
 public:
  Reader(std::shared_ptr<const clients::RedisClient> client, Lookup lookup, std::string project,
         int key_version)
      : client_(std::move(client)),
        lookup_(std::move(lookup)),
        command_(lookup_.fields()),
        project_(std::move(project)),
        key_version_(key_version) {}

  Result<void> read(std::span<const EntityValues> entities, std::span<FeatureRow> rows,
                    Deadline deadline) const override {
    std::string pipeline;
    std::vector<std::size_t> which;
    pipeline.reserve(entities.size() * command_.bytes());
    for (std::size_t i = 0; i < entities.size(); ++i) {
      auto key = feast_entity_key(lookup_.keys, entities[i], key_version_);
      // What Feast cannot write it does not have either.
      if (!key) continue;
      command_.append(pipeline, *key + project_);
      which.push_back(i);
    }
    if (which.empty()) return {};
    Rows replies(lookup_, which, rows);
    return client_->ask(pipeline, which.size(), replies, deadline);
  }

 private:
  const std::shared_ptr<const clients::RedisClient> client_;
  const Lookup lookup_;
  const clients::RedisHmget command_;
  const std::string project_;
  const int key_version_;
};

class FeastRedis : public FeatureStore {
 public:
  FeastRedis(clients::RedisUrl url, const StoreOptions& options)
      : client_(std::make_shared<const clients::RedisClient>(std::move(url))),
        project_(options.project),
        key_version_(static_cast<int>(options.key_version)) {}

  Result<std::unique_ptr<const FeatureReader>> reader(const FeatureLookup& lookup) const override {
    SLUICE_TRY(auto planned, plan(lookup));
    return std::make_unique<const Reader>(client_, std::move(planned), project_, key_version_);
  }

 private:
  const std::shared_ptr<const clients::RedisClient> client_;
  const std::string project_;
  const int key_version_;
};

}  // namespace

Result<std::shared_ptr<const FeatureStore>> open_feast_redis(const StoreOptions& options) {
  constexpr std::string_view kFeast = "feast+";
  std::string_view url = options.url;
  if (url.starts_with(kFeast)) url.remove_prefix(kFeast.size());
  SLUICE_TRY(auto parsed, clients::parse_redis_url(url));
  if (options.project.empty()) {
    return invalid("bad_store_url", "feature store '" + printable(options.name) +
                                        "' needs a 'project': Feast's own name of it is part of "
                                        "every key");
  }
  return std::make_shared<const FeastRedis>(std::move(parsed), options);
}

}  // namespace sluice::features
