// MD5 of up to sixteen texts of the same length at once, each in a lane of the processor's vectors.
//
// One MD5 is a chain in which every step waits for the one before, so that a core is mostly idle;
// chains of different texts do not wait for each other (Gueron and Krasnov, "Simultaneous hashing
// of multiple messages", 2012). With AVX2 or AVX-512 where the processor has it, else with what
// every processor has. RFC 1321 is the algorithm.
//
// Thread-safety: one thread at a time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace sluice {

class Md5Lanes {
 public:
  static constexpr std::size_t kLanes = 16;
  static constexpr std::size_t kBlock = 64;
  // A lane without a text of its own may point at another's bytes: what it gives is worth nothing.
  using Bytes = std::array<const std::byte*, kLanes>;

  Md5Lanes();
  // The next `blocks` * kBlock bytes of each text.
  void update(Bytes from, std::size_t blocks);
  // The last bytes of each, fewer than kBlock. The digests' own 16 bytes; afterwards it begins
  // anew.
  std::array<std::string, kLanes> finish(const Bytes& rest, std::size_t size);

 private:
  // The four words of the state, each of all lanes.
  std::array<std::array<std::uint32_t, kLanes>, 4> state_;
  std::uint64_t length_ = 0;
};

}  // namespace sluice
