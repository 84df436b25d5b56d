#include "release/feedback_book.h"

#include <gtest/gtest.h>

namespace sluice::release {
namespace {

RequestKey key(std::uint64_t number) { return {number * 7919, number}; }

Waiting waiting(std::uint32_t arm, WallMillis at) {
  return {.arm = arm, .probability = 0.5F, .prediction = 1, .at = at};
}

TEST(FeedbackBook, CountsWhatIsStillToCome) {
  FeedbackBook book(2);
  book.add(key(1), waiting(0, 10));
  book.add(key(2), waiting(1, 11));
  book.add(key(2), waiting(0, 12));  // the same id again
  book.add(key(3), waiting(7, 12));  // no such arm
  EXPECT_EQ(book.pending(), (std::vector<double>{1, 1}));
  ASSERT_NE(book.find(key(2)), nullptr);
  EXPECT_EQ(book.find(key(2))->arm, 1U);
  EXPECT_EQ(book.find(key(3)), nullptr);
  book.answer(key(2));
  book.answer(key(2));
  EXPECT_EQ(book.pending(), (std::vector<double>{1, 0}));
  EXPECT_EQ(book.find(key(2))->answered, 1U) << "a second one is told apart from an unknown id";
}

TEST(FeedbackBook, TheOldestAreGivenUpFirst) {
  FeedbackBook book(1, 3);
  for (std::uint64_t i = 1; i <= 5; ++i) book.add(key(i), waiting(0, static_cast<WallMillis>(i)));
  EXPECT_EQ(book.given_up(), 2U);
  EXPECT_EQ(book.find(key(2)), nullptr);
  EXPECT_NE(book.find(key(3)), nullptr);
  EXPECT_EQ(book.pending(), std::vector<double>{3});
}

TEST(FeedbackBook, WhatExpiresIsCountedByArm) {
  FeedbackBook book(2);
  book.add(key(1), waiting(0, 10));
  book.add(key(2), waiting(1, 20));
  book.add(key(3), waiting(1, 21));
  book.add(key(4), waiting(1, 30));
  book.answer(key(3));
  EXPECT_EQ(book.expire(30), (std::vector<std::uint64_t>{1, 1})) << "the answered one is no loss";
  EXPECT_EQ(book.find(key(1)), nullptr);
  EXPECT_NE(book.find(key(4)), nullptr);
  EXPECT_EQ(book.pending(), (std::vector<double>{0, 1}));
  // A clock that was set back brings no end forward.
  EXPECT_EQ(book.expire(5), (std::vector<std::uint64_t>{0, 0}));
}

TEST(FeedbackBook, IsTheSameAfterARestart) {
  FeedbackBook before(2);
  before.add(key(1), waiting(0, 10));
  before.add(key(2), waiting(1, 11));
  const auto first = before.news();
  before.forget_news();
  EXPECT_EQ(FeedbackBook::entries(first), 2U);
  EXPECT_TRUE(before.news().empty());
  before.answer(key(1));
  before.add(key(3), waiting(1, 12));
  const auto second = before.news();
  FeedbackBook after(2);
  after.restore(first);
  after.restore(second + "cut off");
  EXPECT_EQ(after.pending(), before.pending());
  EXPECT_EQ(after.find(key(1))->answered, 1U);
  EXPECT_EQ(after.find(key(3))->at, 12);
  EXPECT_TRUE(after.news().empty()) << "it is stored already";
}

}  // namespace
}  // namespace sluice::release
