#include "base/memory_left.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

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

// In the group and all that it is in. A container may see its own as the root, whatever it is
// called outside: directories that are not there say nothing.
std::uint64_t left_up_from(const fs::path& root, std::string_view group, const Names& names) {
  std::uint64_t out = left_in(root, names);
  fs::path at = root;
  for (const auto part : split(group, '/')) {
    if (part.empty()) continue;
    at /= part;
    out = std::min(out, left_in(at, names));
  }
  return out;
}

}  // namespace

std::uint64_t memory_left(const fs::path& proc, const fs::path& groups) {
  const auto machine = number_of(proc / "meminfo", "MemAvailable:");
  if (!machine) return 0;
  std::uint64_t out = *machine * 1024;
  std::ifstream mine(proc / "self" / "cgroup");
  for (std::string line; std::getline(mine, line);) {  // "4:memory:/a/b" or "0::/a/b"
    const auto words = split(line, ':');
    if (words.size() < 3) continue;
    if (words[0] == "0") out = std::min(out, left_up_from(groups, words[2], kVersion2));
    if (words[1] == "memory") {
      out = std::min(out, left_up_from(groups / "memory", words[2], kVersion1));
    }
  }
  return out;
}

}  // namespace sluice
