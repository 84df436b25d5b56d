#include "features/fetcher.h"

#include <gtest/gtest.h>

#include "core/hand_back.h"
#include "features/testing/fake_store.h"

namespace sluice::features {
namespace {

using namespace std::chrono_literals;
using testing::Arrivals;
using testing::FakeStore;

const FeatureLookup kAge = {{{"user", KeyType::kText}}, {{"age", FeatureType::kNumber}}};

enum Expected { kThere, kRefused, kWaits, kRefusedOrWaits };

// A fetcher whose ended gatherings are kept.
class Fetching : public ::testing::Test {
 protected:
  explicit Fetching(StoreOptions options = testing::store_options())
      : fetcher_(options, store_), lookup_(*fetcher_.prepare(kAge)) {
    fetcher_.on_ended([this](std::vector<std::shared_ptr<Gathering>> ended) {
      const std::lock_guard lock(mutex_);
      for (auto& each : ended) ended_.push_back(std::move(each));
      change_.notify_all();
    });
    for (const auto* name : {"u1", "u2", "u3"}) {
      store_->put(name, {{"age", {std::int64_t{40}, 1}}});
    }
  }
  ~Fetching() override {
    store_->let_go();
    fetcher_.close();
  }

  std::shared_ptr<Gathering> begin(const std::vector<std::string_view>& entities, Expected expected,
                                   std::chrono::milliseconds patience = 60s) {
    auto gathering = std::make_shared<Gathering>();
    gathering->fetched = std::make_shared<FetchedRows>();
    gathering->fetched->rows.resize(entities.size());
    gathering->due = std::chrono::steady_clock::now() + patience;
    gathering->request = testing::request_for(arrivals_, entities);
    std::vector<Fetcher::Want> wants;
    for (std::size_t i = 0; i < entities.size(); ++i) {
      auto known =
          fetcher_.recall(*lookup_, {&entities[i], 1}, terms_, std::chrono::steady_clock::now());
      if (known.fresh) {
        gathering->fetched->rows[i] = known.row;
      } else {
        wants.push_back({lookup_, known.key, packed({&entities[i], 1}), i});
        old_ = known.row;
      }
    }
    EXPECT_EQ(wants.empty(), expected == kThere);
    if (wants.empty()) return gathering;
    const auto began = fetcher_.fetch(gathering, std::move(wants));
    if (expected != kRefusedOrWaits) {
      EXPECT_EQ(began, expected == kWaits ? Fetcher::Began::kWaits : Fetcher::Began::kRefused);
    }
    return gathering;
  }
  // Those that have ended, once there are as many.
  std::vector<std::shared_ptr<Gathering>> ended(std::size_t count) {
    std::unique_lock lock(mutex_);
    change_.wait(lock, [&] { return ended_.size() >= count; });
    return std::exchange(ended_, {});
  }
  // False: there are not as many rows within a long time.
  bool are_cached(std::size_t rows) const {
    const auto until = std::chrono::steady_clock::now() + 20s;
    while (fetcher_.counts().cached_entries != rows) {
      if (std::chrono::steady_clock::now() > until) return false;
      std::this_thread::sleep_for(1ms);
    }
    return true;
  }
  // Fails until the store is left alone, and asks once more. False: that call came so late that it
  // was the trial after the pause, and nothing is shown.
  bool is_left_alone() {
    const auto calls = store_->calls().size();
    store_->fail_with(Error{Code::kUnavailable, "store_unavailable", "gone", {}});
    std::chrono::steady_clock::time_point before;
    for (int i = 0; i < Breaker::kMostFailures; ++i) {
      before = std::chrono::steady_clock::now();
      begin({"u1"}, kWaits);
      EXPECT_EQ(ended(1)[0]->trouble.load(), Trouble::kDown);
    }
    const auto refused = fetcher_.counts().refused;
    const auto last = begin({"u1"}, kRefusedOrWaits);
    const auto after = std::chrono::steady_clock::now();
    if (fetcher_.counts().refused > refused) {
      EXPECT_EQ(last->trouble.load(), Trouble::kDown);
      EXPECT_EQ(store_->calls().size() - calls, static_cast<std::size_t>(Breaker::kMostFailures));
      return true;
    }
    EXPECT_GE(after - before, Breaker::kFirstPause) << "it was asked too early";
    ended(1);
    std::this_thread::sleep_for(Breaker::kFirstPause);  // the next pause is twice as long
    return false;
  }
  void comes_back() {
    store_->fail_with(std::nullopt);
    std::this_thread::sleep_for(Breaker::kFirstPause);
    begin({"u1"}, kWaits);
    ended(1);
    begin({"u2"}, kWaits);
    ended(1);
    EXPECT_FALSE(fetcher_.counts().open);
  }

