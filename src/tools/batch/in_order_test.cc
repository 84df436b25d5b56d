// Whatever order parts are ready in, their rows are in theirs.
#include "tools/batch/in_order.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <thread>
#include <vector>

#include "tools/batch/memory_files.h"

namespace sluice::tools::batch {
namespace {

namespace fs = std::filesystem;

class InOrderTest : public testing::Test {
 protected:
  InOrderTest() {
    std::string name = (fs::temp_directory_path() / "in-order-XXXXXX").string();
    root_ = ::mkdtemp(name.data());
    journal_ =
        std::make_unique<Journal>(*Journal::begin(root_ / "out.jsonl.parts", {{"parts", 9}}));
    rows_ = std::make_unique<OutputRows>(clients::TableFormat::kJsonLines, journal_->rows());
  }
  ~InOrderTest() override { fs::remove_all(root_); }

  static PartAnswered part(const std::string& lines) {
    const auto fd = std::make_shared<const Fd>(*memory_file("test"));
    EXPECT_TRUE(write_all(*fd, lines));
    PartAnswered out;
    out.done.rows = out.done.written = 1;
    out.made = *part_of(clients::TableFormat::kJsonLines, fd);
    return out;
  }
  std::string written() const { return *read_text(journal_->rows_file(), 1 << 20, "the rows"); }

  fs::path root_;
  std::unique_ptr<Journal> journal_;
  std::unique_ptr<OutputRows> rows_;
  Counts counts_;
};

TEST_F(InOrderTest, WhatIsReadyEarlyWaits) {
  InOrder in_order(8, *journal_, *rows_, counts_);
  ASSERT_TRUE(in_order.write(2, 5, part("2\n")));
  ASSERT_TRUE(in_order.write(1, 4, part("1\n")));
  EXPECT_EQ(written(), "");
  ASSERT_TRUE(in_order.write(0, 3, part("0\n")));
  EXPECT_EQ(written(), "0\n1\n2\n");
  EXPECT_EQ(counts_.parts_done, 3U);
  EXPECT_EQ(journal_->done().at(5).offset, 4U) << "by its number in the job";
}

TEST_F(InOrderTest, ManyThreadsFewWaiting) {
  constexpr std::size_t kThreads = 4;
  constexpr std::size_t kParts = 200;
  InOrder in_order(1, *journal_, *rows_, counts_);
  std::atomic<std::size_t> next{0};
  std::vector<std::jthread> threads;
  for (std::size_t i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      for (auto place = next++; place < kParts; place = next++) {
        EXPECT_TRUE(in_order.write(place, place, part(std::to_string(place) + "\n")));
      }
    });
  }
  threads.clear();
  std::string expected;
  for (std::size_t i = 0; i < kParts; ++i) expected += std::to_string(i) + "\n";
  EXPECT_EQ(written(), expected);
}

TEST_F(InOrderTest, NothingIsWrittenBehindOneThatFailed) {
  InOrder in_order(8, *journal_, *rows_, counts_);
  ASSERT_TRUE(in_order.write(3, 3, part("3\n")));
  in_order.give_up(1);
  const auto behind = in_order.write(2, 2, part("2\n"));
  ASSERT_FALSE(behind);
  EXPECT_EQ(behind.error().code, Code::kCancelled);
  EXPECT_TRUE(in_order.write(0, 0, part("0\n"))) << "those before it are";
  EXPECT_EQ(written(), "0\n");
  EXPECT_EQ(counts_.parts_done, 1U);
}

// One that waits for room must not wait for ever.
TEST_F(InOrderTest, WhoWaitsIsToldOfAFailure) {
  InOrder in_order(0, *journal_, *rows_, counts_);
  std::jthread waits([&] { EXPECT_FALSE(in_order.write(1, 1, part("1\n"))); });
  in_order.give_up(0);
}

}  // namespace
}  // namespace sluice::tools::batch
