// A store in this process as a source of models.

#include "sources/remote.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <fstream>
#include <map>
#include <set>
#include <thread>

#include "base/digest.h"
#include "sources/builtin.h"

namespace sluice::sources {
namespace {

namespace fs = std::filesystem;

class Store final : public ObjectStore {
 public:
  std::string_view name() const override { return "the store"; }
  Result<std::vector<Object>> list(const std::atomic<bool>&) override {
    if (away) return unavailable("away", "the store is away");
    std::vector<Object> out;
    for (const auto& [key, content] : contents) {
      out.push_back({key, content.size(), '"' + content + '"', {}, {}});
    }
    return out;
  }
  Result<Fetched> fetch(const Object& object, Range range, const ByteSink& sink,
                        const std::atomic<bool>&) override {
    fetched.insert(object.key);
    if (forbidden.contains(object.key)) {
      return fail(Code::kPermissionDenied, "refused", "the store refuses access");
    }
    if (gone.contains(object.key)) return not_found("no_such_object", "the store has none");
    if (failing.contains(object.key)) return unavailable("store_busy", "the store fails");
    sink(std::as_bytes(std::span(contents.at(object.key)).subspan(range.offset, range.length)));
    return Fetched{false};
  }

  bool away = false;
  std::map<std::string, std::string> contents;
  std::set<std::string> forbidden;
  std::set<std::string> gone;     // though they are listed
  std::set<std::string> failing;  // for ever
  std::set<std::string> fetched;  // or asked for
};

class RemoteModels : public testing::Test {
 protected:
  RemoteModels() {
    std::string pattern = testing::TempDir() + "remoteXXXXXX";
    cache_ = ::mkdtemp(pattern.data());
  }
  ~RemoteModels() override { fs::remove_all(cache_); }

  // Whole, or only this file of it.
  std::vector<WantedModel> open(const std::string& file = "") {
    auto store = std::make_unique<Store>(store_);
    asked_ = store.get();
    RemoteOptions options;
    options.cache_directory = cache_;
    options.connections = 1;
    options.cache_bytes = cache_bytes_;
    options.only_when_asked = only_when_asked_;
    source_ = *make_remote({std::move(store), "models", file, "test"},
                           Layout({".onnx", ".json", ".ensemble.yaml"}), options);
    auto listed = source_->list();
    EXPECT_TRUE(listed) << listed.error().message;
    return listed.value_or(std::vector<WantedModel>());
  }
  // Whether the only model of it opens.
  bool source_of(const std::string& file) {
    const auto models = open(file);
    return models.size() == 1 && source_->open(models[0].versions.at(0)).has_value();
  }
  static std::string manifest_line(const std::string& content, const std::string& file) {
    return sha256_hex(std::string_view(content)) + "  " + file + "\n";
  }

