#include "features/joiner.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cmath>
#include <thread>

#include "core/hand_back.h"
#include "features/testing/fake_store.h"

namespace sluice::features {
namespace {

using namespace std::chrono_literals;
using testing::Arrivals;
using testing::FakeStore;

std::int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

class Joining : public ::testing::Test {
 protected:
  Joining() : fetcher_(testing::store_options(), store_) {
    fetcher_.on_ended([](std::vector<std::shared_ptr<Gathering>> ended) {
      std::vector<RequestPtr> requests;
      for (const auto& each : ended) {
        each->joiner->settle(*each);
        requests.push_back(std::move(each->request));
      }
      hand_back(requests);
    });
    options_.names = {"age", "income"};
    options_.timeout = 60s;
    signature_.inputs.push_back({"x", DType::kFloat32, {-1, 2}, Role::kUnknown});
    store_->put("u1", {{"age", {std::int64_t{41}, 1000}}, {"income", {2.5, 2000}}});
    store_->put("u2", {{"age", {std::int64_t{20}, 1000}}, {"income", {Null{}, 2000}}});
    store_->put("u3", {{"age", {std::int64_t{30}, 1000}}});
  }
  ~Joining() override {
    store_->let_go();
    fetcher_.close();
  }

  const Joiner& joiner() {
    if (joiner_ == nullptr) {
      auto made = Joiner::make(options_, signature_, false, fetcher_);
      EXPECT_TRUE(made) << (made ? "" : made.error().message);
      joiner_ = *std::move(made);
    }
    return *joiner_;
  }
  FeatureAsk::Given given(std::size_t row, std::string_view name, FeatureData data) {
    const auto& names = joiner().fetched()->names;
    const auto at = std::ranges::find(names, name) - names.begin();
    return {row, static_cast<std::size_t>(at), std::move(data)};
  }
  // The request behind fetch and join; its error is in the reply.
  RequestPtr join(std::vector<std::string_view> entities,
                  std::vector<FeatureAsk::Given> sent = {}) {
    auto request = testing::request_for(arrivals_, std::move(entities), std::move(sent));
    const_cast<FeatureAsk&>(*request->ask).of = joiner().fetched();
    request->choice.release = 7;
    if (!joiner().fetch(request)) request = arrivals_.next();
    if (request->reply.error) return request;
    if (auto joined = joiner().join(*request, signature_); !joined) {
      request->reply.error = joined.error();
    }
    return request;
  }
  static std::vector<float> values(const Request& request) {
    if (request.reply.error) return {};
    const auto all = request.inputs[0].as<float>();
    return {all.begin(), all.end()};
  }
  static std::string_view reason(const Request& request) {
    return request.reply.error ? request.reply.error->reason : "";
  }

