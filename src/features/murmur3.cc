#include "features/murmur3.h"

#include <bit>
#include <cstddef>

namespace sluice::features {
namespace {

std::uint32_t byte_of(std::string_view bytes, std::size_t i) {
  return static_cast<unsigned char>(bytes[i]);
}

std::uint32_t mix(std::uint32_t block) { return std::rotl(block * 0xcc9e2d51, 15) * 0x1b873593; }

}  // namespace

std::uint32_t murmur3(std::string_view bytes, std::uint32_t seed) {
  std::uint32_t hash = seed;
  const std::size_t whole = bytes.size() & ~std::size_t{3};
  for (std::size_t i = 0; i < whole; i += 4) {
    const auto block = byte_of(bytes, i) | byte_of(bytes, i + 1) << 8 |
                       byte_of(bytes, i + 2) << 16 | byte_of(bytes, i + 3) << 24;
    hash = std::rotl(hash ^ mix(block), 13) * 5 + 0xe6546b64;
  }
  std::uint32_t tail = 0;
  for (std::size_t i = bytes.size(); i-- > whole;) tail = tail << 8 | byte_of(bytes, i);
  hash ^= mix(tail);
  hash ^= static_cast<std::uint32_t>(bytes.size());
  hash = (hash ^ hash >> 16) * 0x85ebca6b;
  hash = (hash ^ hash >> 13) * 0xc2b2ae35;
  return hash ^ hash >> 16;
}

}  // namespace sluice::features