  Store store_;             // as it is opened
  Store* asked_ = nullptr;  // the one that is open
  std::unique_ptr<Source> source_;
  std::uint64_t cache_bytes_ = 1 << 30;
  bool only_when_asked_ = false;
  fs::path cache_;
};

TEST_F(RemoteModels, AConfigurationThatMayNotBeReadIsItsModelsTroubleAlone) {
  for (const char* config : {"b/model.yaml", "b/config.pbtxt"}) {
    store_ = {};
    store_.contents = {{"a/1/model.onnx", "a"}, {config, "x: y"}, {"b/1/model.onnx", "b"}};
    store_.forbidden = {config};
    const auto models = open();
    ASSERT_EQ(models.size(), 2U) << config;
    EXPECT_EQ(models[0].problem, "");
    EXPECT_NE(models[1].problem.find("refuses access"), std::string::npos) << models[1].problem;
    EXPECT_TRUE(source_->open(models[0].versions.at(0)));
  }
}

TEST_F(RemoteModels, OneThatFailsOrIsGoneIsItsModelsTroubleAlone) {
  for (const bool gone : {true, false}) {
    store_ = {};
    store_.contents = {{"a/1/model.onnx", "a"},
                       {"b/model.yaml", gone ? "warmup: 1" : "warmup: 3"},
                       {"b/1/model.onnx", "b"},
                       {"c/model.yaml", "warmup: 2"},
                       {"c/1/model.onnx", "c"}};
    (gone ? store_.gone : store_.failing) = {"b/model.yaml"};
    auto models = open();
    ASSERT_EQ(models.size(), 3U);
    EXPECT_EQ(models[0].problem, "");
    EXPECT_EQ(models[2].problem, "");
    EXPECT_NE(models[1].problem.find("'b/model.yaml'"), std::string::npos) << models[1].problem;
    EXPECT_TRUE(source_->open(models[0].versions.at(0)));
    // The next look asks again.
    asked_->gone = asked_->failing = {};
    for (int i = 0; i < 100 && (models = *source_->list())[1].problem != ""; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    EXPECT_EQ(models[1].problem.find("cannot be read"), std::string::npos) << models[1].problem;
  }
}

// Nobody would be told, and what its steps name would be taken for models.
TEST_F(RemoteModels, APipelineThatCannotBeReadIsTheLooksTrouble) {
  store_.contents = {{"p.ensemble.yaml", "steps: [{standardise: scaler.json}]"},
                     {"scaler.json", "{}"}};
  EXPECT_EQ(open().size(), 1U);
  store_.gone = {"p.ensemble.yaml"};
  store_.contents["p.ensemble.yaml"] = "steps: [{standardise: {file: scaler.json}}]";
  RemoteOptions options;
  options.cache_directory = cache_;
  const auto source = *make_remote({std::make_unique<Store>(store_), "models", "", "test"},
                                   Layout({".onnx", ".json", ".ensemble.yaml"}), options);
  const auto listed = source->list();
  ASSERT_FALSE(listed);
  EXPECT_EQ(listed.error().code, Code::kNotFound);
}

// What another process of this cache has read is still what it was.
TEST_F(RemoteModels, OneThatFailsIsReadFromTheCache) {
  store_.contents = {{"b/model.yaml", "warmup: 1"}, {"b/1/model.onnx", "b"}};
  EXPECT_EQ(open().at(0).problem, "");
  store_.failing = {"b/model.yaml"};
  EXPECT_EQ(open().at(0).problem, "");
  store_.contents["b/model.yaml"] = "warmup: 2";
  EXPECT_NE(open().at(0).problem, "") << "that is another by now";
  store_.away = true;
  EXPECT_EQ(open().at(0).problem, "") << "but the last word of it is kept";
}

// A model that runs has its weights in memory, and nobody holds its entry.
TEST_F(RemoteModels, RoomIsMadeOfWhatIsRetired) {
  const std::string large(100'000, 'x');
  store_.contents = {{"m/model.yaml", "versions: {latest: 1}"},
                     {"m/1/model.onnx", large + "1"},
                     {"x/1/model.onnx", large + "x"}};
  cache_bytes_ = 340'000;  // three of them
  only_when_asked_ = true;
  auto models = open();
  const auto running = models.at(1).versions.at(0);
  ASSERT_TRUE(source_->open(running));  // the oldest
  for (const char* version : {"1", "2", "3"}) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    asked_->contents[std::string("m/") + version + "/model.onnx"] = large + version;
    models = *source_->list();
    ASSERT_TRUE(source_->open(models.at(0).versions.back()));
  }
  EXPECT_TRUE(*source_->open_near(running));
  EXPECT_FALSE(*source_->open_near(models.at(0).versions.front()));
}

TEST_F(RemoteModels, AListingThatCouldNotBeKeptIsKeptLater) {
  store_.contents = {{"a/1/model.onnx", "a"}};
  open();
  fs::path listing;
  for (const auto& file : fs::recursive_directory_iterator(cache_)) {
    if (file.path().filename() == "listing.json") listing = file.path();
  }
  ASSERT_FALSE(listing.empty());
  // As a full disk: the place is taken.
  fs::remove(listing);
  fs::create_directories(listing / "in the way");
  open();
  fs::remove_all(listing);
  for (int i = 0; i < 100 && !fs::exists(listing); ++i) {
    ASSERT_TRUE(source_->list());
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  EXPECT_TRUE(fs::is_regular_file(listing));
}

// Also where it could be read later: the cache has what is known by then.
TEST_F(RemoteModels, WithoutTheStoreAModelWhoseConfigurationWasNeverReadIsAlone) {
  store_.contents = {
      {"a/1/model.onnx", "a"}, {"b/model.yaml", "warmup: 1"}, {"b/1/model.onnx", "b"}};
  store_.forbidden = {"b/model.yaml"};
  for (const auto& model : open()) {
    EXPECT_TRUE(source_->open(model.versions.at(0)));
  }
  store_.away = true;
  auto models = open();
  ASSERT_EQ(models.size(), 2U);
  EXPECT_EQ(models[0].problem, "");
  EXPECT_TRUE(source_->open(models[0].versions.at(0)));
  EXPECT_NE(models[1].problem.find("not in the cache"), std::string::npos) << models[1].problem;

  store_.away = false;
  store_.forbidden = {};
  open();
  store_.away = true;
  models = open();
  ASSERT_EQ(models.size(), 2U);
  EXPECT_EQ(models[1].problem, "");
}

TEST_F(RemoteModels, AFileComesWithAllThatIsNoModelOfItsKind) {
  store_.contents = {{"a.onnx", "a"}, {"weights.bin", "weights"}, {"config.json", "{}"}};
  const auto models = open("a.onnx");
  ASSERT_EQ(models.size(), 1U);
  ASSERT_TRUE(source_->open(models[0].versions.at(0)));
  EXPECT_EQ(asked_->fetched.size(), 3U);
}

TEST_F(RemoteModels, APipelineComesWithWhatItsStepsName) {
  const std::string steps = "steps: [{model: parts/a.onnx}]";
  for (const std::string file : {"", "p.ensemble.yaml", "ensemble.yaml", "1/ensemble.yaml"}) {
    store_ = {};
    const auto name = file.empty() ? "p.ensemble.yaml" : file;
    const auto below = name.substr(0, name.rfind('/') + 1);
    store_.contents = {{name, steps},
                       {below + "parts/a.onnx", "a" + file},
                       {below + "parts/a.onnx.data", "weights"},
                       {"others/1/model.onnx", "o"}};
    for (const auto& model : open(file)) {
      if (model.name.str() == "others" || model.name.str() == "parts") continue;
      EXPECT_TRUE(source_->open(model.versions.at(0)));
    }
    EXPECT_TRUE(asked_->fetched.contains(below + "parts/a.onnx")) << file;
    EXPECT_TRUE(asked_->fetched.contains(below + "parts/a.onnx.data")) << file;
    EXPECT_FALSE(asked_->fetched.contains("others/1/model.onnx")) << file;
  }
}

TEST_F(RemoteModels, AManifestThatComesLaterIsHeeded) {
  store_.contents = {{"a.onnx", "a"}, {"b.onnx", "b"}};
  EXPECT_TRUE(source_of("a.onnx"));
  store_.contents["manifest.sha256"] = manifest_line("z", "a.onnx");
  EXPECT_FALSE(source_of("a.onnx"));
}

TEST_F(RemoteModels, AFileThatLiesBesideOthersComesWithWhatIsCalledLikeIt) {
  store_.contents = {{"a.onnx", "a"}, {"a.onnx.data", "weights"}, {"b.onnx", "b"}};
  const auto models = open("a.onnx");
  ASSERT_EQ(models.size(), 1U);
  ASSERT_TRUE(source_->open(models[0].versions.at(0)));
  EXPECT_EQ(asked_->fetched, (std::set<std::string>{"a.onnx", "a.onnx.data"}));
}

TEST_F(RemoteModels, TheManifestBesideManyFilesSaysTheDigestOfOne) {
  store_.contents = {{"a.onnx", "a"}, {"b.onnx", "b"}};
  store_.contents["manifest.sha256"] = manifest_line("b", "b.onnx") + manifest_line("z", "a.onnx");
  const auto models = open("a.onnx");
  ASSERT_EQ(models.size(), 1U);
  const auto opened = source_->open(models[0].versions.at(0));
  ASSERT_FALSE(opened) << "its content is another";
  EXPECT_EQ(opened.error().reason, "damaged");
  EXPECT_FALSE(asked_->fetched.contains("b.onnx"));
}

TEST_F(RemoteModels, AManifestMayNameWhatIsInFolders) {
  store_.contents = {{"m/v1/model.onnx", "a"}, {"m/v1/weights/w.bin", "w"}};
  store_.contents["m/v1/manifest.sha256"] =
      manifest_line("a", "model.onnx") + manifest_line("w", "weights/w.bin");
  const auto models = open();
  ASSERT_EQ(models.size(), 1U);
  const auto opened = source_->open(models[0].versions.at(0));
  EXPECT_TRUE(opened) << opened.error().message;
}

TEST_F(RemoteModels, WhatIsNearWaitsForNoStore) {
  store_.contents = {{"m/v1/model.onnx", "near"}};
  const auto version = open().at(0).versions.at(0);
  const auto before = source_->open_near(version);
  ASSERT_TRUE(before);
  EXPECT_FALSE(before->has_value());
  EXPECT_TRUE(asked_->fetched.empty());
  ASSERT_TRUE(source_->open_far(version, false));
  const auto after = source_->open_near(version);
  ASSERT_TRUE(after);
  ASSERT_TRUE(after->has_value());
  EXPECT_EQ((*after)->contents.text(), "near");

  for (const auto& file : fs::recursive_directory_iterator(cache_)) {
    if (file.path().filename() == "model.onnx") std::ofstream(file.path()) << "fear";
  }
  open();  // another process, which has checked nothing
  const auto damaged = source_->open_near(version);
  ASSERT_TRUE(damaged);
  EXPECT_FALSE(damaged->has_value());
  EXPECT_TRUE(asked_->fetched.empty()) << "that is for others";
}

TEST_F(RemoteModels, WhatMayNotBeReadIsAskedForAgain) {
  for (const char* what : {"m/v1/manifest.sha256", "m/v1/model.onnx"}) {
    store_ = {};
    store_.contents = {{"m/v1/model.onnx", what}};  // which the cache does not have
    store_.contents["m/v1/manifest.sha256"] = manifest_line(what, "model.onnx");
    store_.forbidden = {what};
    const auto models = open();
    ASSERT_EQ(models.size(), 1U);
    const auto opened = source_->open(models[0].versions.at(0));
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code, Code::kUnavailable) << what;
    asked_->forbidden.clear();
    EXPECT_TRUE(source_->open(models[0].versions.at(0))) << what;
  }
}

TEST_F(RemoteModels, ASchemeMayBeInCapitals) {
  RemoteOptions options;
  options.cache_directory = cache_;
  for (const char* url : {"S3://bucket/m.onnx", "Https://host/m.onnx", "https://host/m.onnx"}) {
    const auto source = make_source(url, Layout({".onnx"}), options, false);
    EXPECT_TRUE(source) << url << source.error().message;
  }
  const auto other = make_source("FTP://host/m.onnx", Layout({".onnx"}), options, false);
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().reason, "bad_url");
}

}  // namespace
}  // namespace sluice::sources
