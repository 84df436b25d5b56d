#include "features/murmur3.h"

#include <gtest/gtest.h>

#include <string>

#include "features/testing/feast_golden.h"

namespace sluice::features {
namespace {

TEST(Murmur3, PublishedVectors) {
  struct Vector {
    std::string bytes;
    std::uint32_t seed;
    std::uint32_t hash;
  };
  // Ian Boyd's, which cover every length of the tail (stackoverflow.com/a/31929528).
  const Vector vectors[] = {
      {"", 0, 0},
      {"", 1, 0x514E28B7},
      {"", 0xFFFFFFFF, 0x81F16F39},
      {"\xFF\xFF\xFF\xFF", 0, 0x76293B50},
      {"\x21\x43\x65\x87", 0, 0xF55B516B},
      {"\x21\x43\x65\x87", 0x5082EDEE, 0x2362F9DE},
      {"\x21\x43\x65", 0, 0x7E4A8634},
      {"\x21\x43", 0, 0xA0F7B07A},
      {"\x21", 0, 0x72661CF4},
      {std::string(4, '\0'), 0, 0x2362F9DE},
      {std::string(3, '\0'), 0, 0x85F0B427},
      {std::string(2, '\0'), 0, 0x30F4C306},
      {std::string(1, '\0'), 0, 0x514E28B7},
      {"aaaa", 0x9747B28C, 0x5A97808A},
      {"Hello, world!", 0x9747B28C, 0x24884CBA},
      {"The quick brown fox jumps over the lazy dog", 0x9747B28C, 0x2FA826CD},
  };
  for (const auto& vector : vectors) {
    EXPECT_EQ(murmur3(vector.bytes, vector.seed), vector.hash)
        << testing::PrintToString(vector.bytes) << " seed " << vector.seed;
  }
}

TEST(Murmur3, AsTheEncoderInPythonWritesIt) {
  const auto cases = feast_golden("field");
  EXPECT_EQ(cases.size(), 5U);
  for (const auto& one : cases) {
    const auto hash = murmur3(one["field"].get<std::string>());
    std::string little;
    for (int i = 0; i < 4; ++i) little += static_cast<char>(hash >> 8 * i);
    EXPECT_EQ(to_hex(little), one["bytes"].get<std::string>()) << one.dump();
  }
}

}  // namespace
}  // namespace sluice::features
