// What is read is written again byte for byte, and what is no Thrift is an error and nothing worse.
#include "tools/batch/thrift_compact.h"

#include <gtest/gtest.h>

#include <bit>
#include <limits>
#include <random>

namespace sluice::tools {
namespace {

using namespace std::string_literals;

std::string written(const ThriftStruct& from) {
  std::string out;
  write_thrift(from, out);
  return out;
}

// Of bytes that must be whole.
ThriftStruct read(std::string_view bytes, std::int16_t encoded = 0) {
  auto out = read_thrift(bytes, encoded);
  EXPECT_TRUE(out) << out.error().message;
  EXPECT_TRUE(bytes.empty());
  return out ? *std::move(out) : ThriftStruct();
}

std::string fault(std::string_view bytes) {
  const auto out = read_thrift(bytes);
  return out ? "none" : out.error().message;
}

// Every type, as the specification lays its bytes out.
const std::string kEveryType =
    "\x11"                                          // 1: true
    "\x12"                                          // 2: false
    "\x13\xFE"                                      // 3: byte -2
    "\x14\x03"                                      // 4: short -2
    "\x15\xBE\x93\x06"                              // 5: int 50399 folded
    "\x16\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01"  // 6: the least long
    "\x17\0\0\0\0\0\0\xF8\x3F"                      // 7: 1.5
    "\x18\x03"
    "a\0b"                   // 8: binary
    "\x19\x25\x02\x04"       // 9: list of ints 1, 2
    "\x1A\x18\x01z"          // 10: set of binaries
    "\x1B\x01\x85\x01k\x0E"  // 11: map of binary to int, k: 7
    "\x1B\0"                 // 12: an empty map
    "\x1C\x11\0"             // 13: a structure
    "\x1D"
    "0123456789abcdef"    // 14: a UUID
    "\x19\x32\x01\x02\0"  // 15: list of truths
    "\x05\xD0\x0F\x02"    // 1000: int 1, with a long head
    "\0"s;

TEST(ThriftCompact, EveryTypeIsReadAndWrittenAsItWas) {
  const auto all = read(kEveryType);
  ASSERT_EQ(all.fields.size(), 16u);
  EXPECT_EQ(all.find(1)->type, ThriftType::kTrue);
  EXPECT_EQ(all.find(2)->type, ThriftType::kFalse);
  EXPECT_EQ(all.integer(3), -2);
  EXPECT_EQ(all.integer(4), -2);
  EXPECT_EQ(all.integer(5), 50399);
  EXPECT_EQ(all.integer(6), std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(std::bit_cast<double>(std::get<std::int64_t>(all.find(7)->held)), 1.5);
  EXPECT_EQ(all.binary(8), "a\0b"s);
  ASSERT_TRUE(all.list(9));
  EXPECT_EQ(std::get<std::int64_t>(all.list(9)->items[1].held), 2);
  ASSERT_TRUE(all.structure(13));
  EXPECT_EQ(all.structure(13)->fields.size(), 1u);
  EXPECT_EQ(all.integer(1000), 1);
  EXPECT_FALSE(all.find(16));
  EXPECT_FALSE(all.integer(8)) << "a text is no number";
  EXPECT_FALSE(all.binary(5)) << "a number is no text";
  EXPECT_EQ(written(all), kEveryType);
}

TEST(ThriftCompact, WhatIsBehindAStructureStays) {
  const auto two = "\x15\x02\0\x15\x04\0"s;
  std::string_view rest = two;
  EXPECT_EQ(read_thrift(rest)->integer(1), 1);
  EXPECT_EQ(rest, "\x15\x04\0"s);
}

TEST(ThriftCompact, FieldsAreChangedAddedAndLeftOut) {
  auto all = read("\x15\x02\x25\x04\x15\x06\0"s);  // 1: 1, 3: 2, 4: 3
  all.set(3, ThriftValue::i32(9));
  all.set(2, ThriftValue::i64(-1));
  all.set(60, ThriftValue::i64(1));
  all.erase(4);
  all.erase(5);
  EXPECT_EQ(written(all), "\x15\x02\x16\x01\x15\x12\x06\x78\x02\0"s);
}

TEST(ThriftCompact, AListMayStayAsItIsWritten) {
  std::string items;
  for (int index = 0; index < 20; ++index) {
    write_thrift({{{1, ThriftValue::i32(index)}}}, items);
  }
  const ThriftStruct whole{
      {{1, ThriftValue::i32(7)},
       {2, {ThriftType::kList, ThriftEncoded{written_list(ThriftType::kStruct, 20, items)}}}}};
  const auto bytes = written(whole);
  const auto made = read(bytes);
  ASSERT_TRUE(made.list(2));
  EXPECT_EQ(made.list(2)->items.size(), 20u);
  const auto kept = read(bytes, 2);
  EXPECT_FALSE(kept.list(2));
  const auto encoded = std::get<ThriftEncoded>(kept.find(2)->held).bytes;
  const auto views = items_of_list(encoded, ThriftType::kStruct);
  ASSERT_TRUE(views);
  ASSERT_EQ(views->size(), 20u);
  EXPECT_EQ(read((*views)[19]).integer(1), 19);
  EXPECT_FALSE(items_of_list(encoded, ThriftType::kI32));
  EXPECT_EQ(written(made), bytes);
  EXPECT_EQ(written(kept), bytes);
}

TEST(ThriftCompact, FaultsAreTold) {
  EXPECT_EQ(fault(""), "it ends within a value at byte 0 of it");
  EXPECT_EQ(fault("\x18\x05"
                  "abc"s),
            "a text is longer than what is left at byte 2 of it");
  EXPECT_EQ(fault("\x1E\0"s), "a field is of an unknown type at byte 1 of it");
  EXPECT_EQ(fault("\x15\x02\x05\x02\x02\0"s), "a field is there twice at byte 4 of it");
  EXPECT_EQ(fault("\x19\xFC\xFF\xFF\xFF\xFF\x0F\0"s),
            "a list is longer than what is left at byte 7 of it");
  EXPECT_EQ(fault("\x16\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F\0"s),
            "a number is longer than 64 bits at byte 11 of it");
  EXPECT_EQ(fault("\x15\x80\x80\x80\x80\x20\0"s),
            "a number is too large for its type at byte 6 of it");
  EXPECT_NE(fault(std::string(1000, '\x1C')).find("too deep"), std::string::npos);
  EXPECT_NE(fault(std::string(1000, '\x19')).find("too deep"), std::string::npos);
  std::string many;
  for (int id = 0; id < 1000; ++id) many += "\x11";
  EXPECT_NE(fault(many + '\0').find("too many fields"), std::string::npos);
  // A list of as many empty structures as there are bytes: within what is left, and refused.
  const std::string empty(kThriftValues + 10, '\0');
  EXPECT_NE(fault("\x19\xFC\x80\x80\x80\x02"s + empty).find("too many values"), std::string::npos);
}

TEST(ThriftCompact, CutAnywhereItIsAnError) {
  for (std::size_t size = 0; size < kEveryType.size(); ++size) {
    EXPECT_NE(fault(kEveryType.substr(0, size)), "none") << size;
  }
}

// Numbers may be written longer than they must be: what was read stays the same all the same.
TEST(ThriftCompact, AnyBytesAreAnErrorOrValuesThatStay) {
  std::mt19937 random(7);
  std::size_t good = 0;
  for (int round = 0; round < 20'000; ++round) {
    auto bytes = kEveryType;
    for (int flips = 0; flips < 1 + round % 3; ++flips) {
      bytes[random() % bytes.size()] = static_cast<char>(random());
    }
    std::string_view rest = bytes;
    const auto first = read_thrift(rest);
    if (!first) continue;
    ++good;
    const auto again = written(*first);
    EXPECT_EQ(written(read(again)), again) << round;
  }
  EXPECT_GT(good, 100u);
}

}  // namespace
}  // namespace sluice::tools
