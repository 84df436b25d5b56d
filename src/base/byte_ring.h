// Pieces of bytes from one thread to another, without a lock: one writes, one reads. A piece that
// finds no room is refused at once; nobody ever waits.
//
// Thread-safety: `reserve` and `commit` by the writer alone, `front` and `pop` by the reader alone.
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>

namespace sluice {

class ByteRing {
 public:
  // At least `capacity` bytes: the next power of two. Memory is touched as it is used.
  explicit ByteRing(std::size_t capacity)
      : mask_(std::bit_ceil(capacity) - 1),
        bytes_(std::make_unique_for_overwrite<std::byte[]>(mask_ + 1)) {}

  // Room for a piece, aligned to 8 bytes; empty where there is none. Nobody sees it before
  // `commit`.
  std::span<std::byte> reserve(std::size_t size) {
    const std::size_t whole = whole_of(size);
    const auto tail = tail_.load(std::memory_order_relaxed);
    const std::size_t to_end = mask_ + 1 - (tail & mask_);
    // Pieces are never cut: one that would be begins at the front again.
    const std::size_t skip = whole > to_end ? to_end : 0;
    const auto head = head_.load(std::memory_order_acquire);
    if (tail + skip + whole - head > mask_ + 1) return {};
    if (skip > 0) write_size(tail, kSkipped);
    write_size(tail + skip, size);
    reserved_ = skip + whole;
    return {&bytes_[(tail + skip) & mask_] + kHead, size};
  }
  void commit() {
    tail_.store(tail_.load(std::memory_order_relaxed) + reserved_, std::memory_order_release);
  }

  // The oldest piece; without data where there is none.
  std::span<const std::byte> front() {
    auto head = head_.load(std::memory_order_relaxed);
    if (head == tail_.load(std::memory_order_acquire)) return {};
    if (read_size(head) == kSkipped) {
      head += mask_ + 1 - (head & mask_);
      head_.store(head, std::memory_order_release);
    }
    return {&bytes_[head & mask_] + kHead, read_size(head)};
  }
  void pop() {
    const auto head = head_.load(std::memory_order_relaxed);
    head_.store(head + whole_of(read_size(head)), std::memory_order_release);
  }

 private:
  static constexpr std::size_t kHead = 8;
  static constexpr std::uint64_t kSkipped = ~std::uint64_t{0};

  static std::size_t whole_of(std::size_t size) { return kHead + (size + 7) / 8 * 8; }
  void write_size(std::uint64_t at, std::uint64_t size) {
    std::memcpy(&bytes_[at & mask_], &size, sizeof size);
  }
  std::uint64_t read_size(std::uint64_t at) const {
    std::uint64_t size = 0;
    std::memcpy(&size, &bytes_[at & mask_], sizeof size);
    return size;
  }

  const std::size_t mask_;
  const std::unique_ptr<std::byte[]> bytes_;
  std::size_t reserved_ = 0;  // the writer's own
  alignas(64) std::atomic<std::uint64_t> tail_{0};
  alignas(64) std::atomic<std::uint64_t> head_{0};
};

}  // namespace sluice
