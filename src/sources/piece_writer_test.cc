#include "sources/piece_writer.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <future>
#include <mutex>
#include <string>
#include <vector>

namespace sluice::sources {
namespace {

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

class Writer : public testing::Test {
 protected:
  std::string file() const {
    std::string out(100, '\0');
    const auto got = ::pread(fd_.get(), out.data(), out.size(), 0);
    out.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
    return out;
  }

  const Fd fd_{::memfd_create("test", MFD_CLOEXEC)};
  std::mutex turn_;
  std::array<std::byte, 8> buffer_{};
};

TEST_F(Writer, WritesWhereThePieceIs) {
  ASSERT_EQ(::pwrite(fd_.get(), "abcdefghijklmnopqrstuvwxyz", 26, 0), 26);
  PieceWriter writer(fd_, turn_, 4, 2, buffer_);
  EXPECT_TRUE(writer.add(bytes_of("12345")));
  EXPECT_EQ(writer.written(), 2U) << "it is held";
  EXPECT_TRUE(writer.add(bytes_of("67890ABC")));
  EXPECT_EQ(writer.written(), 10U);
  EXPECT_EQ(file(), "abcdef12345678opqrstuvwxyz");
  EXPECT_TRUE(writer.flush());
  EXPECT_EQ(writer.written(), 15U);
  EXPECT_EQ(file(), "abcdef1234567890ABCtuvwxyz");
  EXPECT_TRUE(writer.flush());
  EXPECT_EQ(writer.written(), 15U);
}

TEST_F(Writer, TakesMoreThanItsBufferAtOnce) {
  PieceWriter writer(fd_, turn_, 0, 0, buffer_);
  EXPECT_TRUE(writer.add(bytes_of("abcdefghijklmnopqrstuvwxyz")));
  EXPECT_TRUE(writer.flush());
  EXPECT_EQ(file(), "abcdefghijklmnopqrstuvwxyz");
}

TEST_F(Writer, WritesMuchInSeveralWrites) {
  std::string text(3 * PieceWriter::kWrite + 5, 'x');
  for (std::size_t i = 0; i < text.size(); i += 7) text[i] = static_cast<char>(i % 100);
  std::vector<std::byte> large(text.size());
  PieceWriter writer(fd_, turn_, 3, 0, large);
  EXPECT_TRUE(writer.add(bytes_of(text)));
  EXPECT_TRUE(writer.flush());
  EXPECT_EQ(writer.written(), text.size());
  std::string read(text.size() + 1, '\0');
  EXPECT_EQ(::pread(fd_.get(), read.data(), read.size(), 3), static_cast<ssize_t>(text.size()));
  read.resize(text.size());
  EXPECT_TRUE(read == text);
}

TEST_F(Writer, BeginsAgain) {
  PieceWriter writer(fd_, turn_, 0, 0, buffer_);
  EXPECT_TRUE(writer.add(bytes_of("0123456789")));
  EXPECT_TRUE(writer.flush());
  EXPECT_EQ(writer.restart(), 10U);
  EXPECT_TRUE(writer.add(bytes_of("abc")));
  EXPECT_TRUE(writer.flush());
  EXPECT_EQ(writer.written(), 3U);
  EXPECT_EQ(file(), "abc3456789");
}

TEST_F(Writer, WritesWhenItIsItsTurn) {
  PieceWriter writer(fd_, turn_, 0, 0, buffer_);
  std::unique_lock another(turn_);
  EXPECT_TRUE(writer.add(bytes_of("abc"))) << "what is held is nobody else's business";
  auto flushed = std::async(std::launch::async, [&] { return writer.flush(); });
  EXPECT_EQ(flushed.wait_for(std::chrono::milliseconds(30)), std::future_status::timeout);
  EXPECT_EQ(file(), "");
  another.unlock();
  EXPECT_TRUE(flushed.get());
  EXPECT_EQ(file(), "abc");
}

TEST_F(Writer, SaysWhyTheDiskTakesNoMore) {
  const Fd full(::open("/dev/full", O_RDWR | O_CLOEXEC));
  PieceWriter writer(full, turn_, 0, 0, buffer_);
  EXPECT_TRUE(writer.add(bytes_of("abc")));
  EXPECT_FALSE(writer.add(bytes_of("defghijkl")));
  EXPECT_EQ(writer.error(), ENOSPC);
  EXPECT_EQ(writer.written(), 0U);
}

}  // namespace
}  // namespace sluice::sources
