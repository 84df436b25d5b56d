#include "base/processors.h"

#include <sched.h>

#include <algorithm>
#include <fstream>
#include <optional>
#include <string>
#include <thread>

#include "base/control_groups.h"
#include "base/text.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

struct Share {
  std::optional<std::int64_t> quota;  // nothing or less than 1: as much as there is
  std::optional<std::int64_t> period;
};

std::optional<std::int64_t> next_number(std::istream& file) {
  std::string word;
  return file >> word ? parse_int(word) : std::nullopt;
}

// Both in microseconds.
Share share_of(const fs::path& group, GroupVersion version) {
  Share out;
  if (version == GroupVersion::kTwo) {
    std::ifstream file(group / "cpu.max");  // "250000 100000" or "max 100000"
    out.quota = next_number(file);
    out.period = next_number(file);
  } else {
    std::ifstream quota(group / "cpu.cfs_quota_us");
    std::ifstream period(group / "cpu.cfs_period_us");
    out.quota = next_number(quota);
    out.period = next_number(period);
  }
  return out;
}

// Of the calling thread, which its children inherit (taskset, a container's set of processors). The
// standard library answers how many there are, whoever may use them.
std::int64_t allowed_processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof(set), &set) == 0) return std::max(1, CPU_COUNT(&set));
  return std::max(1U, std::thread::hardware_concurrency());  // more than a thousand
}

}  // namespace

unsigned usable_processors(const fs::path& proc, const fs::path& groups) {
  std::int64_t out = allowed_processors();
  for_each_group(proc, groups, "cpu", [&](const fs::path& group, GroupVersion version) {
    const auto share = share_of(group, version);
    if (!share.quota || !share.period || *share.quota < 1 || *share.period < 1) return;
    out = std::min(out, std::max<std::int64_t>(1, (*share.quota - 1) / *share.period + 1));
  });
  return static_cast<unsigned>(out);
}

}  // namespace sluice
