// Which slot a user is in. Anyone can compute it: test vectors are in docs/reference/assignment.md.
//
// The default is XXH3 (64 bits) over model, salt and user, each behind its length as four bytes,
// little-endian; the slot is hash * 10,000 / 2^64. Another salt is another shuffle, so that two
// experiments are independent. `seed` is md5(user) as a big-endian integer modulo 10,000.
//
// Thread-safety: functions without state.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"

namespace sluice::routing {

enum class Assignment { kHash, kSeed };

// A user's name is at most so long, in bytes.
inline constexpr std::size_t kMostUserId = 256;

// The hash's first part, the same for all users of a release.
class UserHash {
 public:
  UserHash(std::string_view model, std::string_view salt);
  std::uint64_t of(std::string_view user) const;

 private:
  std::string prefix_;
};

// Below kSlots.
std::size_t slot_of(std::uint64_t hash);
std::size_t seed_slot(std::string_view user);

}  // namespace sluice::routing
