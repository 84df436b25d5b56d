#include "sources/remote_listing.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace sluice::sources {
namespace {

WantedModel model_with(const std::string& fingerprint, bool complete = false) {
  WantedModel model{*ModelName::parse("m"), {}, {}, {}, {}, {}};
  model.versions.push_back(
      {*VersionName::parse("v1"), "m/v1/a.onnx", "m/v1", fingerprint, complete, {}});
  return model;
}

TEST(Settling, WhatChangesIsHeldBackUntilItStays) {
  using std::chrono::milliseconds;
  Settling settling(milliseconds(1000));
  const Settling::TimePoint start{milliseconds(1'000'000)};
  const auto at = [&](int ms, std::vector<WantedModel> models) {
    auto out = settling.believe(std::move(models), start + milliseconds(ms));
    return out.empty() ? std::string("nothing") : out[0].versions[0].fingerprint;
  };
  EXPECT_EQ(at(0, {}), "nothing");
  EXPECT_EQ(at(100, {model_with("a")}), "nothing");
  EXPECT_TRUE(settling.waits());
  EXPECT_EQ(at(1000, {model_with("a")}), "nothing");
  EXPECT_EQ(at(1100, {model_with("a")}), "a");
  EXPECT_FALSE(settling.waits());
  EXPECT_EQ(at(2000, {model_with("b")}), "a") << "the one before goes on";
  EXPECT_EQ(at(2500, {model_with("c")}), "a");
  EXPECT_EQ(at(3100, {model_with("c")}), "a") << "not yet a second the same";
  EXPECT_EQ(at(3500, {model_with("c")}), "c");
  EXPECT_EQ(at(3600, {model_with("d", true)}), "d") << "a manifest speaks for itself";
  EXPECT_EQ(at(3700, {}), "nothing");
}

TEST(Settling, WhatIsReplacedStaysUntilItsSuccessorIsBelieved) {
  using std::chrono::milliseconds;
  Settling settling(milliseconds(1000));
  const Settling::TimePoint start{milliseconds(1'000'000)};
  auto other = model_with("b");
  other.versions[0].name = *VersionName::parse("v2");
  const auto names = [&](int ms, const WantedModel& model) {
    const auto models = settling.believe({model}, start + milliseconds(ms));
    std::string out;
    for (const auto& each : models[0].versions) out += each.name.str() + " ";
    return out;
  };
  EXPECT_EQ(names(0, model_with("a")), "v1 ");
  EXPECT_EQ(names(100, other), "v1 ");
  EXPECT_EQ(names(600, other), "v1 ");
  EXPECT_EQ(names(1100, other), "v2 ");
}

TEST(Settling, TheFirstListingIsBelieved) {
  Settling settling(std::chrono::milliseconds(1000));
  EXPECT_EQ(settling.believe({model_with("a")}, {})[0].versions.size(), 1U);
}

TEST(RemoteListing, WhatIsKeptIsReadAgain) {
  const std::vector<Object> objects = {{"a/b", 7, "\"e\"", "", ""}, {"c", 0, "", "00", "x"}};
  const KnownTexts texts = {{"a/model.yaml", {"e1", "warmup: 1\n"}}};
  std::vector<Object> read;
  KnownTexts read_texts;
  ASSERT_TRUE(read_kept_listing(write_listing(objects, texts), read, read_texts));
  EXPECT_EQ(read, objects);
  EXPECT_EQ(read_texts.at("a/model.yaml").text, "warmup: 1\n");
  for (const char* bad : {"", "{}", R"({"objects":[["a",-1,"","",""]],"texts":{}})",
                          R"({"objects":[["a"]],"texts":{}})", R"({"objects":[],"texts":[]})"}) {
    std::vector<Object> none;
    EXPECT_FALSE(read_kept_listing(bad, none, read_texts)) << bad;
  }
}

TEST(RemoteListing, WhatAVersionConsistsOf) {
  std::vector<Object> objects = {{"a.onnx", 1, "", "", ""},   {"a.onnx.data", 1, "", "", ""},
                                 {"b.onnx", 1, "", "", ""},   {"m/v1/x.onnx", 1, "", "", ""},
                                 {"m/v1/d/w", 1, "", "", ""}, {"m/v10/x.onnx", 1, "", "", ""}};
  const auto keys = [&](const WantedVersion& version, bool flat) {
    std::string out;
    for (const auto& object : objects_of(objects, version, flat, {})) out += object.key + " ";
    return out;
  };
  const auto name = *VersionName::parse("v1");
  EXPECT_EQ(keys({name, "m/v1/x.onnx", "m/v1", {}, false, {}}, true), "m/v1/d/w m/v1/x.onnx ");
  const WantedVersion at_the_top{name, "a.onnx", "", {}, false, {}};
  EXPECT_EQ(keys(at_the_top, true), "a.onnx a.onnx.data ");
  EXPECT_EQ(keys(at_the_top, false), "a.onnx a.onnx.data b.onnx ") << "any may be its weights";
  objects.push_back({"m/.cache/x", 1, "", "", ""});
  objects.push_back({"manifest.sha256", 1, "", "", ""});
  EXPECT_EQ(keys(at_the_top, false),
            "a.onnx a.onnx.data b.onnx m/v1/d/w m/v1/x.onnx m/v10/x.onnx manifest.sha256 ")
      << "a manifest may name what is in folders";
}

}  // namespace
}  // namespace sluice::sources
