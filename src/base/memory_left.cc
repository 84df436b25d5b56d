#include "base/memory_left.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

#include "base/control_groups.h"
#include "base/text.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

constexpr auto kNoLimit = std::numeric_limits<std::uint64_t>::max();

// The number behind `name` in a file of lines "name number" or "name:   number kB".
std::optional<std::uint64_t> number_of(const fs::path& path, std::string_view name) {
  std::ifstream file(path);
  for (std::string word; file >> word;) {
    std::uint64_t number = 0;
    if (word == name && file >> number) return number;
  }
  return std::nullopt;
}

// A file that is one number; nothing for "max".
std::optional<std::uint64_t> number_in(const fs::path& path) {
  std::ifstream file(path);
  std::string word;
  file >> word;
  return parse_uint(word);
}

// How two versions of control groups call the same.
struct Names {
  const char* limit;
  const char* used;
  const char* files[2];
};
constexpr Names kVersion2 = {"memory.max", "memory.current", {"inactive_file", "active_file"}};
constexpr Names kVersion1 = {
    "memory.limit_in_bytes", "memory.usage_in_bytes", {"total_inactive_file", "total_active_file"}};

std::uint64_t left_in(const fs::path& group, const Names& names) {
  const auto limit = number_in(group / names.limit);
  const auto used = number_in(group / names.used);
  if (!limit || !used) return kNoLimit;
  std::uint64_t files = 0;
  for (const char* name : names.files) {
    files += number_of(group / "memory.stat", name).value_or(0);
  }
  const auto taken = *used - std::min(*used, files);
  return *limit - std::min(*limit, taken);
}

}  // namespace

std::uint64_t memory_left(const fs::path& proc, const fs::path& groups) {
  const auto machine = number_of(proc / "meminfo", "MemAvailable:");
  if (!machine) return 0;
  std::uint64_t out = *machine * 1024;
  for_each_group(proc, groups, "memory", [&](const fs::path& group, GroupVersion version) {
    out = std::min(out, left_in(group, version == GroupVersion::kTwo ? kVersion2 : kVersion1));
  });
  return out;
}

}  // namespace sluice
