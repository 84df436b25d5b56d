// Memory that lives exactly as long as one request.
//
// A bump allocator: allocation is an addition, release is one reset. The first bytes are inline, so
// a small request costs no malloc at all; larger ones take blocks that double. `reset` keeps
// nothing but the inline bytes, so one large request never makes later ones expensive to hold.
//
// Thread-safety: one owner at a time, like the request it belongs to.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

namespace sluice {

class Arena {
 public:
  static constexpr std::size_t kInline = 4096;

  Arena() = default;
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // `align` is a power of two of at most 64. Never null; throws std::bad_alloc like `new`.
  void* allocate(std::size_t bytes, std::size_t align) {
    const auto at = reinterpret_cast<std::uintptr_t>(next_);
    const std::size_t skip = (align - at % align) % align;
    if (skip + bytes > static_cast<std::size_t>(end_ - next_)) return allocate_block(bytes);
    std::byte* out = next_ + skip;
    next_ = out + bytes;
    return out;
  }

  // Uninitialised elements, aligned for tensors: to 64 bytes when there are many of them, and to 8
  // always, since bytes may become elements of any type.
  template <class T>
  requires std::is_trivially_destructible_v<T> std::span<T> array(std::size_t count) {
    constexpr std::size_t kLeast = std::max<std::size_t>(alignof(T), 8);
    const std::size_t align = count * sizeof(T) >= 64 ? 64 : kLeast;
    return {static_cast<T*>(allocate(count * sizeof(T), align)), count};
  }

  std::string_view copy(std::string_view text) {
    auto out = array<char>(text.size());
    if (!text.empty()) std::memcpy(out.data(), text.data(), text.size());
    return {out.data(), out.size()};
  }

  void reset() {
    blocks_.clear();
    next_ = inline_;
    end_ = inline_ + kInline;
  }

 private:
  void* allocate_block(std::size_t bytes) {
    // A large piece gets a block of its own; the current block stays in use for small ones.
    const std::size_t size = bytes + 64;
    const bool own = size > kInline;
    const std::size_t block = own ? size : kInline << std::min<std::size_t>(blocks_.size(), 8);
    blocks_.push_back(std::make_unique_for_overwrite<std::byte[]>(block));
    std::byte* start = blocks_.back().get();
    const auto at = reinterpret_cast<std::uintptr_t>(start);
    std::byte* out = start + (64 - at % 64) % 64;
    if (!own) {
      next_ = out + bytes;
      end_ = start + block;
    }
    return out;
  }

  alignas(64) std::byte inline_[kInline];
  std::byte* next_ = inline_;
  std::byte* end_ = inline_ + kInline;
  std::vector<std::unique_ptr<std::byte[]>> blocks_;
};

}  // namespace sluice
