// This side of the mailbox, beside a worker's side that the test writes by hand. What Python writes
// there is tested by worker_pool_test.

#include "engines/worker_mailbox.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstring>

namespace sluice::engines {
namespace {

// As worker_channel.py numbers the words.
enum Word { kAsked, kOurSleep, kAwake, kAnswered = 32, kTheirSleep, kTaken };

class Mailbox : public testing::Test {
 protected:
  Mailbox() : mailbox_(*WorkerMailbox::make(50)) {
    void* at =
        ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, mailbox_.descriptor().get(), 0);
    EXPECT_NE(at, MAP_FAILED);
    words_ = static_cast<volatile std::uint32_t*>(at);
  }
  ~Mailbox() override { ::munmap(const_cast<std::uint32_t*>(words_), 4096); }

  void answer(std::uint64_t rows) {
    const WorkerMessage message{4, 0, rows, {}};
    std::memcpy(const_cast<std::uint32_t*>(words_) + 40, &message, sizeof(message));
    words_[kAnswered] = words_[kAsked];
  }

  WorkerMailbox mailbox_;
  volatile std::uint32_t* words_ = nullptr;
};

TEST_F(Mailbox, HasNoAnswerBeforeThereIsOne) {
  mailbox_.ask({1, 30, 7, {100, 200}});
  EXPECT_FALSE(mailbox_.answer());
  WorkerMessage question;
  std::memcpy(static_cast<void*>(&question), const_cast<std::uint32_t*>(words_) + 8,
              sizeof(question));
  EXPECT_EQ(question.detail, 30U);
  EXPECT_EQ(question.places[1], 200U);
  answer(7);
  ASSERT_TRUE(mailbox_.answer());
  EXPECT_EQ(mailbox_.answer()->rows, 7U);
  mailbox_.ask({1, 30, 8, {}});
  EXPECT_FALSE(mailbox_.answer()) << "the last question's answer";
}

TEST_F(Mailbox, KnowsWhatWasTaken) {
  mailbox_.ask({});
  EXPECT_FALSE(mailbox_.taken());
  words_[kTaken] = words_[kAsked];
  EXPECT_TRUE(mailbox_.taken());
  mailbox_.ask({});
  EXPECT_FALSE(mailbox_.taken());
}

TEST_F(Mailbox, RingsForWhoSleeps) {
  EXPECT_TRUE(mailbox_.ask({})) << "it has never looked";
  words_[kTheirSleep] = 0;
  EXPECT_FALSE(mailbox_.ask({}));
  words_[kTheirSleep] = 1;
  EXPECT_TRUE(mailbox_.ask({}));
}

TEST_F(Mailbox, SaysWhetherItSleeps) {
  const std::uint32_t always = WorkerMailbox::kOrdered ? 0 : 1;
  EXPECT_EQ(words_[kAwake], WorkerMailbox::kOrdered ? 50U : 0U);
  EXPECT_EQ(words_[kOurSleep], always);
  mailbox_.fall_asleep();
  EXPECT_EQ(words_[kOurSleep], 1U);
  mailbox_.wake_up();
  EXPECT_EQ(words_[kOurSleep], always);
}

}  // namespace
}  // namespace sluice::engines
