#include "transport/head_parser.h"

#include <gtest/gtest.h>

#include "transport/chunked_decoder.h"

namespace sluice::transport {
namespace {

const HttpLimits kLimits;

int status_of(const std::string& head) {
  RequestHead out;
  std::string_view target;
  const auto framing = parse_head(head, kLimits, out, target);
  return framing ? 200 : framing.error().status;
}

std::string post(const std::string& headers) {
  return "POST /predict HTTP/1.1\r\nHost: a\r\n" + headers + "\r\n";
}

TEST(HeadParser, WhatIsFine) {
  EXPECT_EQ(status_of(post("Content-Length: 5\r\n")), 200);
  EXPECT_EQ(status_of(post("Transfer-Encoding: chunked\r\n")), 200);
  EXPECT_EQ(status_of(post("transfer-encoding: Chunked\r\nX: y\tz\r\n")), 200);
  EXPECT_EQ(status_of("GET / HTTP/1.0\r\n\r\n"), 200);
}

struct Case {
  const char* headers;
  int status;
};

TEST(HeadParser, NothingThatTwoServersCouldReadDifferently) {
  const Case cases[] = {
      {"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", 400},
      {"Content-Length: 5\r\nContent-Length: 6\r\n", 400},
      {"Content-Length: 5\r\nContent-Length: 5\r\n", 400},
      {"Content-Length: 5, 5\r\n", 400},
      {"Content-Length: 2, 2\r\n", 400},
      {"Content-Length: +5\r\n", 400},
      {"Content-Length: -1\r\n", 400},
      {"Content-Length: 0x5\r\n", 400},
      {"Content-Length: 5 \r\n", 400},
      {"Content-Length:\r\n", 400},
      {"Content-Length: 18446744073709551616\r\n", 400},
      {"Transfer-Encoding: xchunked\r\n", 501},
      {"Transfer-Encoding: gzip\r\n", 501},
      {"Transfer-Encoding: identity\r\n", 501},
      {"Transfer-Encoding: gzip, chunked\r\n", 501},
      {"Transfer-Encoding: chunked, chunked\r\n", 400},
      {"Transfer-Encoding: chunked, identity\r\n", 400},
      {"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", 400},
      {"Transfer-Encoding:\r\n", 501},
      {"X: a\r\n b\r\n", 400},
      {" X: a\r\n", 400},
      {"X : a\r\n", 400},
      {"X\r\n", 400},
      {": a\r\n", 400},
      {"X: a\rb\r\n", 400},
      {"X: a\nb\r\n", 400},
      {"Host: b\r\n", 400},
      {"Expect: something\r\n", 417},
  };
  for (const auto& test : cases)
    EXPECT_EQ(status_of(post(test.headers)), test.status) << test.headers;
  EXPECT_EQ(status_of(post(std::string("X: a\0b\r\n", 8))), 400);
}

TEST(HeadParser, RequestLineHostAndVersion) {
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\n\r\n"), 400);  // no Host
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\nHost:\r\n\r\n"), 400);
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\nHost: a b\r\n\r\n"), 400);
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"), 400);
  EXPECT_EQ(status_of("GET / HTTP/3.0\r\nHost: a\r\n\r\n"), 505);
  EXPECT_EQ(status_of("GET / HTTP/1.9\r\nHost: a\r\n\r\n"), 505);
  EXPECT_EQ(status_of("GET / HTTP/1.1x\r\nHost: a\r\n\r\n"), 400);
  EXPECT_EQ(status_of("GET  / HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
  EXPECT_EQ(status_of("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), 400);
  EXPECT_EQ(status_of("GET /" + std::string(9000, 'a') + " HTTP/1.1\r\nHost: a\r\n\r\n"), 414);
  std::string many;
  for (int i = 0; i < 200; ++i) many += "X: y\r\n";
  EXPECT_EQ(status_of(post(many)), 431);
  EXPECT_EQ(status_of(post("X: " + std::string(64 << 10, 'a') + "\r\n")), 431);
}

TEST(HeadParser, TargetsAreDecodedOnceAndNeverClimb) {
  std::string storage;
  const auto path = [&](std::string_view target) -> std::string {
    const auto checked = check_target(target, "a", storage);
    return checked ? std::string(checked->path) : "refused";
  };
  EXPECT_EQ(path("/models/a%20b?q=%zz"), "/models/a b");
  EXPECT_EQ(path("http://a/x"), "/x");
  EXPECT_EQ(path("/%2561"), "/%61");
  for (const char* bad :
       {"/models/../x", "/models/%2e%2e/x", "/a%2fb", "/a%5cb", "/a%00b", "/a//b", "/./a", "/%zz",
        "/%4", "/%", "x", "*", "http://b/x", "/a#b", "/a\\b", "/..", "//"}) {
    EXPECT_EQ(path(bad), "refused") << bad;
  }
}

TEST(HeadParser, MethodTargetAndHeadersAreViews) {
  const std::string head = "POST /a?b HTTP/1.1\r\nHost: a\r\nX-One:  1 \r\nx-two:\r\n\r\n";
  RequestHead out;
  std::string_view target;
  ASSERT_TRUE(parse_head(head, kLimits, out, target));
  EXPECT_EQ(out.method, "POST");
  EXPECT_EQ(target, "/a?b");
  EXPECT_EQ(out.headers.size(), 3U);
  EXPECT_EQ(out.find("X-ONE"), "1");
  EXPECT_EQ(out.find("x-two"), "");
  EXPECT_GE(out.find("x-one")->data(), head.data());  // a view, not a copy
  EXPECT_LT(out.find("x-one")->data(), head.data() + head.size());
}

// Decodes `wire` given in pieces of `step` bytes.
std::string decoded(const std::string& wire, std::size_t step, std::size_t limit = 1 << 20) {
  Buffer in;
  Buffer body;
  ChunkedDecoder decoder(kLimits, limit);
  for (std::size_t at = 0; at < wire.size(); at += step) {
    in.append(std::string_view(wire).substr(at, step));
    const auto state = decoder.decode(in, body);
    if (state == ChunkedDecoder::State::kDone) return std::string(body.view());
    if (state == ChunkedDecoder::State::kRefused) {
      return "refused " + std::to_string(decoder.refusal().status);
    }
  }
  return "more";
}

TEST(ChunkedDecoder, AnySplitGivesTheSameBody) {
  const std::string wire = "5\r\nhello\r\n1;x=y\r\n \r\n05\r\nworld\r\n0\r\nX-Trailer: a\r\n\r\n";
  for (std::size_t step = 1; step <= wire.size(); ++step) {
    EXPECT_EQ(decoded(wire, step), "hello world") << step;
  }
}

TEST(ChunkedDecoder, RefusesWhatIsNotStrict) {
  EXPECT_EQ(decoded("-1\r\n", 99), "refused 400");
  EXPECT_EQ(decoded("0x10\r\n", 99), "refused 400");
  EXPECT_EQ(decoded("00000000000000005\r\nhello\r\n", 99), "refused 400");  // 17 digits
  EXPECT_EQ(decoded("5\nhello\n", 99), "refused 400");
  EXPECT_EQ(decoded("5 \r\nhello\r\n", 99), "refused 400");
  EXPECT_EQ(decoded("\r\n", 99), "refused 400");
  EXPECT_EQ(decoded("5\r\nhelloX\r\n", 99), "refused 400");
  EXPECT_EQ(decoded("FFFFFFFFFFFFFFFF\r\n", 99), "refused 413");
  EXPECT_EQ(decoded("6\r\n", 99, 5), "refused 413");
  EXPECT_EQ(decoded("5;" + std::string(100 << 10, 'x'), 4096), "refused 400");
  std::string many;
  for (int i = 0; i < 65537; ++i) many += "1\r\na\r\n";
  EXPECT_EQ(decoded(many, 1 << 16), "refused 413");
  EXPECT_EQ(decoded("0\r\n" + std::string(64 << 10, 'x'), 4096), "refused 431");
}

}  // namespace
}  // namespace sluice::transport
