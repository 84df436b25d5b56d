// Cyclic redundancy checks: against accidents, not against anybody who means harm.
//
// By carry-less multiplication where the processor has it, several gigabytes a second: Gopal et
// al., "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ Instruction", Intel 2009; else
// by tables, eight bytes at a time (Kounavis and Berry, "A Systematic Approach to Building High
// Performance Software-Based CRC Generators", 2005).
//
// Thread-safety: one thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace sluice {

class Crc {
 public:
  // As gzip has it; Castagnoli's (RFC 9260, appendix A); as NVM Express has it (NVM command set
  // specification, "64b CRC").
  enum class Kind : std::uint8_t { kCrc32, kCrc32c, kCrc64Nvme };
  explicit Crc(Kind kind) : kind_(kind) {}

  void update(std::span<const std::byte> bytes);
  std::uint64_t value() const;
  // Its own 4 or 8 bytes, the most significant first. Afterwards it begins anew.
  std::string finish();

 private:
  Kind kind_;
  std::uint64_t state_ = ~std::uint64_t{0};  // of a narrow one, its low bits count
};

}  // namespace sluice
