// Small value helpers: half precision, checked arithmetic, arena, snapshot, wire format.

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <thread>

#include "base/arena.h"
#include "base/checked.h"
#include "base/half.h"
#include "base/protowire.h"
#include "base/snapshot.h"
#include "base/text.h"

namespace sluice {
namespace {

TEST(Half, EveryValueComesBack) {
  for (std::uint32_t bits = 0; bits <= 0xFFFF; ++bits) {
    const auto half = static_cast<std::uint16_t>(bits);
    const float value = half_to_float(half);
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(half_to_float(float_to_half(value))));
    } else {
      ASSERT_EQ(float_to_half(value), half) << bits;
    }
  }
}

TEST(Half, RoundsToNearestEven) {
  EXPECT_EQ(float_to_half(1.0F + 1.0F / 2048), 0x3C00);  // halfway, even below
  EXPECT_EQ(float_to_half(1.0F + 3.0F / 2048), 0x3C02);  // halfway, even above
  EXPECT_EQ(float_to_half(65519.0F), 0x7BFF);
  EXPECT_EQ(float_to_half(65520.0F), 0x7C00);  // infinity
  EXPECT_EQ(float_to_half(0x1p-25F), 0x0000);  // halfway to the smallest
  EXPECT_EQ(float_to_half(0x1.8p-25F), 0x0001);
  EXPECT_EQ(float_to_bf16(1.0F + 1.0F / 256), 0x3F80);
  EXPECT_EQ(float_to_bf16(1.0F + 3.0F / 256), 0x3F82);
}

TEST(Checked, NothingWraps) {
  EXPECT_EQ(checked_mul<std::int64_t>(16, (std::int64_t{1} << 60) + 2), std::nullopt);
  EXPECT_EQ(checked_mul<std::int64_t>(3, 4), 12);
  EXPECT_EQ(checked_add<std::uint64_t>(~0ULL, 1), std::nullopt);
}

TEST(Arena, SmallThingsAreInlineAndLargeOnesAligned) {
  Arena arena;
  const auto* begin = reinterpret_cast<const std::byte*>(&arena);
  const auto small = arena.array<float>(30);
  EXPECT_GE(reinterpret_cast<const std::byte*>(small.data()), begin);
  EXPECT_LT(reinterpret_cast<const std::byte*>(small.data()), begin + sizeof(Arena));
  for (const std::size_t count : {16U, 1000U, 100'000U, 3U}) {
    const auto part = arena.array<double>(count);
    if (count * sizeof(double) >= 64) {
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(part.data()) % 64, 0U);
    }
    for (double& x : part) x = 1;  // the sanitizers look at this
  }
}

TEST(Snapshot, ReadersSeeWhatWasPublishedLast) {
  Snapshot<int> snapshot(std::make_shared<const int>(0));
  EXPECT_EQ(*snapshot.read(), 0);
  std::thread writer([&] {
    for (int i = 1; i <= 1000; ++i) snapshot.publish(std::make_shared<const int>(i));
  });
  int last = 0;
  while (last < 1000) {
    const int now = *snapshot.read();
    ASSERT_GE(now, last);
    last = now;
  }
  writer.join();
}

TEST(WireReader, EndsOnWhatIsNotWhole) {
  const std::string good = "\x08\x96\x01\x12\x02hi";
  WireReader reader(good);
  ASSERT_TRUE(reader.next());
  EXPECT_EQ(reader.number(), 150U);
  ASSERT_TRUE(reader.next());
  EXPECT_EQ(reader.bytes(), "hi");
  EXPECT_FALSE(reader.next());
  EXPECT_TRUE(reader.ok());
  for (std::size_t cut = 1; cut < good.size(); ++cut) {
    if (cut == 3) continue;  // the end of the first field
    WireReader broken(std::string_view(good).substr(0, cut));
    while (broken.next()) {
    }
    EXPECT_FALSE(broken.ok()) << cut;
  }
  const std::string ones(11, '\xFF');
  EXPECT_FALSE(WireReader(ones).next());
}

TEST(Text, SuggestsWhatIsNear) {
  const std::array<std::string_view, 3> known = {"features", "user_id", "debug"};
  EXPECT_EQ(nearest("featurs", known), "features");
  EXPECT_EQ(nearest("Features", known), "features");
  EXPECT_EQ(nearest("zzz", known), std::nullopt);
}

TEST(Text, MessagesStayOneLineAndShort) {
  EXPECT_EQ(printable("a\r\nb\x1b[31m"), "a??b?[31m");
  EXPECT_EQ(printable(std::string(100, 'x'), 5), "xxxxx...");
  EXPECT_EQ(printable("abc\xC3\xA9", 4), "abc...");  // no half of a character
  EXPECT_EQ(printable("a\xC2\x9B"
                      "31m\xC2\xA9"),
            "a?31m\xC2\xA9");  // a control sequence of one character
}

}  // namespace
}  // namespace sluice
