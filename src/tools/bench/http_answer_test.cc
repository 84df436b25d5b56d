#include "tools/bench/http_answer.h"

#include <gtest/gtest.h>

namespace sluice::tools {
namespace {

using State = AnswerHead::State;

TEST(HttpAnswer, SaysStatusAndWhereTheBodyEnds) {
  const std::string_view text =
      "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nDate: today\r\n"
      "content-length:  12 \r\n\r\n{\"error\":1}x";
  const auto head = read_answer_head(text);
  EXPECT_EQ(head.state, State::kWhole);
  EXPECT_EQ(head.status, 503);
  EXPECT_EQ(head.body_size, 12U);
  EXPECT_EQ(text.substr(head.head_size), "{\"error\":1}x");
  EXPECT_FALSE(head.close);
  EXPECT_FALSE(head.to_end);
}

TEST(HttpAnswer, IsPartialUntilItsLastByte) {
  const std::string_view text = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
  for (std::size_t size = 0; size < text.size(); ++size) {
    EXPECT_EQ(read_answer_head(text.substr(0, size)).state, State::kPartial) << size;
  }
  EXPECT_EQ(read_answer_head(text).state, State::kWhole);
  EXPECT_EQ(read_answer_head(text).head_size, text.size());
}

TEST(HttpAnswer, KnowsWhenTheConnectionEnds) {
  const auto closes = [](std::string_view line, std::string_view protocol = "HTTP/1.1") {
    return read_answer_head(std::string(protocol) + " 200 OK\r\nContent-Length: 3\r\n" +
                            std::string(line) + "\r\n\r\n")
        .close;
  };
  EXPECT_TRUE(closes("Connection: close"));
  EXPECT_TRUE(closes("connection:Close"));
  EXPECT_FALSE(closes("Connection: keep-alive"));
  EXPECT_FALSE(closes("Connections: close"));
  EXPECT_TRUE(closes("Server: old", "HTTP/1.0"));
  EXPECT_FALSE(closes("Connection: keep-alive", "HTTP/1.0"));
}

TEST(HttpAnswer, WithoutALengthTheBodyLastsToTheEnd) {
  const auto head = read_answer_head("HTTP/1.1 200 OK\r\nServer: x\r\n\r\nabc");
  EXPECT_EQ(head.state, State::kWhole);
  EXPECT_TRUE(head.to_end);
  EXPECT_TRUE(head.close);
  const auto nothing = read_answer_head("HTTP/1.1 204 No Content\r\n\r\n");
  EXPECT_FALSE(nothing.to_end);
  EXPECT_EQ(nothing.body_size, 0U);
}

TEST(HttpAnswer, WhatIsNotUnderstoodIsBroken) {
  for (const std::string_view text :
       {"SSH-2.0-server\r\n\r\n", "HTTP/1.1 2x0 OK\r\n\r\n", "HTTP/1.1\r\n\r\n", "\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"}) {
    EXPECT_EQ(read_answer_head(text).state, State::kBroken) << text;
  }
}

}  // namespace
}  // namespace sluice::tools
