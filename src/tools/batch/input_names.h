// What --input means, by names alone: the same for files on a disk and for objects in a store.
//
// Thread-safety: functions without state.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace sluice::tools::batch {

bool is_pattern(std::string_view text);

// The folders at the front that are named and not matched.
std::filesystem::path fixed_part(const std::filesystem::path& pattern);

// Of a path below the pattern's own fixed part. `pattern` has *, ?, [...], and ** for folders of
// any depth; a name that begins with a dot is matched only where the pattern says the dot.
bool matches(const std::filesystem::path& pattern, const std::filesystem::path& path);

// What others leave beside their tables: _SUCCESS, ._copy, .crc.
bool is_hidden(const std::filesystem::path& relative);
bool is_table(const std::filesystem::path& file);

// Natural order: part-2 before part-10.
void sort_names(std::vector<std::filesystem::path>& names);

// Which of `names` (of all that there are, in any order) `given` means: itself, what lies in it as
// a folder, or what matches it. `base` is where the names of partitions count from. Errors:
// kNotFound/`no_table`.
struct Named {
  std::vector<std::filesystem::path> files;  // in natural order
  std::filesystem::path base;
};
Result<Named> find_names(const std::filesystem::path& given,
                         const std::vector<std::filesystem::path>& names);

Failure no_file(const std::filesystem::path& given);
Failure empty_folder(const std::filesystem::path& folder);
Failure no_match(const std::filesystem::path& pattern);

}  // namespace sluice::tools::batch
