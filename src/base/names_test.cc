#include "base/names.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace sluice {
namespace {

TEST(Names, TokensOnly) {
  for (const char* good : {"fraud", "v1", "1", "v1.10", "a-b_c.d", "0"}) {
    EXPECT_TRUE(is_token(good)) << good;
  }
  for (const char* bad : {"", ".", "..", "../x", "a/b", "a\\b", ".hidden", "_x", "-x", "a b", "a.",
                          "a\tb", "caf\xC3\xA9"}) {
    EXPECT_FALSE(is_token(bad)) << bad;
  }
  EXPECT_TRUE(is_token(std::string(128, 'a')));
  EXPECT_FALSE(is_token(std::string(129, 'a')));
  EXPECT_FALSE(is_token(std::string_view("a\0b", 3)));
}

TEST(Names, NaturalOrderIsWhatPeopleExpect) {
  std::vector<std::string> names = {"v1", "v1.2", "v1.10", "v2", "v2b", "v10", "w"};
  const auto expected = names;
  std::mt19937 random(1);
  for (int i = 0; i < 50; ++i) {
    std::ranges::shuffle(names, random);
    std::ranges::sort(names, [](auto& a, auto& b) { return natural_compare(a, b) < 0; });
    EXPECT_EQ(names, expected);
  }
}

TEST(Names, NumbersOfAnyLengthAndEqualNumbers) {
  EXPECT_TRUE(natural_compare("99999999999999999999", "100000000000000000000") < 0);
  EXPECT_TRUE(natural_compare("1", "01") != 0);  // a total order: two names are never equal
  EXPECT_EQ(natural_compare("1", "01") < 0, natural_compare("01", "1") > 0);
}

TEST(Names, AnInvalidNameSaysWhatIsValid) {
  const auto name = ModelName::parse("../etc");
  ASSERT_FALSE(name);
  EXPECT_EQ(name.error().reason, "invalid_name");
  EXPECT_EQ(name.error().message.find("etc"), std::string::npos);
}

}  // namespace
}  // namespace sluice
