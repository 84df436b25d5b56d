#include "serving/shadow_line.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include "serving/testing/shadows.h"

namespace sluice::serving {
namespace {

using namespace testing;
using Fixture = ShadowFixture;

TEST(ShadowLine, AHangingShadowFillsItsQueueAndNothingElse) {
  auto options = patient();
  options.max_requests = 8;
  Fixture fixture(options);
  fixture.add(times(2));
  const Doubler& shadow = fixture.add_doubler();
  fixture.publish();
  shadow.hold();
  EXPECT_EQ(fixture.ask({1}), Floats{2});
  ASSERT_TRUE(shadow.wait_inside());
  for (int i = 0; i < 100; ++i) EXPECT_EQ(fixture.ask({2}), Floats{4});
  EXPECT_EQ(fixture.counts().waiting, 8U);
  EXPECT_EQ(fixture.counts().full, 92U);
  shadow.let_go();
  ASSERT_TRUE(fixture.until_predicted(9));
  EXPECT_EQ(shadow.most_at_once(), 1);
  EXPECT_EQ(fixture.counts().disagreements, 0U);
}

TEST(ShadowLine, WhatHasWaitedTooLongIsDropped) {
  ShadowOptions options;
  options.max_wait = Millis(50);
  Fixture fixture(options);
  fixture.add(times(2));
  const Doubler& shadow = fixture.add_doubler();
  fixture.publish();
  shadow.hold();
  // On a busy machine the thread may come too late even for the first.
  std::uint64_t asked = 0;
  ASSERT_TRUE(Fixture::until([&] {
    fixture.ask({1});
    ++asked;
    const auto handled = [&] { return !shadow.runs().empty() || fixture.counts().late == asked; };
    return Fixture::until(handled) && !shadow.runs().empty();
  }));
  const auto before = fixture.counts().late;
  for (int i = 0; i < 3; ++i) fixture.ask({1});
  std::this_thread::sleep_for(60ms);
  shadow.let_go();
  ASSERT_TRUE(Fixture::until([&] { return fixture.counts().late == before + 3; }));
  EXPECT_EQ(fixture.counts().predictions, 1U);
}

TEST(ShadowLine, BytesThatWaitAreBounded) {
  auto options = patient();
  options.max_bytes = 40'000;  // each case is a few KiB by itself
  Fixture fixture(options);
  fixture.add(times(2));
  const Doubler& shadow = fixture.add_doubler();
  fixture.publish();
  shadow.hold();
  fixture.ask({1});
  ASSERT_TRUE(shadow.wait_inside());
  for (int i = 0; i < 50; ++i) fixture.ask(Floats(1000, 1));
  const auto counts = fixture.counts();
  EXPECT_GE(counts.waiting, 1U);
  EXPECT_LE(counts.waiting * 8000, 40'000U) << "inputs and outputs are 8,000 bytes";
  EXPECT_EQ(counts.waiting + counts.full, 50U);
  shadow.let_go();
}

TEST(ShadowLine, AFailingShadowIsCountedAndGoesOn) {
  Fixture fixture;
  fixture.add(times(2));
  fixture.add_doubler();  // refuses -1
  fixture.publish();
  EXPECT_EQ(fixture.ask({-1}), Floats{-2});
  EXPECT_EQ(fixture.ask({1}), Floats{2});
  ASSERT_TRUE(fixture.until_predicted(1));
  EXPECT_EQ(fixture.counts().errors, 1U);
}

TEST(ShadowLine, InputsAreFoundByTheirNames) {
  Fixture fixture;
  fixture.add(std::make_unique<Linear>(std::vector<std::string>{"a", "b"}, 1));
  fixture.add(std::make_unique<Linear>(std::vector<std::string>{"b", "a"}, 1));
  fixture.publish();
  EXPECT_EQ(fixture.ask({5, 3}, 2), Floats{2});
  ASSERT_TRUE(fixture.until_predicted(1));
  EXPECT_EQ(fixture.counts().disagreements, 0U);
}

TEST(ShadowLine, WhatDoesNotFitTheShadowIsAnError) {
  Fixture fixture;
  fixture.add(times(2));
  fixture.add(std::make_unique<Linear>(std::vector<std::string>{"x"}, 2, 3));      // width
  fixture.add(std::make_unique<Linear>(std::vector<std::string>{"a", "b"}, 2));    // inputs
  fixture.add(std::make_unique<Linear>(std::vector<std::string>{"other"}, 2, 1));  // fits
  fixture.publish();
  EXPECT_EQ(fixture.ask({1}), Floats{2});
  ASSERT_TRUE(Fixture::until([&] { return fixture.counts(0).errors == 1; }));
  ASSERT_TRUE(Fixture::until([&] { return fixture.counts(1).errors == 1; }));
  ASSERT_TRUE(fixture.until_predicted(1, 2));
}

// Tells with its answer how the system schedules the thread that it ran on.
class Scheduled final : public Model {
 public:
  Scheduled() {
    signature_.inputs.push_back({"x", DType::kFloat32, {-1, 1}, Role::kUnknown});
    signature_.outputs.push_back({"y", DType::kFloat32, {-1, 1}, Role::kUnknown});
  }
  const Signature& signature() const override { return signature_; }
  Result<void> run(std::span<const TensorView> inputs, std::span<TensorView> outputs,
                   Arena& arena) const override {
    const bool idle = sched_getscheduler(0) == SCHED_IDLE ||
                      getpriority(PRIO_PROCESS, static_cast<id_t>(gettid())) == 19;
    auto out = arena.array<float>(1);
    out[0] = idle ? 1 : 0;
    outputs[0] = inputs[0];
    outputs[0].data = std::as_bytes(out);
    return {};
  }
  std::string_view platform() const override { return "test"; }
  std::vector<Fact> facts() const override { return {{"kind", "test"}}; }
  std::uint64_t parameters() const override { return 0; }

 private:
  Signature signature_;
};

// The version's model answers users; as a shadow another one does, in its place.
struct Hosted {
  Hosted() {
    fixture.add(times(2));
    fixture.add(times(5), std::make_shared<FakeHost>(process));
    fixture.publish();
  }
  std::shared_ptr<FakeHosted> process = std::make_shared<FakeHosted>(times(3));
  Fixture fixture;
};

TEST(ShadowLine, RunsInAProcessWhereThereIsOne) {
  Hosted hosted;
  EXPECT_EQ(hosted.fixture.ask({1}), Floats{2});
  ASSERT_TRUE(hosted.fixture.until_predicted(1));
  const auto status = hosted.fixture.status();
  EXPECT_DOUBLE_EQ(status.report.max_difference, 1) << "3 and not 5 times";
  EXPECT_EQ(status.report.timed, 1U);
  EXPECT_NEAR(status.report.shadow_ms[0], 7, 0.2) << "the engine's own time";
  EXPECT_EQ(status.host.state, HostStatus::State::kRunning);
  EXPECT_EQ(status.host.ended, 3U);
  EXPECT_EQ(hosted.fixture.servables[1]->tally().sums().executions, 1U);
  EXPECT_FALSE(hosted.process->stopped);
  EXPECT_TRUE(hosted.fixture.runner.close(kLong));
  EXPECT_TRUE(hosted.process->stopped);
}

TEST(ShadowLine, ACrashIsAnErrorAndNoProcessADrop) {
  Hosted hosted;
  const auto counts = [&] { return hosted.fixture.counts(); };
  hosted.process->crashes = true;
  EXPECT_EQ(hosted.fixture.ask({1}), Floats{2});
  ASSERT_TRUE(Fixture::until([&] { return counts().errors == 1; }));
  hosted.process->up = false;
  EXPECT_EQ(hosted.fixture.ask({1}), Floats{2});
  ASSERT_TRUE(Fixture::until([&] { return counts().down == 1; }));
  EXPECT_EQ(counts().dropped(), 1U);
  EXPECT_EQ(hosted.process->runs, 1);
  hosted.process->crashes = false;
  hosted.process->up = true;
  EXPECT_EQ(hosted.fixture.ask({1}), Floats{2});
  ASSERT_TRUE(hosted.fixture.until_predicted(1));
  EXPECT_EQ(counts().errors, 1U);
}

TEST(ShadowLine, ItsProcessEndsWithIt) {
  auto options = patient();
  options.idle = Millis(5);
  auto process = std::make_shared<FakeHosted>(times(3));
  Fixture fixture(options);
  fixture.add(times(2));
  fixture.add(times(2), std::make_shared<FakeHost>(process));
  fixture.publish();
  fixture.ask({1});
  ASSERT_TRUE(fixture.until_predicted(1));
  fixture.publish(false);
  ASSERT_TRUE(Fixture::until([&] { return process->stopped.load(); }));
}

TEST(ShadowLine, RunsOnWhatNobodyElseWants) {
  Fixture fixture;
  fixture.add(std::make_unique<Scheduled>());
  fixture.add(std::make_unique<Scheduled>());
  fixture.publish();
  EXPECT_EQ(fixture.ask({5}), Floats{0}) << "users' runs do not";
  ASSERT_TRUE(fixture.until_predicted(1));
  const auto worst = fixture.status().report.worst;
  ASSERT_EQ(worst.size(), 1U);
  EXPECT_EQ(worst[0].shadow, "1");
}

}  // namespace
}  // namespace sluice::serving
