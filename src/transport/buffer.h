// Bytes received and not yet used up. Grows by doubling as bytes really arrive, never by what a
// peer merely declares, and is never filled with zeros. At least `kPadding` bytes after the end are
// readable, which is what a SIMD parser wants.
//
// Thread-safety: one owner.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace sluice::transport {

class Buffer {
 public:
  static constexpr std::size_t kPadding = 64;

  std::string_view view() const { return {data_.get() + begin_, end_ - begin_}; }
  std::size_t size() const { return end_ - begin_; }
  std::size_t capacity() const { return capacity_; }

  // Room for at least `wanted` more bytes. May move what is there.
  std::span<char> prepare(std::size_t wanted) {
    if (begin_ == end_) begin_ = end_ = 0;
    if (capacity_ - end_ < wanted) make_room(wanted);
    return {data_.get() + end_, capacity_ - end_};
  }
  void commit(std::size_t bytes) { end_ += bytes; }
  void consume(std::size_t bytes) {
    begin_ += bytes;
    if (begin_ == end_) begin_ = end_ = 0;
  }
  void append(std::string_view bytes) {
    if (bytes.empty()) return;
    std::memcpy(prepare(bytes.size()).data(), bytes.data(), bytes.size());
    commit(bytes.size());
  }
  void clear() { begin_ = end_ = 0; }
  // Gives memory back after something large.
  void release() {
    if (begin_ == end_) {
      data_.reset();
      begin_ = end_ = capacity_ = 0;
    }
  }

 private:
  void make_room(std::size_t wanted) {
    const std::size_t used = size();
    if (capacity_ >= used + wanted && begin_ >= capacity_ / 2) {
      std::memmove(data_.get(), data_.get() + begin_, used);
    } else {
      const std::size_t grown = std::max({capacity_ * 2, used + wanted, std::size_t{4096}});
      auto next = std::make_unique_for_overwrite<char[]>(grown + kPadding);
      if (used > 0) std::memcpy(next.get(), data_.get() + begin_, used);
      data_ = std::move(next);
      capacity_ = grown;
    }
    begin_ = 0;
    end_ = used;
  }

  std::unique_ptr<char[]> data_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::size_t capacity_ = 0;
};

// Of output whose first `sent` bytes have left: gives these up once they are much, since a backlog
// that never ends would keep all that was ever sent. Moves at most as many bytes as it gives up.
inline void drop_sent(std::string& out, std::size_t& sent) {
  constexpr std::size_t kFew = std::size_t{64} << 10;
  constexpr std::size_t kMostKept = std::size_t{1} << 20;
  if (sent == out.size()) {
    out.clear();
    if (out.capacity() > kMostKept) out.shrink_to_fit();
  } else if (sent >= kFew && sent >= out.size() - sent) {
    out.erase(0, sent);
  } else {
    return;
  }
  sent = 0;
}

}  // namespace sluice::transport
