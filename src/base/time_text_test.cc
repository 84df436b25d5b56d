#include "base/time_text.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

TEST(ParseTime, EveryWayOfWritingOne) {
  constexpr std::int64_t kTen = 1'795'687'200'000'000'000;  // date -ud 2026-11-26T10:00:00Z +%s
  for (const auto* text :
       {"2026-11-26T10:00:00Z", "2026-11-26 10:00:00", "2026-11-26T10:00:00+00:00",
        "2026-11-26T12:30:00+02:30", "2026-11-26T05:00:00-0500", "2026-11-26 10:00", "1795687200",
        "1795687200.0"}) {
    EXPECT_EQ(parse_time(text), kTen) << text;
  }
  EXPECT_EQ(parse_time("2026-11-26 10:00:00.25"), kTen + 250'000'000);
  EXPECT_EQ(parse_time("1795687200.25"), kTen + 250'000'000);
  EXPECT_EQ(parse_time("1969-12-31T23:59:59.5Z"), -500'000'000);
  EXPECT_EQ(parse_time("2026-11-26"), kTen - 10LL * 3600 * 1'000'000'000);
}

TEST(ParseTime, WhatIsNone) {
  for (const auto* text :
       {"", "soon", "2026-13-01", "2026-02-30", "2026-11-26T25:00:00Z", "2026-11-26T10:00:00Zx",
        "2026-11-26T10", "9999-01-01", "1e300", "nan", "9223372036854775807"}) {
    EXPECT_EQ(parse_time(text), std::nullopt) << text;
  }
}

TEST(AppendTime, AsItWasRead) {
  for (const auto* text :
       {"2026-11-26T10:00:00Z", "1969-12-31T23:59:59.500Z", "2026-11-26T10:00:00.000001Z",
        "2026-11-26T10:00:00.000000001Z", "1970-01-01T00:00:00Z"}) {
    std::string out;
    append_time(*parse_time(text), out);
    EXPECT_EQ(out, text);
  }
}

}  // namespace
}  // namespace sluice
