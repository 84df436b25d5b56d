#include "base/byte_ring.h"

#include <gtest/gtest.h>

#include <cstring>
#include <deque>
#include <string>
#include <thread>

#include "base/random.h"

namespace sluice {
namespace {

bool push(ByteRing& ring, const std::string& text) {
  const auto room = ring.reserve(text.size());
  if (room.data() == nullptr) return false;
  if (!text.empty()) std::memcpy(room.data(), text.data(), text.size());
  ring.commit();
  return true;
}

std::string show(std::span<const std::byte> piece) {
  return {reinterpret_cast<const char*>(piece.data()), piece.size()};
}

TEST(ByteRing, GivesBackWhatWasPutInInOrderThroughManyRounds) {
  ByteRing ring(512);
  Random random(3);
  std::deque<std::string> inside;
  for (int i = 0; i < 100'000; ++i) {
    if (random.below(2) == 0) {
      std::string text(random.below(120), static_cast<char>('a' + i % 26));
      if (push(ring, text)) inside.push_back(std::move(text));
    } else if (const auto piece = ring.front(); piece.data() != nullptr) {
      ASSERT_FALSE(inside.empty());
      ASSERT_EQ(show(piece), inside.front());
      inside.pop_front();
      ring.pop();
    } else {
      ASSERT_TRUE(inside.empty());
    }
  }
}

TEST(ByteRing, RefusesWhatFindsNoRoomAndLosesNothingElse) {
  ByteRing ring(256);
  int taken = 0;
  while (push(ring, std::string(32, static_cast<char>('a' + taken)))) ++taken;
  EXPECT_EQ(taken, 6);  // of 40 bytes each
  for (int i = 0; i < taken; ++i) {
    ASSERT_EQ(show(ring.front())[0], 'a' + i);
    ring.pop();
  }
  EXPECT_EQ(ring.front().data(), nullptr);
  EXPECT_FALSE(push(ring, std::string(300, 'x')));
}

TEST(ByteRing, PiecesAreAligned) {
  ByteRing ring(1024);
  for (std::size_t size : {1, 7, 8, 9, 100}) {
    const auto room = ring.reserve(size);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(room.data()) % 8, 0U);
    ring.commit();
  }
}

TEST(ByteRing, OneWritesWhileOneReads) {
  ByteRing ring(4096);
  constexpr int kCount = 200'000;
  std::thread writer([&] {
    for (int i = 0; i < kCount;) {
      if (push(ring, std::to_string(i))) {
        ++i;
      } else {
        std::this_thread::yield();
      }
    }
  });
  for (int i = 0; i < kCount;) {
    const auto piece = ring.front();
    if (piece.data() == nullptr) {
      std::this_thread::yield();
      continue;
    }
    ASSERT_EQ(show(piece), std::to_string(i));
    ring.pop();
    ++i;
  }
  writer.join();
}

}  // namespace
}  // namespace sluice
