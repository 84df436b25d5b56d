#include "frontends/request_id.h"

#include <array>
#include <cstdint>
#include <random>

namespace sluice::frontends {

std::string_view new_request_id(Arena& arena) {
  // SplitMix64 (Steele et al., OOPSLA 2014) from a random start of each thread's own.
  thread_local std::uint64_t state = [] {
    std::random_device device;
    return (static_cast<std::uint64_t>(device()) << 32) | device();
  }();
  std::uint64_t z = state += 0x9E3779B97F4A7C15ULL;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
  z ^= z >> 31;
  static constexpr std::string_view kHex = "0123456789abcdef";
  auto out = arena.array<char>(16);
  for (std::size_t i = 0; i < 16; ++i) out[i] = kHex[(z >> (4 * i)) & 15];
  return {out.data(), out.size()};
}

}  // namespace sluice::frontends
