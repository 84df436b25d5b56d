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
