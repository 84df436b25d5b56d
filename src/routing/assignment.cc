#include "routing/assignment.h"

#include <algorithm>
#include <array>

#include "base/digest.h"
#include "base/hash.h"
#include "routing/slot_table.h"

namespace sluice::routing {
namespace {

void add_field(std::string& to, std::string_view field) {
  const auto size = static_cast<std::uint32_t>(field.size());
  for (int shift = 0; shift < 32; shift += 8) to += static_cast<char>(size >> shift & 0xff);
  to += field;
}

}  // namespace

UserHash::UserHash(std::string_view model, std::string_view salt) {
  add_field(prefix_, model);
  add_field(prefix_, salt);
}

std::uint64_t UserHash::of(std::string_view user) const {
  // Names, salts and users are short: one piece on the stack, hashed at once.
  std::array<char, 768> buffer;
  const std::size_t size = prefix_.size() + 4 + user.size();
  if (size > buffer.size()) {
    std::string text = prefix_;
    add_field(text, user);
    return hash64(text);
  }
  const auto length = static_cast<std::uint32_t>(user.size());
  char* end = std::copy(prefix_.begin(), prefix_.end(), buffer.data());
  for (int shift = 0; shift < 32; shift += 8) *end++ = static_cast<char>(length >> shift & 0xff);
  std::copy(user.begin(), user.end(), end);
  return hash64({buffer.data(), size});
}

std::size_t slot_of(std::uint64_t hash) {
  return static_cast<std::size_t>((static_cast<unsigned __int128>(hash) * kSlots) >> 64);
}

std::size_t seed_slot(std::string_view user) {
  Digest digest(Digest::Kind::kMd5);
  digest.update(std::as_bytes(std::span(user)));
  std::uint64_t rest = 0;
  for (const char byte : digest.finish()) {
    rest = (rest * 256 + static_cast<unsigned char>(byte)) % kSlots;
  }
  return rest;
}

}  // namespace sluice::routing
