#include "base/crc.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {
namespace {

std::uint64_t crc_of(Crc::Kind kind, std::string_view text) {
  Crc crc(kind);
  crc.update(std::as_bytes(std::span(text)));
  return crc.value();
}

// The definition, a bit at a time; the polynomials as their specifications print them, the highest
// power first.
std::uint64_t by_bits(Crc::Kind kind, std::string_view text) {
  const int width = kind == Crc::Kind::kCrc64Nvme ? 64 : 32;
  const std::uint64_t mask = ~std::uint64_t{0} >> (64 - width);
  const std::uint64_t top = std::uint64_t{1} << (width - 1);
  const std::uint64_t polynomial = kind == Crc::Kind::kCrc32    ? 0x04c11db7
                                   : kind == Crc::Kind::kCrc32c ? 0x1edc6f41
                                                                : 0xad93d23594c93659;
  std::uint64_t state = mask;
  for (const char c : text) {
    for (int bit = 0; bit < 8; ++bit) {
      const bool in = ((static_cast<unsigned char>(c) >> bit) & 1) != 0;
      const bool out = (state & top) != 0;
      state = (state << 1) & mask;
      if (in != out) state ^= polynomial;
    }
  }
  std::uint64_t reflected = 0;
  for (int i = 0; i < width; ++i) reflected |= ((state >> i) & 1) << (width - 1 - i);
  return reflected ^ mask;
}

std::string noise(std::size_t size) {
  std::string out;
  std::uint32_t seed = 12345;
  while (out.size() < size) out += static_cast<char>((seed = seed * 1664525 + 1013904223) >> 24);
  return out;
}

constexpr std::array kKinds = {Crc::Kind::kCrc32, Crc::Kind::kCrc32c, Crc::Kind::kCrc64Nvme};

// The check values that catalogues print, and those of RFC 3720, B.4 (iSCSI's, which is CRC-32C).
TEST(Crc, PublishedValues) {
  EXPECT_EQ(crc_of(Crc::Kind::kCrc32, "123456789"), 0xcbf43926);
  EXPECT_EQ(crc_of(Crc::Kind::kCrc32c, "123456789"), 0xe3069283);
  EXPECT_EQ(crc_of(Crc::Kind::kCrc64Nvme, "123456789"), 0xae8b14860a799888);
  EXPECT_EQ(crc_of(Crc::Kind::kCrc32c, std::string(32, '\0')), 0x8a9136aa);
  EXPECT_EQ(crc_of(Crc::Kind::kCrc32c, std::string(32, '\xff')), 0x62a8ab43);
  // NVM command set specification, "64b CRC" test cases: 4 KiB of zeros and of ones.
  EXPECT_EQ(crc_of(Crc::Kind::kCrc64Nvme, std::string(4096, '\0')), 0x6482d367eb22b64e);
  EXPECT_EQ(crc_of(Crc::Kind::kCrc64Nvme, std::string(4096, '\xff')), 0xc0ddba7302eca3ac);
}

TEST(Crc, EveryLengthAsTheDefinitionHasIt) {
  const auto text = noise(1100);
  for (const auto kind : kKinds) {
    for (std::size_t size = 0; size < text.size(); size += size < 300 ? 1 : 37) {
      const auto part = std::string_view(text).substr(0, size);
      EXPECT_EQ(crc_of(kind, part), by_bits(kind, part)) << size;
    }
  }
}

TEST(Crc, AsZlibHasIt) {
  const auto text = noise(1'000'003);
  EXPECT_EQ(crc_of(Crc::Kind::kCrc32, text), ::crc32(0, reinterpret_cast<const Bytef*>(text.data()),
                                                     static_cast<uInt>(text.size())));
}

TEST(Crc, InPieces) {
  const auto text = noise(20'000);
  for (const auto kind : kKinds) {
    for (const std::size_t step : {1U, 7U, 63U, 64U, 65U, 129U, 4096U}) {
      Crc crc(kind);
      for (std::size_t at = 0; at < text.size(); at += step) {
        crc.update(std::as_bytes(std::span(text)).subspan(at, std::min(step, text.size() - at)));
      }
      EXPECT_EQ(crc.value(), crc_of(kind, text)) << step;
    }
  }
}

TEST(Crc, ItsBytesAndThenAnew) {
  Crc crc(Crc::Kind::kCrc32c);
  const std::string_view text = "123456789";
  for (int i = 0; i < 2; ++i) {
    crc.update(std::as_bytes(std::span(text)));
    EXPECT_EQ(crc.finish(), std::string("\xe3\x06\x92\x83", 4));
  }
}

}  // namespace
}  // namespace sluice
