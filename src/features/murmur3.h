// MurmurHash3 for 32 bits (its x86_32 variant), under which Feast keeps a feature in a Redis hash.
//
// From Austin Appleby's public-domain description. Not for secrets and not against an adversary.
// Thread-safety: a function without state.
#pragma once

#include <cstdint>
#include <string_view>

namespace sluice::features {

std::uint32_t murmur3(std::string_view bytes, std::uint32_t seed = 0);

}  // namespace sluice::features
