#include "tools/compress/shown_names.h"

#include "base/text.h"

namespace sluice::tools::compress {

std::string named(const std::vector<std::string>& names) {
  std::vector<std::string> shown;
  for (const auto& name : names) {
    if (shown.size() == 3 && names.size() > 4) {
      shown.push_back(std::to_string(names.size() - 3) + " others");
      break;
    }
    shown.push_back("'" + printable(name) + "'");
  }
  return join_and(shown);
}

}  // namespace sluice::tools::compress
