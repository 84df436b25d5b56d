// A repository over a source whose files are far: what waits for what.
#include <gtest/gtest.h>

#include <algorithm>
#include <condition_variable>
#include <future>
#include <mutex>
#include <set>
#include <string>
#include <utility>

#include "repository/repository.h"
#include "repository/testing/fake_servable.h"

namespace sluice::repository {
namespace {

using namespace std::chrono_literals;
using namespace testing;

constexpr auto kLong = 20s;  // what should not take any time has failed

// Has any number of models of one version. Files of those that are called far come when they are
// let through.
class FarSource final : public Source {
 public:
  explicit FarSource(std::set<std::string> models) : models_(std::move(models)) {}

  Result<std::vector<WantedModel>> list() override {
    std::vector<WantedModel> out;
    for (const auto& name : models_) {
      auto& model = out.emplace_back(model_slot(name).wanted);
      model.versions.push_back(wanted("1"));
      model.versions.back().location = name;
    }
    return out;
  }
  Result<ModelFile> open(const WantedVersion&) override { return internal("nobody does that"); }
  Result<std::optional<ModelFile>> open_near(const WantedVersion& version) override {
    if (version.location.starts_with("far")) return std::optional<ModelFile>();
    return std::optional(ModelFile());
  }
  Result<ModelFile> open_far(const WantedVersion& version,
                             const std::atomic<bool>& abandoned) override {
    std::unique_lock lock(mutex_);
    begun_.insert(version.location);
    changed_.notify_all();
    while (!through_.contains(version.location)) {
      if (abandoned) return unavailable("stopped", "it was broken off");
      changed_.wait_for(lock, 5ms);
    }
    if (lost_.contains(version.location)) return unavailable("lost", "it was lost on the way");
    return ModelFile();
  }

  bool begins(const std::string& name) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kLong, [&] { return begun_.contains(name); });
  }
  void let_through(const std::string& name, bool lost = false) {
    const std::lock_guard lock(mutex_);
    through_.insert(name);
    if (lost) lost_.insert(name);
    changed_.notify_all();
  }

 private:
  const std::set<std::string> models_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::set<std::string> begun_;  // all guarded by mutex_
  std::set<std::string> through_;
  std::set<std::string> lost_;
};

class FakeModel final : public Model {
 public:
  const Signature& signature() const override { return signature_; }
  Result<void> run(std::span<const TensorView>, std::span<TensorView>, Arena&) const override {
    return {};
  }
  std::string_view platform() const override { return "test"; }
  std::vector<Fact> facts() const override { return {}; }
  std::uint64_t parameters() const override { return 0; }

 private:
  const Signature signature_;
};

class FakeEngine final : public Engine {
 public:
  bool accepts(const ModelFile&) const override { return true; }
  std::vector<std::string_view> extensions() const override { return {".fake"}; }
  Result<std::unique_ptr<Model>> load(const ModelFile&, const LoadOptions&) const override {
    return std::make_unique<FakeModel>();
  }
};

class FakeFactory final : public ServableFactory {
 public:
  Result<std::shared_ptr<const Servable>> make(const ModelName&, const VersionName& version,
                                               std::unique_ptr<Model>, const ModelConfig&, int,
                                               std::shared_ptr<Tally>,
                                               std::shared_ptr<const ModelHost>) const override {
    return std::make_shared<FakeServable>(version.str());
  }
};

class NoRoute final : public Route {
 public:
  std::shared_ptr<const Policy> over(const std::vector<VersionName>&) const override {
    return nullptr;
  }
};

// One loader, and nothing is loaded but by `load`.
class Loading : public ::testing::Test {
 protected:
  using Outcome = std::future<Result<void>>;

  Loading() {
    engines_.add("fake", std::make_shared<FakeEngine>());
    RepositoryOptions options;
    options.loaders = 1;
    options.on_request = true;
    repository_.emplace(
        source_, engines_, factory_, std::make_shared<NoRoute>(),
        [](const auto&, const auto&) { return std::shared_ptr<const Route>(); }, nullptr, tables_,
        std::move(options));
    EXPECT_TRUE(repository_->load_all());
  }

  Outcome load(const std::string& model) {
    auto promise = std::make_shared<std::promise<Result<void>>>();
    auto out = promise->get_future();
    repository_->load(model_name(model),
                      [promise](Result<void> done) { promise->set_value(std::move(done)); });
    return out;
  }
  void unload(const std::string& model) {
    std::promise<void> done;
    repository_->unload(model_name(model), [&](const Result<void>&) { done.set_value(); });
    done.get_future().wait();
  }
  static std::string said(Outcome outcome) {
    if (outcome.wait_for(kLong) != std::future_status::ready) return "nothing";
    const auto result = outcome.get();
    return result ? "ready" : result.error().message;
  }

  FarSource source_{{"far1", "far2", "far3", "far4", "far5", "far6", "here"}};
  Registry<Engine> engines_;
  FakeFactory factory_;
  ServingTables tables_{std::make_shared<const ServingTable>()};
  std::optional<Repository> repository_;
};

TEST_F(Loading, WhatIsHereWaitsForNothingThatIsFetched) {
  std::vector<Outcome> far;
  for (const char* name : {"far1", "far2", "far3", "far4", "far5", "far6"}) {
    far.push_back(load(name));
  }
  EXPECT_TRUE(source_.begins("far1") && source_.begins("far2"));
  EXPECT_EQ(said(load("here")), "ready");
  for (const char* name : {"far1", "far2", "far3", "far4", "far5", "far6"}) {
    source_.let_through(name);
  }
  for (auto& each : far) EXPECT_EQ(said(std::move(each)), "ready");
}

TEST_F(Loading, WhatIsFetchedSoonWaitsForNothingThatIsSlow) {
  std::vector<Outcome> slow;
  for (const char* name : {"far1", "far2", "far3", "far4"}) {
    slow.push_back(load(name));
    EXPECT_TRUE(source_.begins(name));
  }
  source_.let_through("far5");
  EXPECT_EQ(said(load("far5")), "ready") << "once the others have had their time";
  for (const char* name : {"far1", "far2", "far3", "far4"}) source_.let_through(name);
  for (auto& each : slow) EXPECT_EQ(said(std::move(each)), "ready");
}

TEST_F(Loading, WhyNothingCameIsSaid) {
  source_.let_through("far1", true);
  EXPECT_NE(said(load("far1")).find("it was lost on the way"), std::string::npos);
}

TEST_F(Loading, WhatNobodyWantsAnyMoreIsNotFetchedOn) {
  auto first = load("far1");
  EXPECT_TRUE(source_.begins("far1"));
  unload("far1");
  EXPECT_NE(said(std::move(first)), "nothing") << "it was broken off";
  source_.let_through("far1");
  EXPECT_EQ(said(load("far1")), "ready") << "another time";
}

TEST_F(Loading, TheEndWaitsForNothingThatIsFetched) {
  for (const char* name : {"far1", "far2", "far3", "far4", "far5", "far6"}) load(name);
  EXPECT_TRUE(source_.begins("far1"));
  EXPECT_TRUE(repository_->close(kLong));
  EXPECT_EQ(repository_->loading(), 0);
}

}  // namespace
}  // namespace sluice::repository
