#include "base/md5_lanes.h"

#include <gtest/gtest.h>

#include "base/digest.h"

namespace sluice {
namespace {

constexpr std::size_t kLanes = Md5Lanes::kLanes;

std::string openssl(std::string_view text) {
  Digest digest(Digest::Kind::kMd5);
  digest.update(std::as_bytes(std::span(text)));
  return digest.finish();
}

// Sixteen texts of this length, all different.
std::vector<std::string> texts(std::size_t size) {
  std::vector<std::string> out(kLanes, std::string(size, '\0'));
  std::uint32_t seed = 7;
  for (auto& text : out) {
    for (auto& c : text) c = static_cast<char>((seed = seed * 1664525 + 1013904223) >> 24);
  }
  return out;
}

Md5Lanes::Bytes at(const std::vector<std::string>& texts, std::size_t offset) {
  Md5Lanes::Bytes out{};
  for (std::size_t i = 0; i < kLanes; ++i) {
    out[i] = std::as_bytes(std::span(texts[i])).data() + offset;
  }
  return out;
}

TEST(Md5Lanes, AsOpenSslForEveryLength) {
  Md5Lanes lanes;
  for (std::size_t size = 0; size < 4 * Md5Lanes::kBlock; ++size) {
    const auto all = texts(size);
    const auto blocks = size / Md5Lanes::kBlock;
    lanes.update(at(all, 0), blocks);
    const auto digests = lanes.finish(at(all, blocks * Md5Lanes::kBlock), size % Md5Lanes::kBlock);
    for (std::size_t i = 0; i < kLanes; ++i) {
      ASSERT_EQ(to_hex(digests[i]), to_hex(openssl(all[i]))) << size << " bytes, lane " << i;
    }
  }
}

TEST(Md5Lanes, InAnySteps) {
  const auto all = texts(10'000);
  Md5Lanes lanes;
  std::size_t done = 0;
  for (std::size_t blocks : {1, 0, 7, 100, 48}) {
    lanes.update(at(all, done), blocks);
    done += blocks * Md5Lanes::kBlock;
  }
  const auto digests = lanes.finish(at(all, done), all[0].size() - done);
  for (std::size_t i = 0; i < kLanes; ++i) EXPECT_EQ(digests[i], openssl(all[i]));
}

// RFC 1321, A.5.
TEST(Md5Lanes, Rfc1321) {
  const std::vector<std::string> all(kLanes, "message digest");
  Md5Lanes lanes;
  for (const auto& digest : lanes.finish(at(all, 0), all[0].size())) {
    EXPECT_EQ(to_hex(digest), "f96b697d7cb7938d525a2f31aaf161d0");
  }
}

}  // namespace
}  // namespace sluice
