#include "transport/buffer.h"

#include <gtest/gtest.h>

#include <string>

namespace sluice::transport {
namespace {

// A number for each place of what is sent, so that nothing can be lost or moved unseen.
char byte_at(std::size_t place) { return static_cast<char>(place % 251); }

TEST(DropSent, ABacklogThatNeverEndsDoesNotKeepWhatHasLeft) {
  constexpr std::size_t kPiece = 10'000;
  constexpr std::size_t kBacklog = 30 * kPiece;
  std::string out;
  std::size_t sent = 0;
  std::size_t made = 0;
  std::size_t read = 0;
  std::size_t wrong = 0;
  for (int round = 0; round < 300; ++round) {
    while (out.size() - sent < kBacklog + kPiece) out += byte_at(made++);
    for (std::size_t i = 0; i < kPiece; ++i) wrong += out[sent + i] == byte_at(read++) ? 0U : 1U;
    sent += kPiece;
    drop_sent(out, sent);
    ASSERT_LE(out.size(), 2 * kBacklog + kPiece);
  }
  EXPECT_EQ(wrong, 0U);
}

TEST(DropSent, LittleIsNotMoved) {
  std::string out(1000, 'a');
  std::size_t sent = 999;
  drop_sent(out, sent);
  EXPECT_EQ(out.size(), 1000U);
  EXPECT_EQ(sent, 999U);
}

TEST(DropSent, WhatHasLeftWhollyIsGoneAndMuchMemoryGivenBack) {
  for (const std::size_t size : {std::size_t{0}, std::size_t{1000}, std::size_t{4} << 20}) {
    std::string out(size, 'a');
    std::size_t sent = size;
    drop_sent(out, sent);
    EXPECT_TRUE(out.empty());
    EXPECT_EQ(sent, 0U);
    EXPECT_LE(out.capacity(), std::size_t{1} << 20);
  }
}

}  // namespace
}  // namespace sluice::transport
