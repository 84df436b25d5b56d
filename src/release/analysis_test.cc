#include "release/analysis.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "base/random.h"

namespace sluice::release {
namespace {

using Kind = Verdict::Kind;
using json = nlohmann::ordered_json;

struct Step {
  Observation seen;
  bool labelled = false;
  bool wrong = false;
};

std::vector<Step> some_steps(std::size_t count, std::uint64_t seed) {
  Random random(seed);
  std::vector<Step> out;
  for (std::size_t i = 0; i < count; ++i) {
    const bool canary = random.uniform() < 0.2;
    const double u = random.uniform();
    out.push_back({{.canary = canary,
                    .share = 0.2,
                    .failed = random.uniform() < 0.03,
                    .unsound = random.uniform() < 0.01,
                    .millis = 20 / (0.05 + u) * (canary ? 1.3 : 1.0),
                    .at = TimePoint(std::chrono::milliseconds(1'000 + i))},
                   random.uniform() < 0.3,
                   random.uniform() < 0.1});
  }
  return out;
}

void feed(Analysis& judge, const Step& step) {
  judge.observe(step.seen);
  if (step.labelled) judge.label(step.seen.canary, step.seen.share, step.wrong);
}

void observe(Analysis& judge, bool canary, std::size_t count, bool failed = false,
             double millis = -1) {
  for (std::size_t i = 0; i < count; ++i) {
    judge.observe({.canary = canary, .share = 0.1, .failed = failed, .millis = millis});
  }
}

json metric(const Analysis& judge, const std::string& name) {
  const auto metrics = judge.evidence();
  for (const auto& each : metrics) {
    if (each["metric"] == name) return each;
  }
  return {};
}

std::vector<std::unique_ptr<Analysis>> both() {
  std::vector<std::unique_ptr<Analysis>> out;
  out.push_back(make_sequential({}));
  out.push_back(make_seed_rule());
  return out;
}

// Through JSON's text, as on the disk, at several places: in the warm-up, before slow is known, and
// after.
TEST(Analysis, ARestartInTheMiddleLeavesTheEvidenceBitIdentical) {
  const auto steps = some_steps(6'000, 1);
  for (const std::size_t middle : {10, 100, 300, 3'000}) {
    auto whole = both();
    auto second = both();
    for (std::size_t judge = 0; judge < whole.size(); ++judge) {
      for (std::size_t i = 0; i < steps.size(); ++i) {
        if (i == middle) second[judge]->restore(json::parse(whole[judge]->state().dump()));
        feed(*whole[judge], steps[i]);
        if (i >= middle) feed(*second[judge], steps[i]);
      }
      EXPECT_EQ(whole[judge]->state().dump(), second[judge]->state().dump()) << middle;
      EXPECT_EQ(whole[judge]->evidence().dump(), second[judge]->evidence().dump()) << middle;
      EXPECT_EQ(whole[judge]->verdict().why, second[judge]->verdict().why);
    }
  }
}

TEST(Analysis, AStateThatIsNoneLeavesItAsItWas) {
  for (const auto& judge : both()) {
    for (const auto* text : {"null", "7", "[]", "{}", "[1,2]", "[{},{}]",
                             R"({"errors":{"harm":[1],"arms":[[1],[2]]},"latency":7})"}) {
      judge->restore(json::parse(text));
      EXPECT_FALSE(judge->harmful()) << text;
    }
  }
}

TEST(Analysis, ManyGoodOnesAtOnceAreTheSameAsOneByOne) {
  auto single = both();
  auto bulk = both();
  Random random(2);
  for (int i = 0; i < 300; ++i) {
    const bool canary = random.uniform() < 0.3;
    const auto good = random.below(20);
    const bool failed = random.uniform() < 0.5;
    for (std::size_t judge = 0; judge < single.size(); ++judge) {
      observe(*single[judge], canary, good);
      bulk[judge]->answered(canary, good);
      if (failed) observe(*single[judge], !canary, 1, true);
      if (failed) observe(*bulk[judge], !canary, 1, true);
      ASSERT_EQ(single[judge]->state().dump(), bulk[judge]->state().dump());
    }
  }
}

TEST(Sequential, ADeadCanaryIsTakenBackAtOnce) {
  auto judge = make_sequential({});
  observe(*judge, false, 200);
  std::size_t failures = 0;
  for (; !judge->harmful(); ++failures) observe(*judge, true, 1, true);
  EXPECT_LE(failures, 10U);
  EXPECT_EQ(judge->verdict().kind, Kind::kHarmful);
}

TEST(Sequential, WhenBothFailTheCanaryIsNotToBlame) {
  auto judge = make_sequential({});
  for (int i = 0; i < 3'000; ++i) observe(*judge, i % 10 == 0, 1, true);
  EXPECT_FALSE(judge->harmful());
}

TEST(Sequential, OneUserWhoTriesAgainIsOneBadEvent) {
  auto one = make_sequential({});
  auto many = make_sequential({});
  for (std::uint64_t i = 0; i < 6; ++i) {
    const auto at = TimePoint(std::chrono::milliseconds(1'000 + 10 * i));
    Observation seen{.canary = true, .share = 0.1, .failed = true, .at = at};
    seen.unit = 77;
    one->observe(seen);
    seen.unit = 77 + i;
    many->observe(seen);
  }
  EXPECT_TRUE(many->harmful());
  EXPECT_FALSE(one->harmful());
  EXPECT_EQ(metric(*one, "errors")["canary"]["bad"], 6);
}

TEST(Sequential, AnswersThatAreNotFiniteAndWrongLabelsCount) {
  auto finite = make_sequential({});
  auto accuracy = make_sequential({});
  observe(*finite, false, 1'000);
  for (int i = 0; i < 2'000; ++i) {
    const bool canary = i % 10 == 0;
    finite->observe({.canary = canary, .share = 0.1, .unsound = canary && i % 20 == 0});
    accuracy->label(canary, 0.1, i % 50 == 0 || (!canary && i % 7 == 0 && i % 5 == 0));
  }
  EXPECT_TRUE(finite->harmful());
  EXPECT_NE(finite->verdict().why.find("not finite"), std::string::npos);
  EXPECT_FALSE(metric(*accuracy, "wrong").is_null());
  for (int i = 0; i < 300; ++i) accuracy->label(i % 2 == 0, 0.5, i % 2 == 0);
  EXPECT_TRUE(accuracy->harmful());
}

TEST(Sequential, SpeedIsComparedOnlyAfterTheWarmUp) {
  auto judge = make_sequential({});
  for (int i = 0; i < 500; ++i) observe(*judge, false, 1, false, 10 + i % 7);
  observe(*judge, true, 50, false, 1'000);
  EXPECT_EQ(metric(*judge, "latency")["e"], 1.0);
  for (int i = 0; i < 400 && !judge->harmful(); ++i) {
    observe(*judge, false, 9, false, 10 + i % 7);
    observe(*judge, true, 1, false, 1'000);
  }
  EXPECT_TRUE(judge->harmful());
  EXPECT_NE(judge->verdict().why.find("slower than 1.5 times"), std::string::npos);
}

TEST(Sequential, ADifferenceWithinTheSlackIsNone) {
  for (const auto& [canary, slack, harmful] :
       {std::tuple{0.9, 1.0, false}, std::tuple{0.9, 0.0, true}, std::tuple{1.2, 1.0, true}}) {
    auto judge = make_sequential({.latency_slack = slack});
    for (int i = 0; i < 5'000; ++i) {
      judge->observe({.canary = i % 5 == 0, .share = 0.2, .millis = i % 5 == 0 ? canary : 0.02});
    }
    EXPECT_EQ(judge->harmful(), harmful) << canary << ", " << slack;
  }
}

TEST(Sequential, AGoodCanaryIsSafeAfterItsLeastRequestsAndNotBefore) {
  auto judge = make_sequential({.min_requests = 1'000});
  Random random(3);
  std::uint64_t canary = 0;
  while (judge->verdict().kind == Kind::kOpen && canary < 20'000) {
    const bool its = random.uniform() < 0.2;
    canary += its ? 1 : 0;
    judge->observe({.canary = its, .share = 0.2, .millis = 10 / (0.05 + random.uniform())});
  }
  EXPECT_EQ(judge->verdict().kind, Kind::kSafe) << judge->verdict().why;
  EXPECT_GE(canary, 1'000U);
}

TEST(Sequential, BurstsThatStableIsKnownForWeighLess) {
  statistics::Burstiness bursts;
  for (std::uint64_t at = 0; at < 100'000; at += 2'000) {
    for (std::uint64_t i = 0; i < 20; ++i) bursts.bad(at + i);
  }
  auto patient = make_sequential({});
  patient->learn(bursts, 100'000);
  auto hasty = make_sequential({});
  for (auto* judge : {patient.get(), hasty.get()}) {
    observe(*judge, false, 500);
    observe(*judge, true, 20, true);
  }
  EXPECT_TRUE(hasty->harmful());
  EXPECT_FALSE(patient->harmful());
  EXPECT_GT(metric(*patient, "errors")["burst_size"], 15);
}

TEST(SeedRule, DoesWhatTheSeedSays) {
  auto judge = make_seed_rule();
  observe(*judge, false, 1'000);
  observe(*judge, true, 99, true);
  EXPECT_FALSE(judge->harmful());  // not enough data
  observe(*judge, true, 1);
  EXPECT_TRUE(judge->harmful());

  auto slow = make_seed_rule();
  observe(*slow, false, 1'000, false, 10);
  observe(*slow, true, 100, false, 14);
  EXPECT_FALSE(slow->harmful());
  observe(*slow, true, 100, false, 16);
  EXPECT_TRUE(slow->harmful());
}

}  // namespace
}  // namespace sluice::release
