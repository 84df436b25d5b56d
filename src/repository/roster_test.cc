#include "repository/roster.h"

#include <gtest/gtest.h>

#include "repository/testing/fake_servable.h"

namespace sluice::repository {
namespace {

using namespace std::chrono_literals;
using namespace testing;

const TimePoint kNow = TimePoint() + 1h;

// A model with one version that was seen whole and is not loaded.
struct One {
  One() {
    slot.seen = "f1";
    slot.settled = true;
  }
  bool should_load(TimePoint now = kNow) const { return repository::should_load(model, slot, now); }
  void load(const std::string& fingerprint) {
    slot.servable = std::make_shared<FakeServable>();
    slot.running = fingerprint;
    slot.loaded_at = kNow;
  }
  void set(Loading::Kind kind, Millis ttl = {}) { model.wanted.config.loading = {kind, ttl}; }

  ModelSlot model = model_slot("m");
  VersionSlot slot{wanted("1")};
};

TEST(ShouldLoad, WhatIsThereAndNotLoaded) {
  One one;
  EXPECT_TRUE(one.should_load());
  one.slot.loading = true;
  EXPECT_FALSE(one.should_load()) << "it is on its way";
}

TEST(ShouldLoad, NotBeforeItWasSeenWhole) {
  One one;
  one.slot.settled = false;
  EXPECT_FALSE(one.should_load());
  one.slot.settled = true;
  one.slot.seen.clear();
  EXPECT_FALSE(one.should_load());
}

TEST(ShouldLoad, NotWhereTheModelIsOutOfService) {
  One one;
  one.model.active = false;
  one.slot.demanded = true;
  EXPECT_FALSE(one.should_load());
  one.model.active = true;
  one.model.twice = true;
  EXPECT_FALSE(one.should_load());
  one.model.twice = false;
  one.model.wanted.problem = "model.yaml is broken";
  EXPECT_FALSE(one.should_load());
  one.model.wanted.problem.clear();
  EXPECT_TRUE(one.should_load());
}

TEST(ShouldLoad, AgainWhenItsFilesHaveChanged) {
  One one;
  one.load("f1");
  EXPECT_FALSE(one.should_load());
  one.slot.seen = "f2";
  EXPECT_TRUE(one.should_load());
  one.slot.settled = false;
  EXPECT_FALSE(one.should_load()) << "once they stay as they are";
}

TEST(ShouldLoad, WhatFailedIsNotTriedAgainUntilItChanges) {
  One one;
  one.slot.failed = "f1";
  EXPECT_FALSE(one.should_load());
  one.slot.demanded = true;
  EXPECT_FALSE(one.should_load()) << "whoever asks";
  one.slot.seen = "f2";
  EXPECT_TRUE(one.should_load());
}

TEST(ShouldLoad, AFailureThatMayPassIsTriedAgainAtItsTime) {
  One one;
  one.slot.retry_at = kNow + 1s;
  EXPECT_FALSE(one.should_load());
  one.slot.demanded = true;
  EXPECT_FALSE(one.should_load()) << "whoever asks";
  EXPECT_TRUE(one.should_load(kNow + 1s));
}

TEST(ShouldLoad, WhoeverAsksTakesWhatIsThere) {
  One one;
  one.slot.settled = false;
  one.slot.demanded = true;
  EXPECT_TRUE(one.should_load());
  one.slot.settled = true;
  one.load("f1");
  EXPECT_TRUE(one.should_load()) << "again, though nothing has changed";
}

TEST(ShouldLoad, LazyOnlyForSomebody) {
  One one;
  one.set(Loading::Kind::kLazy);
  EXPECT_FALSE(one.should_load());
  one.slot.demanded = true;
  EXPECT_TRUE(one.should_load());
  one.slot.demanded = false;
  one.load("f1");
  EXPECT_FALSE(one.should_load());
  one.slot.seen = "f2";
  EXPECT_TRUE(one.should_load()) << "what runs is kept up to date";
}

TEST(ShouldLoad, TtlAgainAfterItsTime) {
  One one;
  one.set(Loading::Kind::kTtl, Millis(1000));
  EXPECT_TRUE(one.should_load());
  one.load("f1");
  EXPECT_FALSE(one.should_load(kNow + 999ms));
  EXPECT_TRUE(one.should_load(kNow + 1s));
  one.set(Loading::Kind::kEager);
  EXPECT_FALSE(one.should_load(kNow + 1h));
}

TEST(ShouldLoad, NotWhatRetires) {
  One one;
  one.slot.retiring = true;
  EXPECT_FALSE(one.should_load());
  one.slot.demanded = true;
  EXPECT_FALSE(one.should_load());
}

// --- settling -----------------------------------------------------------------------------------

struct Look {
  VersionSlot slot{wanted("1")};
  // Whether it is believed to be all there.
  bool at(Millis time, const std::string& fingerprint, bool complete = false,
          Millis settle = Millis(500)) {
    auto version = wanted("1");
    version.complete = complete;
    note_look(slot, version, fingerprint, kNow + time, settle);
    return slot.settled;
  }
};

TEST(NoteLook, FilesHaveToStayAsTheyAreForAWhile) {
  Look look;
  EXPECT_FALSE(look.at(0ms, "f1"));
  EXPECT_EQ(look.slot.seen, "f1");
  EXPECT_FALSE(look.at(499ms, "f1"));
  EXPECT_TRUE(look.at(500ms, "f1"));
  EXPECT_TRUE(look.at(501ms, "f1"));
}

TEST(NoteLook, EachChangeBeginsAnew) {
  Look look;
  EXPECT_FALSE(look.at(0ms, "f1"));
  EXPECT_FALSE(look.at(400ms, "f2"));
  EXPECT_FALSE(look.at(600ms, "f2"));
  EXPECT_TRUE(look.at(900ms, "f2"));
  EXPECT_FALSE(look.at(1000ms, "f1")) << "back to what it was is a change too";
  EXPECT_EQ(look.slot.seen_since, kNow + 1s);
}

TEST(NoteLook, AManifestSaysThatItIsAllThere) {
  Look look;
  EXPECT_TRUE(look.at(0ms, "f1", true));
  EXPECT_FALSE(look.at(1ms, "f2", false));
  EXPECT_TRUE(look.at(2ms, "f2", true)) << "the manifest came last";
}

TEST(NoteLook, NoTimeToSettleIsNone) {
  Look look;
  EXPECT_TRUE(look.at(0ms, "f1", false, 0ms));
}

TEST(NoteLook, AChangeForgetsFailuresThatMayPass) {
  Look look;
  look.at(0ms, "f1");
  look.slot.failures = 3;
  look.slot.retry_at = kNow + 1h;
  look.slot.failed = "f1";
  look.at(1ms, "f1");
  EXPECT_EQ(look.slot.failures, 3);
  look.at(2ms, "f2");
  EXPECT_EQ(look.slot.failures, 0);
  EXPECT_EQ(look.slot.retry_at, TimePoint{});
  EXPECT_EQ(look.slot.failed, "f1") << "that one is still bad, should it come back";
}

TEST(NoteLook, SaysWhetherAnythingIsNew) {
  VersionSlot slot(wanted("1"));
  const auto look = [&](Millis time, const std::string& fingerprint) {
    return note_look(slot, wanted("1"), fingerprint, kNow + time, Millis(500));
  };
  EXPECT_TRUE(look(0ms, "f1"));
  EXPECT_FALSE(look(100ms, "f1"));
  EXPECT_TRUE(look(500ms, "f1")) << "it has settled";
  EXPECT_FALSE(look(600ms, "f1"));
  EXPECT_TRUE(look(700ms, "f2"));
  slot.retiring = true;
  EXPECT_TRUE(look(800ms, "f2")) << "it is wanted again";
  EXPECT_FALSE(slot.retiring);
}

TEST(NoteLook, TakesOverWhatIsWanted) {
  Look look;
  auto version = wanted("1");
  version.problem = "two files";
  note_look(look.slot, version, "f1", kNow, 1s);
  EXPECT_EQ(look.slot.wanted.problem, "two files");
}

// A configuration, told apart by its engine.
WantedModel configured(const std::string& fingerprint) {
  WantedModel out{model_name("m"), {}, fingerprint, {}, {}, {wanted("1")}};
  out.config.engine = fingerprint;
  return out;
}

TEST(Believe, AConfigurationHasToStayAsItIsForAWhile) {
  ModelSlot slot = model_slot("m");
  slot.wanted = configured("old");
  const auto look = [&](Millis time, const std::string& fingerprint) {
    slot.wanted = believe(slot, configured(fingerprint), kNow + time, Millis(500));
    return slot.wanted.config.engine;
  };
  EXPECT_EQ(look(0ms, "old"), "old");
  EXPECT_EQ(look(100ms, "half"), "old");
  EXPECT_EQ(look(200ms, "new"), "old");
  EXPECT_EQ(look(699ms, "new"), "old");
  EXPECT_EQ(look(700ms, "new"), "new");
  EXPECT_EQ(look(800ms, "half"), "new");
  EXPECT_EQ(look(900ms, "new"), "new") << "as it was";
}

TEST(Believe, ProblemsTooAndVersionsAtOnce) {
  ModelSlot slot = model_slot("m");
  slot.wanted = configured("old");
  auto broken = configured("broken");
  broken.problem = "model.yaml is broken";
  broken.warnings = {"careful"};
  broken.versions.push_back(wanted("2"));
  const auto first = believe(slot, broken, kNow, 1s);
  EXPECT_TRUE(first.problem.empty());
  EXPECT_TRUE(first.warnings.empty());
  EXPECT_EQ(first.fingerprint, "old");
  EXPECT_EQ(first.versions.size(), 2U) << "those settle by themselves";
  const auto later = believe(slot, broken, kNow + 1s, 1s);
  EXPECT_EQ(later.problem, "model.yaml is broken");
  EXPECT_EQ(later.config.engine, "old") << "a mistake changes nothing of what there is";
}

TEST(MayRetire, WhereWhatIsToBeServedIsThere) {
  One old;
  ModelSlot& model = old.model;
  const auto add = [&](const std::string& version) -> VersionSlot& {
    return model.versions.try_emplace(version_name(version), wanted(version)).first->second;
  };
  const auto servable = std::make_shared<FakeServable>();
  auto& retiring = add("1");
  retiring.servable = servable;
  retiring.retiring = true;
  EXPECT_FALSE(may_retire(model)) << "nothing takes over";
  auto& next = add("2");
  EXPECT_FALSE(may_retire(model)) << "it is still to come";
  next.servable = servable;
  EXPECT_TRUE(may_retire(model));
  auto& third = add("3");
  EXPECT_FALSE(may_retire(model)) << "one more is to come";
  third.seen = third.failed = "f1";
  EXPECT_TRUE(may_retire(model)) << "that never will";
  next.servable = nullptr;
  next.seen = next.failed = "f1";
  EXPECT_FALSE(may_retire(model)) << "of all that are to be served none can be";
}

// Found by hot_swap.py, seed 552093519: a removed version went on for ever beside a cold one.
TEST(MayRetire, ALazyVersionThatRestsIsNotWaitedFor) {
  One old;
  ModelSlot& model = old.model;
  model.wanted.config.loading.kind = Loading::Kind::kLazy;
  const auto add = [&](const std::string& version) -> VersionSlot& {
    return model.versions.try_emplace(version_name(version), wanted(version)).first->second;
  };
  auto& cold = add("1");
  auto& ready = add("2");
  auto& removed = add("3");
  removed.servable = std::make_shared<FakeServable>();
  removed.retiring = true;
  EXPECT_FALSE(may_retire(model)) << "nothing takes over";
  ready.servable = removed.servable;
  EXPECT_TRUE(may_retire(model));
  cold.loading = true;
  EXPECT_FALSE(may_retire(model)) << "it is on its way";
  cold.loading = false;
  cold.demanded = true;
  EXPECT_FALSE(may_retire(model)) << "somebody asks for it";
}

TEST(ShouldLoad, ALazyVersionIsLoadedToTakeOverFromOneThatRetires) {
  ModelSlot model = model_slot("m");
  model.wanted.config.loading.kind = Loading::Kind::kLazy;
  const auto add = [&](const std::string& version) -> VersionSlot& {
    auto& slot = model.versions.try_emplace(version_name(version), wanted(version)).first->second;
    slot.seen = "files";
    slot.settled = true;
    return slot;
  };
  auto& first = add("1");
  auto& second = add("2");
  auto& removed = add("3");
  removed.servable = std::make_shared<FakeServable>();
  removed.retiring = true;
  EXPECT_TRUE(should_load(model, second, {}));
  EXPECT_FALSE(should_load(model, first, {})) << "only the newest";
  second.failed = second.seen;
  EXPECT_TRUE(should_load(model, first, {})) << "the newest cannot be served";
  first.settled = false;
  EXPECT_FALSE(should_load(model, first, {})) << "it may be half written";
  second.failed.clear();
  first.settled = true;
  first.servable = removed.servable;
  EXPECT_FALSE(should_load(model, second, {})) << "another is there already";
  first.servable = nullptr;
  removed.retiring = false;
  EXPECT_FALSE(should_load(model, second, {})) << "nothing retires";
}

TEST(BackOff, DoublesUpToAMinute) {
  EXPECT_EQ(back_off(1), 500ms);
  EXPECT_EQ(back_off(2), 1s);
  EXPECT_EQ(back_off(8), 64s);
  EXPECT_EQ(back_off(9), 64s);
  EXPECT_EQ(back_off(1'000'000), 64s);
  EXPECT_EQ(back_off(0), 500ms);
}

TEST(Title, SaysModelAndVersion) {
  EXPECT_EQ(title("fraud", wanted("v2")), "model fraud version v2");
}

}  // namespace
}  // namespace sluice::repository
