#include "features/feast_value.h"

#include <gtest/gtest.h>

#include <bit>
#include <cstdio>
#include <random>

#include "base/protowire.h"
#include "features/testing/feast_golden.h"

namespace sluice::features {
namespace {

std::string bits(double value) {
  char out[20];
  std::snprintf(out, sizeof(out), "%016llx",
                static_cast<unsigned long long>(std::bit_cast<std::uint64_t>(value)));
  return out;
}

// As the encoder in Python tells what must be read.
struct Shown {
  std::string operator()(Absent) const { return "absent"; }
  std::string operator()(Null) const { return "null"; }
  std::string operator()(bool value) const { return value ? "truth true" : "truth false"; }
  std::string operator()(std::int64_t value) const { return "integer " + std::to_string(value); }
  std::string operator()(double value) const { return "real " + bits(value); }
  std::string operator()(const std::string& value) const { return "text " + to_hex(value); }
  std::string operator()(const std::vector<double>& list) const {
    std::string out = "reals";
    for (const double value : list) out += " " + bits(value);
    return out;
  }
  std::string operator()(const std::vector<std::string>& list) const {
    std::string out = "texts";
    for (const auto& value : list) out += " 'text " + to_hex(value) + "'";
    return out;
  }
  std::string operator()(Unreadable) const { return "unreadable"; }
};

std::string shown(std::string_view bytes, FeatureType type = FeatureType::kAny) {
  return std::visit(Shown(), feast_value(bytes, type));
}

TEST(FeastValue, AsTheEncoderInPythonWritesIt) {
  const auto cases = feast_golden("value");
  EXPECT_EQ(cases.size(), 37U);
  for (const auto& one : cases) {
    EXPECT_EQ(shown(unhex(one["bytes"])), one["value"].get<std::string>()) << one.dump();
  }
}

TEST(FeastValue, AsWhatIsWanted) {
  EXPECT_EQ(shown("\x12\x02"
                  "41",
                  FeatureType::kNumber),
            "integer 41");
  EXPECT_EQ(shown("\x38\x01", FeatureType::kNumber), "integer 1");
  EXPECT_EQ(shown("\x18\x29", FeatureType::kText), "text " + to_hex("41"));
  EXPECT_EQ(shown("\x18\x29", FeatureType::kBoolean), "unreadable");
}

TEST(FeastValue, ListsWithoutPacking) {
  // Int64List with 5 and 6, each under its own tag.
  EXPECT_EQ(shown("\x72\x04\x08\x05\x08\x06"), "reals " + bits(5) + " " + bits(6));
}

TEST(FeastValue, SetsAreListsAndIdentifiersTexts) {
  std::string list;
  WireWriter(list).bytes(1, "a");
  for (const std::uint32_t field : {12U, 22U, 23U, 33U, 38U, 39U, 40U, 41U, 45U, 46U}) {
    std::string value;
    WireWriter(value).bytes(field, list);
    EXPECT_EQ(shown(value), "texts 'text 61'") << field;
  }
  for (const std::uint32_t field : {1U, 2U, 32U, 36U, 37U, 44U}) {
    std::string value;
    WireWriter(value).bytes(field, "a");
    EXPECT_EQ(shown(value), "text 61") << field;
  }
}

TEST(FeastValue, MapsAndWhatIsNewerCannotBeRead) {
  for (const std::uint32_t field : {9U, 10U, 20U, 21U, 30U, 34U, 42U, 47U, 48U, 1000U}) {
    std::string value;
    WireWriter(value).bytes(field, "");
    EXPECT_EQ(shown(value), "unreadable") << field;
  }
}

TEST(FeastValue, WrongWireTypesCannotBeRead) {
  std::string text;
  WireWriter(text).number(2, 7);
  std::string number;
  WireWriter(number).bytes(3, "7");
  std::string list;
  WireWriter(list).number(14, 7);
  for (const auto& value : {text, number, list}) EXPECT_EQ(shown(value), "unreadable");
}

TEST(FeastValue, WhatIsCutOffCannotBeRead) {
  std::size_t cuts = 0;
  for (const auto& one : feast_golden("value")) {
    const auto whole = unhex(one["bytes"]);
    for (std::size_t size = 1; size < whole.size(); ++size) {
      EXPECT_EQ(shown(whole.substr(0, size)), "unreadable") << one.dump() << " at " << size;
      ++cuts;
    }
  }
  EXPECT_GT(cuts, 200U);
}

TEST(FeastValue, GarbageIsReadAsSomethingOrNothingButNeverPastItsEnd) {
  std::mt19937 random(7);
  std::size_t unreadable = 0;
  for (int i = 0; i < 20'000; ++i) {
    // On the heap and of its exact size, so that the address sanitizer sees one byte too far.
    std::vector<char> bytes(random() % 24);
    for (auto& byte : bytes) byte = static_cast<char>(random());
    unreadable += shown({bytes.data(), bytes.size()}) == "unreadable" ? 1 : 0;
    feast_timestamp({bytes.data(), bytes.size()});
  }
  EXPECT_GT(unreadable, 15'000U);
}

TEST(FeastTimestamp, AsTheEncoderInPythonWritesIt) {
  const auto cases = feast_golden("time");
  EXPECT_EQ(cases.size(), 5U);
  for (const auto& one : cases) {
    EXPECT_EQ(feast_timestamp(unhex(one["bytes"])), one["time"].get<std::int64_t>()) << one.dump();
  }
}

TEST(FeastTimestamp, WhatIsNone) {
  std::string late;
  WireWriter(late).number(1, 253'402'300'799);  // the last second of the year 9999
  std::string odd;
  WireWriter(odd).number(2, 1'000'000'000);
  std::string text;
  WireWriter(text).bytes(1, "2026");
  for (const auto& bytes : {late, odd, text, std::string("\x08")}) {
    EXPECT_EQ(feast_timestamp(bytes), std::nullopt);
  }
}

}  // namespace
}  // namespace sluice::features
