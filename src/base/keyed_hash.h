// A 128-bit hash that nobody outside this process can steer: keyed with a secret of its own, so
// that clients cannot make two things that look the same. For keys of caches that live in memory.
//
// Thread-safety: one owner.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/hash.h"

// The library's header alone, so that hashing is compiled for its use.
#ifndef XXH_INLINE_ALL
#define XXH_INLINE_ALL
#endif
#include <xxhash.h>

namespace sluice {

// XXH_SECRET_DEFAULT_SIZE bytes, of this process.
const unsigned char* hash_secret();

class KeyedHash {
 public:
  KeyedHash() { XXH3_128bits_reset_withSecret(&state_, hash_secret(), XXH3_SECRET_DEFAULT_SIZE); }

  // Lengths are hashed too, so that "ab","c" and "a","bc" differ.
  void add(const void* data, std::size_t size) {
    XXH3_128bits_update(&state_, &size, sizeof(size));
    if (size > 0) XXH3_128bits_update(&state_, data, size);
  }
  void add(std::string_view text) { add(text.data(), text.size()); }

  Hash128 digest() const {
    const auto digest = XXH3_128bits_digest(&state_);
    return {digest.high64, digest.low64};
  }

 private:
  XXH3_state_t state_;
};

// Of what lies in one piece.
inline Hash128 keyed_hash(std::string_view bytes) {
  const auto digest =
      XXH3_128bits_withSecret(bytes.data(), bytes.size(), hash_secret(), XXH3_SECRET_DEFAULT_SIZE);
  return {digest.high64, digest.low64};
}

}  // namespace sluice
