#include "base/name_list.h"

#include <gtest/gtest.h>

#include <vector>

namespace sluice {
namespace {

TEST(NameList, SomeAndHowManyMore) {
  const std::vector<std::string> names = {"a", "b\n", "c"};
  EXPECT_EQ(name_list(std::span(names).first(1)), "'a'");
  EXPECT_EQ(name_list(std::span(names).first(2)).substr(0, 8), "'a' and ");
  EXPECT_EQ(name_list(names).find('\n'), std::string::npos);
  EXPECT_EQ(name_list(names, 1), "'a' and 2 more");
  const std::vector<std::string_view> views(12, "x");
  EXPECT_EQ(name_list(views, 2), "'x', 'x' and 10 more");
  EXPECT_TRUE(name_list(views).ends_with(" and 2 more"));
  EXPECT_EQ(name_list(std::vector<std::string>()), "");
}

}  // namespace
}  // namespace sluice
