#include "base/control_groups.h"

#include <algorithm>
#include <fstream>
#include <string>

#include "base/text.h"

namespace sluice {

namespace fs = std::filesystem;

void for_each_group(const fs::path& proc, const fs::path& groups, std::string_view controller,
                    const std::function<void(const fs::path&, GroupVersion)>& see) {
  const auto up_from = [&](const fs::path& root, std::string_view group, GroupVersion version) {
    see(root, version);
    fs::path at = root;
    for (const auto part : split(group, '/')) {
      if (part.empty()) continue;
      at /= part;
      see(at, version);
    }
  };
  std::ifstream mine(proc / "self" / "cgroup");
  for (std::string line; std::getline(mine, line);) {  // "4:cpu,cpuacct:/a/b" or "0::/a/b"
    const auto words = split(line, ':');
    if (words.size() < 3) continue;
    if (words[0] == "0") up_from(groups, words[2], GroupVersion::kTwo);
    const auto controllers = split(words[1], ',');
    if (std::ranges::find(controllers, controller) != controllers.end()) {
      up_from(groups / controller, words[2], GroupVersion::kOne);
    }
  }
}

}  // namespace sluice
