#include "features/feature_pack.h"

#include <gtest/gtest.h>

#include <map>
#include <variant>
#include <vector>

#include "base/random.h"

namespace sluice::features {
namespace {

std::vector<PackedFeature> every_type() {
  return {{1, {Null{}, 10}},
          {2, {true, 10}},
          {3, {std::int64_t{-9007199254740993}, 11}},
          {300, {0.1, 10}},
          {70'000, {std::string("a\0b", 3), 10}},
          {70'001, {std::vector<double>{1.5, -2}, 10}},
          {70'002, {std::vector<std::string>{"", "long enough to be on the heap for sure"}, 10}}};
}

std::string packed(const std::vector<PackedFeature>& features) {
  std::string out;
  pack(features, out);
  return out;
}

TEST(FeaturePack, ComesBackAsItWas) {
  const auto body = packed(every_type());
  PackReader reader(body);
  std::map<std::uint32_t, FeatureValue> read;
  while (reader.next()) read[reader.id()] = reader.value();
  EXPECT_FALSE(reader.damaged());
  ASSERT_EQ(read.size(), 7u);
  EXPECT_TRUE(std::holds_alternative<Null>(read[1].data));
  EXPECT_TRUE(std::get<bool>(read[2].data));
  EXPECT_EQ(std::get<std::int64_t>(read[3].data), -9007199254740993);
  EXPECT_EQ(read[3].time_ns, 11);
  EXPECT_EQ(std::get<double>(read[300].data), 0.1);
  EXPECT_EQ(read[300].time_ns, 10);
  EXPECT_EQ(std::get<std::string>(read[70'000].data), std::string("a\0b", 3));
  EXPECT_EQ(std::get<std::vector<double>>(read[70'001].data), (std::vector<double>{1.5, -2}));
  EXPECT_EQ(std::get<std::vector<std::string>>(read[70'002].data)[1].size(), 38u);
}

TEST(FeaturePack, WhatIsNotThereIsNotKept) {
  const auto body = packed({{1, {Absent{}, 5}}, {2, {Unreadable{"x"}, 5}}, {3, {false, 5}}});
  PackReader reader(body);
  ASSERT_TRUE(reader.next());
  EXPECT_EQ(reader.id(), 3u);
  EXPECT_FALSE(reader.next());
  EXPECT_FALSE(reader.damaged());
}

// Wherever it is cut off, what is before the cut is right and the rest is told to be damaged,
// unless it is cut between two features.
TEST(FeaturePack, CutOffAnywhere) {
  const auto features = every_type();
  const auto body = packed(features);
  std::size_t between = 0;
  for (std::size_t size = 0; size < body.size(); ++size) {
    const std::string part = body.substr(0, size);  // on the heap, for the sanitizer
    PackReader reader(part);
    std::size_t count = 0;
    while (reader.next()) {
      EXPECT_EQ(reader.id(), features[count].id);
      EXPECT_EQ(reader.value().data.index(), features[count].value.data.index());
      ++count;
    }
    EXPECT_LT(count, features.size());
    if (!reader.damaged()) ++between;
  }
  EXPECT_EQ(between, features.size());
}

TEST(FeaturePack, LengthsThatLieAreDamage) {
  for (const char type : {'\4', '\5', '\6', '\7'}) {
    std::string body = packed({});
    body += std::string("\1", 1) + type;
    body += "\xff\xff\xff\xff\xff\xff\xff\xff\x7f";
    PackReader reader(body);
    EXPECT_FALSE(reader.next());
    EXPECT_TRUE(reader.damaged()) << int{type};
  }
  EXPECT_TRUE(PackReader("").damaged());
  EXPECT_TRUE(PackReader("\2aaaaaaaa").damaged()) << "a version that nobody has written";
}

// Bytes turned over at random: no crash, and no list of more values than there are bytes.
TEST(FeaturePack, AnyBytes) {
  const auto body = packed(every_type());
  Random random(7);
  std::size_t damaged = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::string changed = body;
    changed[random.below(changed.size())] ^= static_cast<char>(1u << random.below(8));
    PackReader reader(changed);
    std::size_t total = 0;
    while (reader.next()) {
      const auto value = reader.value();
      if (const auto* list = std::get_if<std::vector<double>>(&value.data)) total += list->size();
    }
    EXPECT_LE(total, body.size() / 8);
    damaged += reader.damaged() ? 1 : 0;
  }
  EXPECT_GT(damaged, 1000u);
}

}  // namespace
}  // namespace sluice::features
