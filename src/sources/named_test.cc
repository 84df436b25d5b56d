#include "sources/named.h"

#include <gtest/gtest.h>

#include <utility>

namespace sluice::sources {
namespace {

// Answers what it was given, and remembers who watches.
class Listed final : public Source {
 public:
  explicit Listed(Result<std::vector<WantedModel>> models) : models_(std::move(models)) {}
  Result<std::vector<WantedModel>> list() override { return models_; }
  Result<ModelFile> open(const WantedVersion& version) override {
    return not_found("opened", version.location);
  }
  Result<std::optional<ModelFile>> open_near(const WantedVersion&) override {
    return std::optional<ModelFile>();
  }
  Result<ModelFile> open_far(const WantedVersion& version, const std::atomic<bool>&) override {
    return not_found("fetched", version.location);
  }
  void watch(const std::function<void()>& changed) override { changed(); }

 private:
  Result<std::vector<WantedModel>> models_;
};

std::vector<WantedModel> models(std::initializer_list<const char*> names) {
  std::vector<WantedModel> out;
  for (const auto* name : names) {
    out.push_back({*ModelName::parse(name), {}, "fingerprint", {}, {}, {}});
    out.back().versions.push_back({*VersionName::parse("1"), "where", {}, {}, false, {}});
  }
  return out;
}

std::unique_ptr<Source> named(Result<std::vector<WantedModel>> listed) {
  return make_named(std::make_unique<Listed>(std::move(listed)), *ModelName::parse("fraud"));
}

TEST(Named, OneModelHasTheNameAndKeepsTheRest) {
  const auto listed = named(models({"models"}))->list();
  ASSERT_TRUE(listed);
  ASSERT_EQ(listed->size(), 1);
  EXPECT_EQ(listed->front().name.str(), "fraud");
  EXPECT_EQ(listed->front().fingerprint, "fingerprint");
  EXPECT_EQ(listed->front().versions.size(), 1);
}

TEST(Named, NoModelYetIsNoMistake) {
  const auto listed = named(models({}))->list();
  ASSERT_TRUE(listed);
  EXPECT_TRUE(listed->empty());
}

TEST(Named, OfSeveralModelsNoneCanHaveIt) {
  const auto listed = named(models({"a", "b"}))->list();
  ASSERT_FALSE(listed);
  EXPECT_EQ(listed.error().reason, "many_models");
  EXPECT_NE(listed.error().message.find("there are 2 models"), std::string::npos);
}

TEST(Named, TheRestIsTheSourcesOwn) {
  auto source = named(Failure(not_found("gone", "gone")));
  EXPECT_EQ(source->list().error().reason, "gone");
  const auto version = models({"a"})[0].versions[0];
  EXPECT_EQ(source->open(version).error().message, "where");
  EXPECT_FALSE(source->open_near(version)->has_value());
  EXPECT_EQ(source->open_far(version, false).error().reason, "fetched");
  int told = 0;
  source->watch([&] { ++told; });
  EXPECT_EQ(told, 1);
}

}  // namespace
}  // namespace sluice::sources
