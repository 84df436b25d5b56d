// A feature store that does what a test says, and requests that go nowhere.
#pragma once

#include <condition_variable>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "core/feature_store.h"
#include "core/request.h"
#include "features/stores.h"

namespace sluice::features::testing {

// Entities by their first value; every lookup finds its features by name.
class FakeStore final : public FeatureStore {
 public:
  using Features = std::map<std::string, FeatureValue, std::less<>>;

  void put(const std::string& entity, Features features) {
    const std::lock_guard lock(mutex_);
    entities_[entity] = std::move(features);
  }
  void fail_with(std::optional<Error> error) {
    const std::lock_guard lock(mutex_);
    error_ = std::move(error);
  }
  // Calls do not come back until they are let go.
  void hold() {
    const std::lock_guard lock(mutex_);
    held_ = true;
  }
  void let_go() {
    const std::lock_guard lock(mutex_);
    held_ = false;
    change_.notify_all();
  }
  // Until as many calls have begun.
  void wait_for_calls(std::size_t count) {
    std::unique_lock lock(mutex_);
    change_.wait(lock, [&] { return calls_.size() >= count; });
  }
  // The first values of each call's entities.
  std::vector<std::vector<std::string>> calls() const {
    const std::lock_guard lock(mutex_);
    return calls_;
  }

  Result<std::unique_ptr<const FeatureReader>> reader(const FeatureLookup& lookup) const override {
    return std::make_unique<Reader>(*this, lookup);
  }

 private:
  class Reader final : public FeatureReader {
   public:
    Reader(const FakeStore& store, FeatureLookup lookup)
        : store_(store), lookup_(std::move(lookup)) {}
    Result<void> read(std::span<const EntityValues> entities, std::span<FeatureRow> rows,
                      std::chrono::steady_clock::time_point) const override {
      return store_.read(lookup_, entities, rows);
    }

   private:
    const FakeStore& store_;
    const FeatureLookup lookup_;
  };

  Result<void> read(const FeatureLookup& lookup, std::span<const EntityValues> entities,
                    std::span<FeatureRow> rows) const {
    std::unique_lock lock(mutex_);
    auto& call = calls_.emplace_back();
    for (const auto& entity : entities) call.emplace_back(entity[0]);
    change_.notify_all();
    change_.wait(lock, [&] { return !held_; });
    if (error_) return Failure(*error_);
    for (std::size_t i = 0; i < entities.size(); ++i) {
      const auto found = entities_.find(entities[i][0]);
      if (found == entities_.end()) continue;
      rows[i].known = true;
      for (const auto& wanted : lookup.features) {
        const auto value = found->second.find(wanted.name);
        rows[i].values.push_back(value == found->second.end() ? FeatureValue{} : value->second);
      }
    }
    return {};
  }

  mutable std::mutex mutex_;
  mutable std::condition_variable change_;
  std::map<std::string, Features, std::less<>> entities_;
  mutable std::vector<std::vector<std::string>> calls_;
  std::optional<Error> error_;
  bool held_ = false;
};

inline StoreOptions store_options(std::int64_t connections = 1) {
  StoreOptions out;
  out.name = "users";
  out.connections = connections;
  return out;
}

// Where requests go on: they stay here until they are looked at.
class Arrivals final : public Onward {
 public:
  void resume(RequestPtr request) const override {
    const std::lock_guard lock(mutex_);
    requests_.push_back(std::move(request));
    change_.notify_all();
  }
  RequestPtr next() const {
    std::unique_lock lock(mutex_);
    change_.wait(lock, [&] { return !requests_.empty(); });
    auto out = std::move(requests_.front());
    requests_.erase(requests_.begin());
    return out;
  }

 private:
  mutable std::mutex mutex_;
  mutable std::condition_variable change_;
  mutable std::vector<RequestPtr> requests_;
};

// A request for these entities, of one key each.
inline RequestPtr request_for(const Arrivals& arrivals, std::vector<std::string_view> entities,
                              std::vector<FeatureAsk::Given> given = {}) {
  auto request = make_request();
  request->onward = &arrivals;
  request->fetch_began = std::chrono::steady_clock::now();
  auto ask = std::make_unique<FeatureAsk>();
  ask->rows = std::max<std::size_t>(entities.size(), 1);
  ask->entities = std::move(entities);
  ask->given = std::move(given);
  request->ask = std::move(ask);
  return request;
}

}  // namespace sluice::features::testing
