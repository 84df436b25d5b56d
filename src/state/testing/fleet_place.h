// Where the replicas of a test meet: a store that each of them opens.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "clients/testing/fake_redis.h"
#include "core/fleet.h"
#include "core/state_store.h"
#include "state/builtin.h"
#include "state/testing/shared_store.h"

namespace sluice::state::testing {

class FleetPlace {
 public:
  virtual ~FleetPlace() = default;
  virtual std::unique_ptr<StateStore> open(const std::string& way) = 0;
  // As if so much time had passed.
  virtual void advance(std::chrono::milliseconds time) = 0;
  virtual void lose_everything() = 0;
};

class FleetInMemory final : public FleetPlace {
 public:
  static std::unique_ptr<FleetPlace> make() { return std::make_unique<FleetInMemory>(); }

  std::unique_ptr<StateStore> open(const std::string& way) override { return store_.open(way); }
  void advance(std::chrono::milliseconds time) override { store_.advance(time); }
  void lose_everything() override { store_.lose_everything(); }

 private:
  SharedStore store_;
};

class FleetInRedis final : public FleetPlace {
 public:
  // Null where there is no redis-server.
  static std::unique_ptr<FleetPlace> make() {
    auto redis = clients::RealRedis::start();
    return redis ? std::unique_ptr<FleetPlace>(new FleetInRedis(std::move(redis))) : nullptr;
  }

  std::unique_ptr<StateStore> open(const std::string& /*way*/) override {
    auto store = open_state(redis_->url());
    EXPECT_TRUE(store) << (store ? "" : store.error().message);
    return *std::move(store);
  }
  // Redis' clock cannot be moved: what ends sometime ends so much earlier, and beats were so much
  // longer ago.
  void advance(std::chrono::milliseconds time) override {
    constexpr std::string_view kEarlier = R"(
      for _, key in ipairs(redis.call('KEYS', '*')) do
        local left = redis.call('PTTL', key)
        if left > 0 then redis.call('PEXPIRE', key, left - ARGV[1]) end
      end
      local beats = 'sluice:{state}:beats'
      for _, name in ipairs(redis.call('ZRANGE', beats, 0, -1)) do
        redis.call('ZINCRBY', beats, -ARGV[1], name)
      end
      return 1)";
    EXPECT_EQ(redis_->run({"EVAL", kEarlier, "0", std::to_string(time.count())}), ":1");
  }
  void lose_everything() override { EXPECT_EQ(redis_->run({"FLUSHALL"}), "+OK"); }

  const clients::RealRedis& redis() const { return *redis_; }

 private:
  explicit FleetInRedis(std::unique_ptr<clients::RealRedis> redis) : redis_(std::move(redis)) {}

  const std::unique_ptr<clients::RealRedis> redis_;
};

// One of the replicas: its own way to the store, and what it says next.
class Member {
 public:
  Member(FleetPlace& place, std::string name) : name_(std::move(name)), store_(place.open(name_)) {
    said_.replica = name_;
  }

  StateStore& store() { return *store_; }
  Fleet& fleet() { return *store_->fleet(); }
  // What the next beat says; what was said once is not said again.
  BeatSaid& says() { return said_; }
  // Numbered by itself.
  Member& event(std::string bytes) {
    said_.event = std::move(bytes);
    ++said_.sequence;
    return *this;
  }

  BeatHeard beat() {
    auto heard = fleet().beat(said_);
    EXPECT_TRUE(heard) << (heard ? "" : heard.error().message);
    said_.event.clear();
    said_.questions.clear();
    said_.answers.clear();
    return heard ? *std::move(heard) : BeatHeard{};
  }
  // Beats, and writes under the lease that it must have now; its token.
  std::uint64_t lead() {
    const auto heard = beat();
    EXPECT_EQ(heard.leader, name_);
    fleet().write_under(heard.token);
    return heard.token;
  }

 private:
  const std::string name_;
  std::unique_ptr<StateStore> store_;
  BeatSaid said_;
};

}  // namespace sluice::state::testing