  std::shared_ptr<FakeStore> store_ = std::make_shared<FakeStore>();
  Arrivals arrivals_;
  Fetcher fetcher_;
  FeatureOptions options_;
  Signature signature_;
  std::unique_ptr<const Joiner> joiner_;
};

TEST_F(Joining, FetchedFeaturesBecomeInputsWithTheirTimes) {
  const auto request = join({"u1"});
  EXPECT_EQ(values(*request), (std::vector<float>{41, 2.5}));
  EXPECT_EQ(std::vector(request->feature_times.begin(), request->feature_times.end()),
            (std::vector<std::int64_t>{1000, 2000}));
  EXPECT_TRUE(request->warnings.empty());
}

TEST_F(Joining, RowsOfManyEntities) {
  const auto request = join({"u1", "u1"});
  EXPECT_EQ(values(*request), (std::vector<float>{41, 2.5, 41, 2.5}));
  EXPECT_EQ(request->rows, 2U);
  EXPECT_EQ(store_->calls().size(), 1U);
}

TEST_F(Joining, WhatIsSentGoesBeforeWhatIsFetched) {
  const auto request = join({"u1", "u1"}, {given(1, "age", std::int64_t{50})});
  EXPECT_EQ(values(*request), (std::vector<float>{41, 2.5, 50, 2.5}));
  EXPECT_EQ(request->feature_times[2], 0);
}

TEST_F(Joining, NothingIsFetchedThatIsSent) {
  const auto request =
      join({"nobody"}, {given(0, "age", std::int64_t{1}), given(0, "income", 2.0)});
  EXPECT_EQ(values(*request), (std::vector<float>{1, 2}));
  EXPECT_TRUE(store_->calls().empty());
}

TEST_F(Joining, WithoutAnEntityEverythingMustBeSent) {
  const auto request = join({}, {given(0, "age", std::int64_t{1})});
  EXPECT_EQ(reason(*request), "missing_feature");
  EXPECT_NE(request->reply.error->message.find("entity_id"), std::string::npos);
}

TEST_F(Joining, AnUnknownEntityIsNotFound) {
  const auto request = join({"u1", "nobody"});
  EXPECT_EQ(reason(*request), "unknown_entity");
  EXPECT_EQ(request->reply.error->code, Code::kNotFound);
  EXPECT_NE(request->reply.error->message.find("'nobody'"), std::string::npos);
}

TEST_F(Joining, NullIsAMissingValueAndIsSaid) {
  const auto request = join({"u2"});
  ASSERT_EQ(reason(*request), "");
  EXPECT_TRUE(std::isnan(values(*request)[1]));
  ASSERT_EQ(request->warnings.size(), 1U);
  EXPECT_NE(request->warnings[0].find("'income' has no value"), std::string::npos);
}

TEST_F(Joining, AFeatureThatIsNotThereIsAnError) {
  EXPECT_EQ(reason(*join({"u3"})), "missing_feature");
  EXPECT_EQ(reason(*join({"u3"}, {given(0, "income", 3.0)})), "");
}

TEST_F(Joining, DefaultsStandInForBoth) {
  FeatureDefinition income;
  income.name = "income";
  income.fallback = DefaultValue{std::int64_t{9}};
  options_.define = {income};
  EXPECT_EQ(values(*join({"u2"})), (std::vector<float>{20, 9}));
  EXPECT_EQ(values(*join({"u3"})), (std::vector<float>{30, 9}));
}

TEST_F(Joining, WrongTypesAreNamed) {
  store_->put("bad", {{"age", {Unreadable{"is not a number"}, 0}}, {"income", {1.0, 0}}});
  store_->put("huge", {{"age", {1e300, 0}}, {"income", {1.0, 0}}});
  EXPECT_EQ(reason(*join({"bad"})), "wrong_type");
  EXPECT_EQ(reason(*join({"huge"})), "wrong_type");
  EXPECT_EQ(reason(*join({"u1"}, {given(0, "age", std::string("old"))})), "wrong_type");
}

TEST_F(Joining, IntegersAreExact) {
  signature_.inputs[0].dtype = DType::kInt64;
  constexpr std::int64_t kLarge = 9007199254740993;
  store_->put("u1", {{"age", {kLarge, 0}}, {"income", {3.0, 0}}});
  const auto request = join({"u1"});
  ASSERT_EQ(reason(*request), "");
  EXPECT_EQ(request->inputs[0].as<std::int64_t>()[0], kLarge);
  EXPECT_EQ(reason(*join({"u1"}, {given(0, "income", 2.5)})), "wrong_type");
  EXPECT_EQ(reason(*join({"u2"})), "wrong_type");  // no missing values
}

TEST_F(Joining, StaleFeaturesWarnOrAreRefused) {
  options_.max_age = Millis(3'600'000);
  store_->put("u1", {{"age", {std::int64_t{41}, now_ns() - 7'200'000'000'000}},
                     {"income", {2.5, now_ns()}}});
  const auto warned = join({"u1"});
  ASSERT_EQ(warned->warnings.size(), 1U);
  EXPECT_NE(warned->warnings[0].find("'age' is older than 60 min"), std::string::npos);
  joiner_ = nullptr;
  options_.stale = StaleAction::kReject;
  const auto refused = join({"u1"});
  EXPECT_EQ(reason(*refused), "stale_feature");
  ASSERT_EQ(refused->reply.error->details.size(), 1U);
  EXPECT_EQ(refused->reply.error->details[0].feature, "age");
  EXPECT_EQ(refused->reply.error->details[0].high, 3600);
}

TEST_F(Joining, MadeFeaturesUseWhatWasSent) {
  FeatureDefinition ratio;
  ratio.name = "ratio";
  ratio.ratio = {"amount", "income"};
  options_.names = {"age", "ratio"};
  options_.define = {ratio};
  const auto request = join({"u1"}, {given(0, "amount", 5.0)});
  EXPECT_EQ(values(*request), (std::vector<float>{41, 2}));
  EXPECT_EQ(request->feature_times[1], 2000);  // of the income
  EXPECT_EQ(reason(*join({"u1"})), "missing_feature");
}

TEST_F(Joining, AStoreThatDoesNotAnswerInTime) {
  options_.timeout = 5ms;
  store_->hold();
  const auto request = join({"u1"});
  EXPECT_EQ(reason(*request), "features_timeout");
  EXPECT_EQ(request->reply.error->code, Code::kDeadlineExceeded);
  EXPECT_EQ(request->choice.release, 0U);  // no version's fault
}

TEST_F(Joining, FeaturesThatWereChangedMeanwhileAreNotMixedUp) {
  auto request = testing::request_for(arrivals_, {"u1"}, {given(0, "age", std::int64_t{1})});
  FeatureAsk& ask = const_cast<FeatureAsk&>(*request->ask);
  ask.of = std::make_shared<const FetchedFeatures>(
      FetchedFeatures{joiner().fetched()->keys, {"income", "age"}, 10});
  ASSERT_TRUE(joiner().fetch(request));
  EXPECT_EQ(reason(*request), "features_changed");
  // The same in another place is the same.
  request = testing::request_for(arrivals_, {"u1"}, {given(0, "age", std::int64_t{1})});
  const_cast<FeatureAsk&>(*request->ask).of =
      std::make_shared<const FetchedFeatures>(*joiner().fetched());
  if (!joiner().fetch(request)) request = arrivals_.next();
  EXPECT_EQ(reason(*request), "");
}

TEST_F(Joining, NullsHaveTheirTimeAndAge) {
  store_->put("u1", {{"age", {Null{}, now_ns() - 7'200'000'000'000}}, {"income", {2.5, now_ns()}}});
  EXPECT_NE(join({"u1"})->feature_times[0], 0);
  joiner_ = nullptr;
  options_.max_age = Millis(3'600'000);
  options_.stale = StaleAction::kReject;
  EXPECT_EQ(reason(*join({"u1"})), "stale_feature");
}

TEST_F(Joining, InfinityIsNoValue) {
  store_->put("u1", {{"age", {INFINITY, 0}}, {"income", {1.0, 0}}});
  EXPECT_EQ(reason(*join({"u1"})), "wrong_type");
}

TEST_F(Joining, DefaultsInPlaceOfAStoreThatIsDown) {
  options_.unavailable = UnavailableAction::kDefault;
  store_->fail_with(Error{Code::kUnavailable, "store_unavailable", "gone", {}});
  EXPECT_EQ(reason(*join({"u1"})), "store_unavailable");  // there are none
  EXPECT_EQ(values(*join({"u1"}, {given(0, "age", 3.0), given(0, "income", 4.0)})),
            (std::vector<float>{3, 4}));
  joiner_ = nullptr;
  for (const auto* name : {"age", "income"}) {
    auto& each = options_.define.emplace_back();
    each.name = name;
    each.fallback = DefaultValue{std::int64_t{1}};
  }
  const auto request = join({"u1"});
  EXPECT_EQ(values(*request), (std::vector<float>{1, 1}));
  ASSERT_EQ(request->warnings.size(), 1U);
  EXPECT_NE(request->warnings[0].find("defaults were used"), std::string::npos);
}

TEST_F(Joining, OldValuesInPlaceOfAStoreThatIsDown) {
  options_.unavailable = UnavailableAction::kStale;
  options_.ttl = 0ms;
  EXPECT_EQ(values(*join({"u1"})), (std::vector<float>{41, 2.5}));
  store_->fail_with(Error{Code::kUnavailable, "store_unavailable", "gone", {}});
  const auto request = join({"u1"});
  EXPECT_EQ(values(*request), (std::vector<float>{41, 2.5}));
  ASSERT_EQ(request->warnings.size(), 1U);
  EXPECT_NE(request->warnings[0].find("before their ttl"), std::string::npos);
  EXPECT_EQ(reason(*join({"u3"})), "store_unavailable");
}

TEST_F(Joining, KeysAreCheckedAgainstTheirTypes) {
  options_.entity.list = {{"id", KeyType::kInt64}};
  EXPECT_EQ(reason(*join({"u1"})), "bad_entity");
  EXPECT_EQ(reason(*join({"17"})), "unknown_entity");
}

TEST_F(Joining, ValuesThatAreCutElsewhereAreOthers) {
  options_.entity.list = {{"a", KeyType::kText}, {"b", KeyType::kText}};
  const auto ask = [&](std::string_view a, std::string_view b) {
    auto request = testing::request_for(arrivals_, {a, b});
    const_cast<FeatureAsk&>(*request->ask).of = joiner().fetched();
    const_cast<FeatureAsk&>(*request->ask).rows = 1;
    if (!joiner().fetch(request)) request = arrivals_.next();
    return request;
  };
  ask("ab", "c");
  ask("a", "bc");
  EXPECT_EQ(store_->calls().size(), 2U);
}

// Ends requests where they go on, and counts them.
class Ending final : public Onward {
 public:
  void resume(RequestPtr request) const override {
    (request->reply.error ? refused : fetched).fetch_add(1);
    finish(std::move(request), Error{Code::kCancelled, "over", "over", {}});
  }
  mutable std::atomic<int> fetched{0};
  mutable std::atomic<int> refused{0};
};

// Whatever comes first, the store, the clock, the breaker or the end: each request goes on once.
TEST_F(Joining, EveryRequestEndsOnce) {
  constexpr int kThreads = 4;
  constexpr int kRequests = 3000;
  options_.timeout = 1ms;
  options_.ttl = 0ms;
  const Joiner& all = joiner();
  const Ending ending;
  std::atomic<int> done = 0;
  std::atomic<bool> over = false;
  const auto ask = [&](std::vector<std::string_view> names) {
    auto request = testing::request_for(arrivals_, std::move(names));
    const_cast<FeatureAsk&>(*request->ask).of = all.fetched();
    request->onward = &ending;
    request->on_done = [&done](Request*) { done.fetch_add(1); };
    if (all.fetch(request)) ending.resume(std::move(request));
  };
  std::thread weather([&] {
    for (int i = 0; !over; ++i) {
      if (i % 3 == 0) store_->hold();
      std::this_thread::sleep_for(2ms);
      store_->let_go();
      store_->fail_with(i % 5 == 0 ? std::optional(Error{Code::kUnavailable, "x", "gone", {}})
                                   : std::nullopt);
    }
  });
  std::vector<std::thread> clients;
  for (int t = 0; t < kThreads; ++t) {
    clients.emplace_back([&, t] {
      const std::array<std::string_view, 4> names = {"u1", "u2", "u3", "nobody"};
      for (int i = 0; i < kRequests; ++i) {
        ask({names[(i + t) % 4], names[i % 3]});
      }
    });
  }
  for (auto& client : clients) client.join();
  over = true;
  weather.join();
  store_->let_go();
  // Those that wait at the end are dropped; here all are to have their turn, on whatever machine.
  const auto patience = std::chrono::steady_clock::now() + 60s;
  while (done < kThreads * kRequests && std::chrono::steady_clock::now() < patience) {
    std::this_thread::sleep_for(1ms);
  }
  fetcher_.close();
  EXPECT_EQ(done, kThreads * kRequests);
  EXPECT_EQ(ending.fetched + ending.refused, kThreads * kRequests);
}

}  // namespace
}  // namespace sluice::features
