#include "repository/roster.h"

#include <gtest/gtest.h>

#include "core/servable.h"

namespace sluice::repository {
namespace {

using namespace std::chrono_literals;

const TimePoint kNow = TimePoint() + 1h;

ModelName model_name(const std::string& text) { return *ModelName::parse(text); }
VersionName version_name(const std::string& text) { return *VersionName::parse(text); }

// Has a tally, and nothing else that anybody here asks for.
class FakeServable final : public Servable {
 public:
  const ModelName& model() const override { return model_; }
  const VersionName& version() const override { return version_; }
  const Signature& signature() const override { return signature_; }
  bool run(RequestPtr&) const override { return true; }
  Result<void> warm_up() const override { return {}; }
  const Model& loaded() const override { std::abort(); }
  Tally& tally() const override { return tally_; }

 private:
  const ModelName model_ = model_name("m");
  const VersionName version_ = version_name("1");
  const Signature signature_;
  mutable Tally tally_;
};

WantedVersion wanted(const std::string& version) {
  return {version_name(version), {}, "f1", {}, {}};
}

// A model with one version that was seen whole and is not loaded.
ModelSlot model_slot(const std::string& name) {
  return {{model_name(name), {}, {}, {}, {}, {}}, {}, {}, true, false, false, {}};
}

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

TEST(NoteLook, TakesOverWhatIsWanted) {
  Look look;
  auto version = wanted("1");
  version.problem = "two files";
  note_look(look.slot, version, "f1", kNow, 1s);
  EXPECT_EQ(look.slot.wanted.problem, "two files");
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

// --- making room --------------------------------------------------------------------------------

class Models {
 public:
  // `used`: of its last success, by the order of these calls; 0: never.
  VersionSlot& add(const std::string& model, const std::string& version, std::uint64_t bytes,
                   std::int64_t loaded_ms, Loading::Kind kind = Loading::Kind::kLazy) {
    auto& slot = all.try_emplace(model, model_slot(model)).first->second;
    slot.wanted.config.loading.kind = kind;
    auto& out = slot.versions.try_emplace(version_name(version), wanted(version)).first->second;
    out.bytes = bytes;
    out.loaded_ms = loaded_ms;
    out.servable = std::make_shared<FakeServable>();
    return out;
  }
  std::vector<std::string> victims(std::uint64_t needed, std::uint64_t limit,
                                   const VersionSlot* keep = nullptr) {
    const auto eviction = make_room(all, needed, limit, keep);
    fits = eviction.fits;
    std::vector<std::string> out;
    for (const auto& [model, version] : eviction.victims) out.push_back(model + version.str());
    return out;
  }

  std::map<std::string, ModelSlot> all;
  bool fits = false;
};

using Names = std::vector<std::string>;
// Later than any success that a test notes.
constexpr std::int64_t kFuture = 9'000'000'000'000;

TEST(MakeRoom, NothingGoesWhereThereIsRoom) {
  Models models;
  models.add("a", "1", 40, 1);
  EXPECT_EQ(models.victims(60, 100), Names{});
  EXPECT_TRUE(models.fits);
}

TEST(MakeRoom, TheLeastRecentlyLoadedGoFirstAndNoMoreThanNeeded) {
  Models models;
  models.add("a", "1", 30, 3);
  models.add("b", "1", 30, 1);
  models.add("c", "2", 30, 2);
  EXPECT_EQ(models.victims(40, 100), Names{"b1"});
  EXPECT_EQ(models.victims(41, 100), (Names{"b1", "c2"}));
  EXPECT_EQ(models.victims(100, 100), (Names{"b1", "c2", "a1"}));
  EXPECT_TRUE(models.fits);
}

TEST(MakeRoom, AUseCountsAsMuchAsALoad) {
  Models models;
  models.add("a", "1", 30, 1).servable->tally().succeeded(1, {});  // now
  models.add("b", "1", 30, 2);
  models.add("c", "1", 30, kFuture);
  EXPECT_EQ(models.victims(100, 100), (Names{"b1", "a1", "c1"}));
}

TEST(MakeRoom, WhatIsNotLazyStays) {
  Models models;
  models.add("a", "1", 30, 1, Loading::Kind::kEager);
  models.add("b", "1", 30, 2, Loading::Kind::kTtl);
  models.add("c", "1", 30, 3);
  EXPECT_EQ(models.victims(40, 100), Names{"c1"});
  EXPECT_TRUE(models.fits);
}

TEST(MakeRoom, NothingGoesWhereItWouldNotBeEnough) {
  Models models;
  models.add("a", "1", 60, 1, Loading::Kind::kEager);
  models.add("b", "1", 30, 2);
  EXPECT_EQ(models.victims(50, 100), Names{});
  EXPECT_FALSE(models.fits);
  EXPECT_EQ(models.victims(101, 100), Names{});
  EXPECT_FALSE(models.fits) << "not even alone";
}

TEST(MakeRoom, WhatIsReplacedTakesItsOwnPlace) {
  Models models;
  auto& mine = models.add("a", "1", 60, 1);
  models.add("b", "1", 40, 2);
  EXPECT_EQ(models.victims(60, 100, &mine), Names{});
  EXPECT_TRUE(models.fits);
  EXPECT_EQ(models.victims(70, 100, &mine), Names{"b1"}) << "never itself";
}

TEST(MakeRoom, WhatIsNotLoadedTakesNone) {
  Models models;
  models.add("a", "1", 90, 1).servable = nullptr;
  models.add("b", "1", 50, 2);
  EXPECT_EQ(models.victims(50, 100), Names{});
  EXPECT_TRUE(models.fits);
}

}  // namespace
}  // namespace sluice::repository
