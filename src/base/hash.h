// Fast hashes that are the same everywhere and for ever: XXH3, by xxHash.
//
// Not for secrets and not against an adversary.
#pragma once

#include <cstdint>
#include <string_view>

namespace sluice {

std::uint64_t hash64(std::string_view bytes);

struct Hash128 {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
};
Hash128 hash128(std::string_view bytes);

}  // namespace sluice