  std::shared_ptr<FakeStore> store_ = std::make_shared<FakeStore>();
  Fetcher::Terms terms_{60s, 60s};
  std::shared_ptr<const KeptRow> old_;  // that the cache had of the last one, past its time
  Arrivals arrivals_;
  Fetcher fetcher_;
  std::shared_ptr<const ReadLookup> lookup_;
  std::mutex mutex_;
  std::condition_variable change_;
  std::vector<std::shared_ptr<Gathering>> ended_;
};

TEST_F(Fetching, WhatWasFetchedIsThereTheNextTime) {
  begin({"u1"}, kWaits);
  const auto done = ended(1);
  EXPECT_EQ(std::get<std::int64_t>(done[0]->arrived[0]->values[0].data), 40);
  const auto again = begin({"u1"}, kThere);
  EXPECT_EQ(std::get<std::int64_t>(again->fetched->rows[0]->values[0].data), 40);
  EXPECT_EQ(store_->calls().size(), 1U);
  const auto counts = fetcher_.counts();
  EXPECT_EQ(counts.hits, 1U);
  EXPECT_EQ(counts.misses, 1U);
}

TEST_F(Fetching, EqualLookupsAreOne) { EXPECT_EQ(*fetcher_.prepare(kAge), lookup_); }

TEST_F(Fetching, ThoseThatComeMeanwhileShareTheNextCall) {
  store_->hold();
  begin({"u1"}, kWaits);
  store_->wait_for_calls(1);
  begin({"u2"}, kWaits);
  begin({"u3", "u4"}, kWaits);
  store_->let_go();
  ended(3);
  const auto calls = store_->calls();
  ASSERT_EQ(calls.size(), 2U);
  EXPECT_EQ(calls[1], (std::vector<std::string>{"u2", "u3", "u4"}));
}

TEST_F(Fetching, AnEntityThatIsUnderWayIsNotAskedForTwice) {
  store_->hold();
  begin({"u1"}, kWaits);
  store_->wait_for_calls(1);
  for (int i = 0; i < 5; ++i) begin({"u1", "u1"}, kWaits);
  store_->let_go();
  for (const auto& each : ended(6)) {
    for (const auto& row : each->arrived) EXPECT_TRUE(row != nullptr && row->known);
  }
  EXPECT_EQ(store_->calls().size(), 1U);
  EXPECT_EQ(fetcher_.counts().joined, 10U);
}

TEST_F(Fetching, UnknownEntitiesAreRememberedForTheirOwnTime) {
  begin({"nobody"}, kWaits);
  EXPECT_FALSE(ended(1)[0]->arrived[0]->known);
  EXPECT_FALSE(begin({"nobody"}, kThere)->fetched->rows[0]->known);
  terms_.negative_ttl = 0ms;
  begin({"nobody"}, kWaits);
  ended(1);
  EXPECT_EQ(fetcher_.counts().unknown, 1U);
}

TEST_F(Fetching, WhatCannotBeReadIsNotKept) {
  store_->put("u1", {{"age", {Unreadable{"is not a number"}, 0}}});
  begin({"u1"}, kWaits);
  ended(1);
  store_->put("u1", {{"age", {std::int64_t{41}, 1}}});
  begin({"u1"}, kWaits);
  EXPECT_EQ(std::get<std::int64_t>(ended(1)[0]->arrived[0]->values[0].data), 41);
}

TEST_F(Fetching, NobodyWaitsLongerThanTheirTime) {
  // So that its thread is there: what it takes up too late is not asked for at all.
  begin({"u2"}, kWaits);
  ended(1);
  store_->hold();
  begin({"u1"}, kWaits, 200ms);
  const auto late = ended(1);
  EXPECT_EQ(late[0]->trouble.load(), Trouble::kLate);
  store_->let_go();
  ASSERT_TRUE(are_cached(2)) << "what came later is not there for the next";
  begin({"u1"}, kThere);
  EXPECT_EQ(fetcher_.counts().late, 1U);
}

TEST_F(Fetching, WhoJoinsOneWithLessTimeHasItsOwn) {
  store_->hold();
  begin({"u2"}, kWaits);
  store_->wait_for_calls(1);
  const auto hasty = begin({"u1"}, kWaits, 50ms);
  const auto patient = begin({"u1"}, kWaits);
  // The hasty one's time is over before the store's thread comes to it.
  EXPECT_EQ(ended(1)[0], hasty);
  EXPECT_EQ(hasty->trouble.load(), Trouble::kLate);
  store_->let_go();
  ended(2);
  EXPECT_EQ(patient->trouble.load(), Trouble::kNone);
  ASSERT_NE(patient->arrived[0], nullptr);
  EXPECT_TRUE(patient->arrived[0]->known);
  const auto calls = store_->calls();
  ASSERT_EQ(calls.size(), 2U);
  EXPECT_EQ(calls[1], (std::vector<std::string>{"u1"}));
  EXPECT_EQ(fetcher_.counts().joined, 1U);
}

TEST_F(Fetching, WhatNobodyWaitsForAnyMoreIsNotAskedFor) {
  store_->hold();
  begin({"u2"}, kWaits);
  store_->wait_for_calls(1);
  begin({"u1"}, kWaits, 20ms);
  begin({"u1"}, kWaits, 10ms);
  for (const auto& each : ended(2)) EXPECT_EQ(each->trouble.load(), Trouble::kLate);
  store_->let_go();
  ended(1);
  // Whether this one joins those or comes after them, it is the first that the store hears of.
  begin({"u1"}, kWaits);
  EXPECT_EQ(ended(1)[0]->trouble.load(), Trouble::kNone);
  EXPECT_EQ(store_->calls().size(), 2U);
}

TEST_F(Fetching, AStoreThatFailsIsLeftAlone) {
  terms_ = {0ms, 0ms};  // each is asked for, however often
  bool shown = false;
  for (int i = 0; i < 20 && !shown; ++i) {
    shown = is_left_alone();
    comes_back();
  }
  EXPECT_TRUE(shown);
}

TEST_F(Fetching, ALookupThatIsRefusedDoesNotStopOthers) {
  store_->fail_with(Error{Code::kFailedPrecondition, "bad_store", "no such view", {}});
  for (int i = 0; i < 2 * Breaker::kMostFailures; ++i) {
    begin({"u1"}, kWaits);
    EXPECT_EQ(ended(1)[0]->trouble.load(), Trouble::kBroken);
  }
  EXPECT_FALSE(fetcher_.counts().open);
}

TEST_F(Fetching, OldRowsAreGivenToThoseWhoTakeThem) {
  begin({"u1"}, kWaits);
  ended(1);
  terms_ = {0ms, 0ms};
  begin({"u1"}, kWaits);
  ended(1);
  ASSERT_NE(old_, nullptr);
  EXPECT_TRUE(old_->known);
}

class FetchingTwice : public Fetching {
 protected:
  FetchingTwice() : Fetching(testing::store_options(2)) {}
};

TEST_F(FetchingTwice, ALookupDoesNotWaitForAnothersRoundTrip) {
  // Both threads are there, and have nothing to do.
  store_->hold();
  begin({"u1"}, kWaits);
  store_->wait_for_calls(1);
  begin({"u2"}, kWaits);
  store_->wait_for_calls(2);
  store_->let_go();
  ended(2);
  std::this_thread::sleep_for(20ms);
  store_->hold();
  const auto other = *fetcher_.prepare({{{"user", KeyType::kText}}, {{"age", FeatureType::kText}}});
  auto gathering = std::make_shared<Gathering>();
  gathering->fetched = std::make_shared<FetchedRows>();
  gathering->fetched->rows.resize(2);
  gathering->due = std::chrono::steady_clock::now() + 60s;
  gathering->request = testing::request_for(arrivals_, {"u3"});
  const std::string_view u3 = "u3";
  std::vector<Fetcher::Want> wants = {{lookup_, {1, 1}, packed({&u3, 1}), 0},
                                      {other, {2, 2}, packed({&u3, 1}), 1}};
  EXPECT_EQ(fetcher_.fetch(gathering, std::move(wants)), Fetcher::Began::kWaits);
  store_->wait_for_calls(4);
  store_->let_go();
  EXPECT_EQ(ended(1).size(), 1U);
}

TEST_F(Fetching, TheEndDropsThoseThatWait) {
  store_->hold();
  begin({"u1"}, kWaits);
  store_->wait_for_calls(1);
  const auto waiting = begin({"u2"}, kWaits);
  std::optional<Error> answer;
  waiting->request->on_done = [&](Request* done) { answer = done->reply.error; };
  std::thread closing([this] { fetcher_.close(); });
  // Refused from the moment that it closes; the call is let go only then.
  while (true) {
    auto late = std::make_shared<Gathering>();
    late->fetched = std::make_shared<FetchedRows>();
    late->fetched->rows.resize(1);
    late->due = std::chrono::steady_clock::now() + 60s;
    late->request = testing::request_for(arrivals_, {"u2"});
    const std::string_view u2 = "u2";
    std::vector<Fetcher::Want> wants = {{lookup_, {}, packed({&u2, 1}), 0}};
    if (fetcher_.fetch(late, std::move(wants)) == Fetcher::Began::kRefused) break;
    std::this_thread::sleep_for(1ms);
  }
  store_->let_go();
  closing.join();
  EXPECT_EQ(store_->calls().size(), 1U);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->reason, "dropped");
}

}  // namespace
}  // namespace sluice::features
