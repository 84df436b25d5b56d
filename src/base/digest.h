// SHA-256, by OpenSSL.
//
// Thread-safety: a function without state.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace sluice {

// 64 lower-case hexadecimal digits.
std::string sha256_hex(std::span<const std::byte> bytes);

}  // namespace sluice
