// The cache's way with its disk: whole files, locks, and what is said where that fails.
//
// Thread-safety: functions without state.
#pragma once

#include <filesystem>
#include <string_view>

#include "base/error.h"
#include "base/file.h"

namespace sluice::sources {

inline constexpr const char* kCacheRecord = "record.json";
inline constexpr const char* kCacheReserved = "reserved";

// kUnavailable/`disk_full`, which says what to do, or `disk_failed`. `error` is the system's
// number.
Failure cache_failure(int error);

// As a whole or not at all, also where two processes write it. 0, or the system's number of what
// went wrong.
int write_whole(const std::filesystem::path& path, std::string_view text);

// `how`: LOCK_SH or LOCK_EX. Nothing where another holds it, or has removed the directory.
Fd open_locked(const std::filesystem::path& directory, int how);

// Whether an entry has all of its files, checked.
bool is_whole_entry(const std::filesystem::path& entry);

}  // namespace sluice::sources
