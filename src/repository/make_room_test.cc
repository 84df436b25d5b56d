// Which versions go so that another fits: the part of roster.h that counts memory.
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "repository/roster.h"
#include "repository/testing/fake_servable.h"

namespace sluice::repository {
namespace {

using namespace testing;

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
