#include "serving/faults.h"

#include <gtest/gtest.h>

#include <cmath>
#include <csignal>

#include "serving/model_servable.h"
#include "serving/testing/fakes.h"

namespace sluice::serving {
namespace {

using namespace testing;

std::shared_ptr<const Fault> fault_of(std::string_view text, std::string_view version) {
  const auto table = FaultTable::parse(text);
  EXPECT_TRUE(table) << (table ? "" : table.error().message);
  return table ? table->of(*ModelName::parse("m"), *VersionName::parse(version)) : nullptr;
}

TEST(Faults, AreReadByVersion) {
  const auto text =
      "m/v2: errors=0.05 delay=5s delay_rate=0.1 nan=0.01 crash=0.2; m/v3:  errors=1 ;";
  const auto v2 = fault_of(text, "v2");
  ASSERT_NE(v2, nullptr);
  EXPECT_EQ(v2->errors, 0.05);
  EXPECT_EQ(v2->delay, Millis(5000));
  EXPECT_EQ(v2->delay_rate, 0.1);
  EXPECT_EQ(v2->nan, 0.01);
  EXPECT_EQ(v2->of_run().crash, 0.2);
  EXPECT_EQ(v2->of_run().delay, Millis(5000));
  EXPECT_EQ(v2->of_run().delay_rate, 0.1);
  const auto v3 = fault_of(text, "v3");
  ASSERT_NE(v3, nullptr);
  EXPECT_EQ(v3->errors, 1);
  EXPECT_EQ(v3->delay_rate, 1);
  EXPECT_FALSE(v3->delays());
  EXPECT_EQ(v3->of_run().delay_rate, 0) << "nothing to wait for";
  EXPECT_EQ(fault_of(text, "v1"), nullptr);
  EXPECT_TRUE(FaultTable::parse("")->empty());
  EXPECT_TRUE(FaultTable::parse(" ; ")->empty());
}

TEST(Faults, MistakesAreNamed) {
  const std::pair<const char*, const char*> cases[] = {
      {"v2: errors=1", "does not begin with MODEL"},
      {"m/v2 errors=1", "does not begin with MODEL"},
      {"m/v2:", "it names no fault"},
      {"m/v2: errors", "no '='"},
      {"m/v2: errors=2", "from 0 to 1"},
      {"m/v2: errors=nan", "from 0 to 1"},
      {"m/v2: delay=5", "'delay=5'"},
      {"m/v2: delay=2h", "at most 1h"},
      {"m/v2: eror=1", "did you mean 'errors'"},
      {"m/v2: errors=1; m/v2: nan=1", "named before"},
      {"../x/v2: errors=1", "name is not valid"},
  };
  for (const auto& [text, expected] : cases) {
    const auto table = FaultTable::parse(text);
    ASSERT_FALSE(table) << text;
    EXPECT_NE(table.error().message.find(expected), std::string::npos)
        << text << ": " << table.error().message;
  }
}

// A version of a Doubler with these faults, asked by itself or in turns of a loop.
struct Faulty {
  explicit Faulty(std::string_view faults, ModelConfig config = {}) {
    auto loaded = std::make_unique<Doubler>();
    model = loaded.get();
    servable = *make_servable_factory(*FaultTable::parse(faults))
                    ->make(*ModelName::parse("m"), *VersionName::parse("1"), std::move(loaded),
                           config, 2, std::make_shared<Tally>(), nullptr);
  }
  ~Faulty() { servable->close(); }

  void ask(Floats values, Turn* turn = nullptr) {
    auto request = client.request(std::move(values), 1, turn);
    request->servable = servable;
    if (servable->run(request)) finish(std::move(request));
  }

  Client client;
  Loop loop;
  const Doubler* model;
  std::shared_ptr<const Servable> servable;
};

TEST(Faults, EveryRequestOfABatchFailsByItself) {
  ModelConfig config;
  config.batching = Batching();
  Faulty faulty("m/1: errors=0.5", config);
  constexpr int kAsked = 2000;
  for (int i = 0; i < kAsked / 20; ++i) {
    for (int n = 0; n < 20; ++n) faulty.ask({1}, &faulty.loop);
    faulty.loop.turn();
  }
  ASSERT_TRUE(faulty.loop.turn_until([&] { return faulty.client.answered() == kAsked; }));
  int failed = 0;
  for (const auto& answer : faulty.client.answers()) {
    if (answer.reason.empty()) {
      EXPECT_EQ(answer.values, Floats{2});
      continue;
    }
    EXPECT_EQ(answer.reason, "injected_fault");
    EXPECT_EQ(answer.code, Code::kInternal);
    ++failed;
  }
  // Half of 2,000, and nine standard deviations of 22 to both sides.
  EXPECT_GT(failed, 800);
  EXPECT_LT(failed, 1200);
  EXPECT_LT(faulty.model->runs().size(), std::size_t{kAsked}) << "they shared runs";
}

TEST(Faults, TheFirstNumberIsNoNumber) {
  Faulty faulty("m/1: nan=1");
  faulty.ask({1, 2, 3});
  const auto answer = faulty.client.answer(0);
  ASSERT_EQ(answer.values.size(), 3U);
  EXPECT_TRUE(std::isnan(answer.values[0]));
  EXPECT_EQ(answer.values[1], 4);
  EXPECT_EQ(answer.values[2], 6);
}

TEST(Faults, AVersionThatHangsDoesNotRunOnALoopsThread) {
  Faulty faulty("m/1: delay=1ms");
  const auto runs = faulty.model->runs().size();
  faulty.ask({1}, &faulty.loop);
  ASSERT_TRUE(faulty.loop.turn_until([&] { return faulty.client.answered() == 1; }));
  ASSERT_EQ(faulty.model->runs().size(), runs + 1);
  EXPECT_NE(faulty.model->runs().back().thread, std::this_thread::get_id());
  EXPECT_EQ(faulty.client.answer(0).values, Floats{2});
}

TEST(FaultsDeathTest, ACrashIsOne) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        std::signal(SIGSEGV, SIG_DFL);  // sanitizers have a handler of their own
        Faulty("m/1: crash=1").ask({1});
      },
      ::testing::KilledBySignal(SIGSEGV), "");
}

TEST(Faults, OthersAreLeftAlone) {
  Faulty faulty("m/2: errors=1 nan=1");
  faulty.ask({1});
  EXPECT_EQ(faulty.client.answer(0).values, Floats{2});
}

}  // namespace
}  // namespace sluice::serving
