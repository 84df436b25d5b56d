#include "repository/version_policy.h"

#include <gtest/gtest.h>

namespace sluice::repository {
namespace {

std::vector<VersionName> names(std::initializer_list<const char*> texts) {
  std::vector<VersionName> out;
  for (const char* text : texts) out.push_back(*VersionName::parse(text));
  return out;
}

TEST(VersionPolicy, AllLatestAndNamed) {
  const auto existing = names({"v10", "v2", "v1"});
  EXPECT_EQ(choose_versions(existing, {}).wanted, names({"v1", "v2", "v10"}));
  EXPECT_EQ(choose_versions(existing, {2, {}}).wanted, names({"v2", "v10"}));
  EXPECT_EQ(choose_versions(existing, {9, {}}).wanted.size(), 3U);
  const auto named = choose_versions(existing, {{}, {{"v2", "v1", "v7"}}});
  EXPECT_EQ(named.wanted, names({"v1", "v2"}));
  EXPECT_EQ(named.missing, std::vector<std::string>{"v7"});
}

TEST(VersionPolicy, AVersionNamedTwiceIsLoadedOnce) {
  EXPECT_EQ(choose_versions(names({"v1"}), {{}, {{"v1", "v1"}}}).wanted, names({"v1"}));
}

}  // namespace
}  // namespace sluice::repository
