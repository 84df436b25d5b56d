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

TEST(FeedbackBook, WhatExpiresIsAnswered) {
  FeedbackBook book(2);
  book.add(key(1), waiting(0, 10));
  book.add(key(2), waiting(1, 20));
  book.add(key(3), waiting(1, 21));
  book.add(key(4), waiting(1, 30));
  book.answer(key(3));
  const auto missed = book.expire(30);
  ASSERT_EQ(missed.size(), 2U) << "the answered one is no loss";
  EXPECT_EQ(missed[0].arm, 0U);
  EXPECT_EQ(missed[0].at, 10);
  EXPECT_EQ(missed[0].probability, 0.5F);
  EXPECT_EQ(missed[1].arm, 1U);
  EXPECT_EQ(missed[1].at, 20);
  EXPECT_EQ(book.find(key(1)), nullptr);
  EXPECT_NE(book.find(key(4)), nullptr);
  EXPECT_EQ(book.pending(), (std::vector<double>{0, 1}));
  // A clock that was set back brings no end forward.
  EXPECT_TRUE(book.expire(5).empty());
  EXPECT_EQ(book.expired_before(), 30);
}

TEST(FeedbackBook, WhatHasExpiredIsNotThereAfterARestart) {
  FeedbackBook before(1);
  before.add(key(1), waiting(0, 10));
  before.add(key(2), waiting(0, 40));
  const auto news = before.news();
  EXPECT_EQ(FeedbackBook::newest(news), 40);
  EXPECT_EQ(before.expire(30).size(), 1U);
  FeedbackBook after(1);
  after.restore(news);
  EXPECT_EQ(after.expire(before.expired_before()).size(), 1U);
  EXPECT_EQ(after.find(key(1)), nullptr);
  EXPECT_NE(after.find(key(2)), nullptr);
  EXPECT_EQ(after.expired_before(), 30);
}

TEST(FeedbackBook, WhatComesAfterTheClockWasSetBackIsThereAfterARestart) {
  FeedbackBook before(1);
  before.add(key(1), waiting(0, 10));
  before.expire(30);
  before.add(key(2), waiting(0, 5));
  FeedbackBook after(1);
  after.restore(before.news());
  after.expire(before.expired_before());
  EXPECT_EQ(after.find(key(1)), nullptr);
  EXPECT_NE(after.find(key(2)), nullptr);
}

TEST(FeedbackBook, WhoTakesAnothersOverKnowsWhatHasExpiredThere) {
  FeedbackBook before(1);
  before.expire(30);
  before.add(key(1), waiting(0, 40));
  FeedbackBook after(1);
  after.adopt(before, {0});
  EXPECT_EQ(after.expired_before(), 30);
  EXPECT_EQ(after.find(key(1))->at, 40);
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
