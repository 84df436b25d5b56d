// Room in the cache's directory: how much the entries take, and which of them go first.
//
// The directory may be one that has other things in it: only what can be nothing else than an entry
// is counted and removed. That is a directory, and no symbolic link, of the name that an entry has,
// in one that has the name of a store, with nothing in it that an entry would not have.
//
// Thread-safety: functions without state.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string_view>

namespace sluice::sources {

// Of a store's directory and of an entry's: so many hexadecimal digits.
inline constexpr std::size_t kStoreName = 24;
inline constexpr std::size_t kEntryName = 32;

// Removes the entries that were used longest ago until all but `filled` take no more than `most`.
// False: what is left is in use.
bool remove_oldest(const std::filesystem::path& root, const std::filesystem::path& filled,
                   std::uint64_t most);

}  // namespace sluice::sources
