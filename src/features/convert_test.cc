#include "features/convert.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace sluice::features {
namespace {

TEST(ReadText, NumbersKeepWhatTheyAre) {
  EXPECT_EQ(std::get<std::int64_t>(read_text("9007199254740993", FeatureType::kNumber)),
            9007199254740993);
  EXPECT_EQ(std::get<double>(read_text("41.5", FeatureType::kNumber)), 41.5);
  EXPECT_EQ(std::get<double>(read_text("1e3", FeatureType::kNumber)), 1000);
  EXPECT_TRUE(std::isnan(std::get<double>(read_text("NaN", FeatureType::kNumber))));
  EXPECT_TRUE(std::holds_alternative<Null>(read_text("", FeatureType::kNumber)));
  for (const auto* bad : {"x", "1,5", "0x10", "1 2", "--1"}) {
    EXPECT_TRUE(std::holds_alternative<Unreadable>(read_text(bad, FeatureType::kNumber))) << bad;
  }
}

TEST(ReadText, TruthAndTexts) {
  EXPECT_TRUE(std::get<bool>(read_text("True", FeatureType::kBoolean)));
  EXPECT_FALSE(std::get<bool>(read_text("0", FeatureType::kBoolean)));
  EXPECT_TRUE(std::holds_alternative<Unreadable>(read_text("2", FeatureType::kBoolean)));
  EXPECT_EQ(std::get<std::string>(read_text("", FeatureType::kText)), "");
  EXPECT_EQ(std::get<std::string>(read_text("41", FeatureType::kAny)), "41");
}

TEST(Coerce, BetweenTypes) {
  EXPECT_EQ(std::get<std::string>(coerce(0.5, FeatureType::kText)), "0.5");
  EXPECT_EQ(std::get<std::int64_t>(coerce(true, FeatureType::kNumber)), 1);
  EXPECT_TRUE(std::get<bool>(coerce(1.0, FeatureType::kBoolean)));
  EXPECT_TRUE(std::holds_alternative<Unreadable>(coerce(std::int64_t{7}, FeatureType::kBoolean)));
  EXPECT_EQ(std::get<std::int64_t>(coerce(std::string("12"), FeatureType::kNumber)), 12);
  EXPECT_TRUE(std::holds_alternative<Absent>(coerce(Absent{}, FeatureType::kNumber)));
}

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

TEST(KeyNumber, OfItsType) {
  EXPECT_EQ(*key_number("-2147483648", {"id", KeyType::kInt32}), -2147483648LL);
  EXPECT_FALSE(key_number("2147483648", {"id", KeyType::kInt32}));
  EXPECT_EQ(*key_number("9223372036854775807", {"id", KeyType::kInt64}),
            std::numeric_limits<std::int64_t>::max());
  EXPECT_FALSE(key_number("9223372036854775808", {"id", KeyType::kInt64}));
  EXPECT_FALSE(key_number("u42", {"id", KeyType::kInt64}));
}

}  // namespace
}  // namespace sluice::features
