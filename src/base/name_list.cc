#include "base/name_list.h"

#include <algorithm>
#include <vector>

#include "base/text.h"

namespace sluice {
namespace {

template <class Name>
std::string list(std::span<const Name> names, std::size_t most) {
  std::vector<std::string> shown;
  for (const auto& name : names.first(std::min(names.size(), most))) {
    shown.push_back("'" + printable(name) + "'");
  }
  const auto more = names.size() - shown.size();
  if (more > 0) shown.push_back(std::to_string(more) + " more");
  return join_and(shown);
}

}  // namespace

std::string name_list(std::span<const std::string> names, std::size_t most) {
  return list(names, most);
}

std::string name_list(std::span<const std::string_view> names, std::size_t most) {
  return list(names, most);
}

}  // namespace sluice
