#include "sources/entries_in_use.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace sluice::sources {
namespace {

WantedVersion version(const std::string& name, const std::string& fingerprint = "f") {
  return {*VersionName::parse(name), name + "/model.onnx", name, fingerprint, true, {}};
}

TEST(EntriesInUse, AreThoseOfOpenedVersionsThatAreWanted) {
  EntriesInUse in_use;
  WantedModel model{*ModelName::parse("m"), {}, {}, {}, {}, {}};
  for (const char* name : {"v9", "v10", "v11"}) {
    model.versions.push_back(version(name));
    if (std::string(name) != "v11") in_use.opened(model.versions.back(), name);
  }
  const auto touched = [&] {
    auto out = in_use.wanted({model});
    std::ranges::sort(out);
    return out;
  };
  EXPECT_EQ(touched(), (std::vector<std::string>{"v10", "v9"}));
  model.config.versions.latest = 2;
  EXPECT_EQ(touched(), std::vector<std::string>{"v10"}) << "v11 has not been opened";
  model.config.versions = {std::nullopt, std::vector<std::string>{"v9"}};
  EXPECT_EQ(touched(), std::vector<std::string>{"v9"});
  model.versions[0].fingerprint = "another";
  EXPECT_TRUE(touched().empty());
  model.versions[0].fingerprint = version("v9").fingerprint;
  EXPECT_EQ(touched(), std::vector<std::string>{"v9"}) << "without another load";
}

}  // namespace
}  // namespace sluice::sources
