#include "tools/batch/plain_csv.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>

namespace sluice::tools::batch {
namespace {

// "1 2|3 nan", or "not plain".
std::string read(std::string_view text, std::size_t columns, std::vector<std::size_t> wanted) {
  PlainCsv lines(text, columns, wanted);
  std::string out;
  while (const auto rows = lines.next()) {
    for (std::size_t row = 0; row < rows; ++row) {
      if (!out.empty()) out += '|';
      for (std::size_t i = 0; i < wanted.size(); ++i) {
        const double value = lines.numbers(i)[row];
        std::array<char, 32> shown{};
        std::snprintf(shown.data(), shown.size(), "%s%g", i == 0 ? "" : " ", value);
        out += shown.data();
      }
    }
  }
  return lines.plain() ? out : "not plain";
}

TEST(PlainCsv, ReadsWhatIsWanted) {
  EXPECT_EQ(read("1,x,2.5\n-3,y z,4e3\n", 3, {0, 2}), "1 2.5|-3 4000");
  EXPECT_EQ(read("1,x,2.5\n", 3, {2, 0, 2}), "2.5 1 2.5");
  EXPECT_EQ(read("1,2\r\n3,4\r\n", 2, {0, 1}), "1 2|3 4");
  EXPECT_EQ(read("1,2\n3,4", 2, {1}), "2|4");
  EXPECT_EQ(read("", 2, {1}), "");
}

TEST(PlainCsv, WhatAFieldMayBe) {
  EXPECT_EQ(read(",\n , 7 \n", 2, {0, 1}), "nan nan|nan 7");
  EXPECT_EQ(read("true,False\nNaN,-inf\n1,.5\n5.,-0\n", 2, {0, 1}), "1 0|nan -inf|1 0.5|5 -0");
}

TEST(PlainCsv, LeavesTheRestToOthers) {
  for (const char* text :
       {"1,\"2\"\n", "1\n", "1,2,3\n", "1,2\n\n3,4\n", "1,2\n3\n", "1,x\n", "1,2\r3,4\n", "1,1-2\n",
        "1,\xC3\xA4\n", "1,--2\n", "1,.\n", "1,1.2.3\n", "1,-\n"}) {
    EXPECT_EQ(read(text, 2, {0, 1}), "not plain") << text;
  }
  EXPECT_EQ(read(std::string("1,\0\n", 4), 2, {0}), "not plain");
  EXPECT_EQ(read("1,x\n", 2, {0}), "1") << "nobody asks for x";
  EXPECT_EQ(read("\n", 1, {0}), "not plain");
  EXPECT_EQ(read("1," + std::string(2 << 20, 'x') + "\n", 2, {0}), "not plain");
}

TEST(PlainCsv, AnyNumberOfRows) {
  for (const std::size_t rows : {1UL, PlainCsv::kMostRows - 1, PlainCsv::kMostRows,
                                 PlainCsv::kMostRows + 1, 3 * PlainCsv::kMostRows}) {
    std::string text;
    for (std::size_t row = 0; row < rows; ++row) text += std::to_string(row) + ",0\n";
    const std::size_t wanted = 0;
    PlainCsv lines(text, 2, {&wanted, 1});
    double next = 0;
    while (const auto count = lines.next()) {
      for (std::size_t row = 0; row < count; ++row) ASSERT_EQ(lines.numbers(0)[row], next++);
    }
    EXPECT_EQ(next, static_cast<double>(rows));
  }
}

// The C library's reading of the same texts, to the last bit.
TEST(PlainCsv, NumbersAreTheNearestDoubles) {
  std::mt19937_64 random(7);
  const auto digits = [&](std::size_t count) {
    std::string out;
    for (std::size_t i = 0; i < count; ++i) out += static_cast<char>('0' + random() % 10);
    return out;
  };
  for (int i = 0; i < 200'000; ++i) {
    std::string text = random() % 2 ? "-" : "";
    text += digits(1 + random() % 12);
    if (random() % 4) text += "." + digits(random() % 14);
    if (random() % 8 == 0) text += "e" + std::to_string(static_cast<int>(random() % 60) - 30);
    const std::size_t wanted = 0;
    const std::string line = text + "\n";
    PlainCsv lines(line, 1, {&wanted, 1});
    ASSERT_EQ(lines.next(), 1U) << text;
    ASSERT_EQ(lines.numbers(0)[0], std::strtod(text.c_str(), nullptr)) << text;
  }
}

}  // namespace
}  // namespace sluice::tools::batch
