#include "codecs/number_list.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <optional>
#include <random>
#include <string>
#include <type_traits>
#include <vector>

namespace sluice::codecs {
namespace {

constexpr std::size_t kPadding = 64;

// What the list holds, or nothing where it is not read.
std::optional<std::vector<double>> read(std::string text) {
  const std::size_t size = text.size();
  text.append(kPadding, '7');  // what lies behind the text must not matter
  std::vector<double> out;
  const auto take = [&](auto number) {
    if constexpr (std::is_same_v<decltype(number), Decimal>) {
      out.push_back(number.value());
    } else {
      out.push_back(number);
    }
    return true;
  };
  if (!read_number_list(std::string_view(text).substr(0, size), take)) return std::nullopt;
  return out;
}

TEST(NumberList, AgreesWithStrtodOnEveryLength) {
  std::mt19937_64 random(7);
  for (int i = 0; i < 300'000; ++i) {
    const auto digits = [&](int count) {
      std::string out;
      for (int d = 0; d < count; ++d) out += static_cast<char>('0' + random() % 10);
      return out;
    };
    std::string text = random() % 2 == 0 ? "-" : "";
    const int whole = static_cast<int>(random() % 20);
    text += whole == 0 ? "0" : static_cast<char>('1' + random() % 9) + digits(whole - 1);
    if (random() % 4 != 0) text += "." + digits(1 + static_cast<int>(random() % 20));
    if (random() % 8 == 0) text += "e" + std::to_string(static_cast<int>(random() % 40) - 20);
    const auto got = read("[" + text + "]");
    ASSERT_TRUE(got) << text;
    ASSERT_EQ(got->size(), 1U);
    EXPECT_EQ(got->front(), std::strtod(text.c_str(), nullptr)) << text;
  }
}

TEST(NumberList, SignsNullsAndSpace) {
  const auto got = read("[ 1,\t-2.5 ,\n0, -0.0,null\r, 1e3,2E-1 ]");
  ASSERT_TRUE(got);
  ASSERT_EQ(got->size(), 7U);
  EXPECT_EQ((*got)[0], 1);
  EXPECT_EQ((*got)[1], -2.5);
  EXPECT_TRUE(std::signbit((*got)[3]));
  EXPECT_TRUE(std::isnan((*got)[4]));
  EXPECT_EQ((*got)[5], 1000);
  EXPECT_EQ((*got)[6], 0.2);
}

TEST(NumberList, WhatIsNoListOfNumbersIsLeftToOthers) {
  for (const char* text :
       {"[]",      "[01]",    "[-]",     "[1.]",    "[.5]",    "[+1]",  "[1e]",
        "[1e+]",   "[1,]",    "[,1]",    "[1 2]",   "[1",      "[1,",   "[NaN]",
        "[nul]",   "[nullx]", "[null1]", "[true]",  "[\"1\"]", "[[1]]", "[1x]",
        "[1e400]", "[-00]",   "[0x10]",  "[1.5.5]", "[1-2]",   "[--1]", "[Infinity]"}) {
    EXPECT_FALSE(read(text)) << text;
  }
  EXPECT_FALSE(read("[" + std::string(65, '1') + "]"));
}

TEST(NumberList, StopsWhereAnElementIsNotTaken) {
  std::string text = "[1,2,3]";
  text.append(kPadding, ' ');
  int taken = 0;
  EXPECT_FALSE(
      read_number_list(std::string_view(text).substr(0, 7), [&](auto) { return ++taken < 2; }));
  EXPECT_EQ(taken, 2);
}

}  // namespace
}  // namespace sluice::codecs
