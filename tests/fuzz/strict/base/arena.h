// Takes the place of src/base/arena.h in fuzz targets: every piece is a block of the heap of
// exactly its size, so that AddressSanitizer sees what is read or written beyond it. What is
// uninitialised has the same junk every time, of which no part is a valid type, pointer or size.
//
// Thread-safety: one owner at a time.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

namespace sluice {

class Arena {
 public:
  Arena() = default;
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;
  ~Arena() { reset(); }

  void* allocate(std::size_t bytes, std::size_t align) {
    const auto alignment = std::align_val_t(align);
    void* out = ::operator new(bytes, alignment);
    std::memset(out, 0xA5, bytes);
    pieces_.push_back({out, bytes, alignment});
    return out;
  }

  template <class T>
  requires std::is_trivially_destructible_v<T> std::span<T> array(std::size_t count) {
    const std::size_t align = std::max<std::size_t>(alignof(T), count * sizeof(T) >= 64 ? 64 : 8);
    return {static_cast<T*>(allocate(count * sizeof(T), align)), count};
  }

  std::string_view copy(std::string_view text) {
    auto out = array<char>(text.size());
    if (!text.empty()) std::memcpy(out.data(), text.data(), text.size());
    return {out.data(), out.size()};
  }

  void reset() {
    for (const auto& piece : pieces_) ::operator delete(piece.memory, piece.alignment);
    pieces_.clear();
  }

  // True where these bytes are within one piece.
  bool holds(const void* start, std::size_t size) const {
    const auto* at = static_cast<const std::byte*>(start);
    return std::ranges::any_of(pieces_, [&](const Piece& piece) {
      const auto* begin = static_cast<const std::byte*>(piece.memory);
      return at >= begin && at + size <= begin + piece.size;
    });
  }

 private:
  struct Piece {
    void* memory;
    std::size_t size;
    std::align_val_t alignment;
  };
  std::vector<Piece> pieces_;
};

}  // namespace sluice
