#include "transport/grpc.h"

#include <gtest/gtest.h>

#include "transport/gzip.h"
#include "transport/server.h"

namespace sluice::transport {
namespace {

using namespace std::chrono_literals;

TEST(Grpc, TimeoutsOfEveryUnit) {
  EXPECT_EQ(parse_grpc_timeout("1H"), 1h);
  EXPECT_EQ(parse_grpc_timeout("2M"), 2min);
  EXPECT_EQ(parse_grpc_timeout("3S"), 3s);
  EXPECT_EQ(parse_grpc_timeout("100m"), 100ms);
  EXPECT_EQ(parse_grpc_timeout("7u"), 7us);
  EXPECT_EQ(parse_grpc_timeout("99999999n"), 99999999ns);
  EXPECT_GT(parse_grpc_timeout("99999999H"), 24h * 365);  // does not wrap
  for (const char* bad : {"", "1", "m", "-1m", "1x", "1.5S", "123456789S", " 1S"}) {
    EXPECT_EQ(parse_grpc_timeout(bad), std::nullopt) << bad;
  }
}

TEST(Grpc, MessagesArePercentEncoded) {
  EXPECT_EQ(encode_grpc_message("a b"), "a b");
  EXPECT_EQ(encode_grpc_message("100%\n"), "100%25%0A");
  EXPECT_EQ(encode_grpc_message("\xC3\xA9"), "%C3%A9");
}

TEST(Grpc, PrefixIsBigEndian) {
  std::string out;
  append_grpc_prefix(out, true, 0x01020304);
  EXPECT_EQ(out, std::string("\x01\x01\x02\x03\x04", 5));
}

TEST(Grpc, EncodingLists) {
  EXPECT_TRUE(accepts_encoding("identity, gzip", "gzip"));
  EXPECT_FALSE(accepts_encoding("identity,gzipx", "gzip"));
}

TEST(Gzip, ThereAndBackWithinTheLimit) {
  const std::string text(100'000, 'a');
  const auto small = gzip(text);
  EXPECT_LT(small.size(), 1000U);
  EXPECT_EQ(inflate(small, text.size()).value(), text);
  const auto bomb = inflate(small, 99'999);
  ASSERT_FALSE(bomb);
  EXPECT_EQ(bomb.error().reason, "too_large");
  for (std::size_t cut = 0; cut < small.size(); cut += 7) {
    EXPECT_FALSE(inflate(std::string_view(small).substr(0, cut), text.size()));
  }
  EXPECT_FALSE(inflate(small + "x", text.size()));
  EXPECT_FALSE(inflate("not compressed at all", 100));
}

TEST(Address, Forms) {
  EXPECT_EQ(parse_address("127.0.0.1:8000")->port, 8000);
  EXPECT_EQ(parse_address(":0")->host, "0.0.0.0");
  EXPECT_EQ(parse_address("[::1]:80")->show(), "[::1]:80");
  for (const char* bad : {"", "8000", "a:b", "a:65536", "a:-1"})
    EXPECT_FALSE(parse_address(bad)) << bad;
}

}  // namespace
}  // namespace sluice::transport
