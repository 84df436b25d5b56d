#include "tools/compress/builtin.h"

#include "base/text.h"

namespace sluice::tools::compress {

const std::vector<std::unique_ptr<const Method>>& methods() {
  // In the order in which a search puts two of them one after the other.
  static const auto kMethods = [] {
    std::vector<std::unique_ptr<const Method>> out;
    out.push_back(make_distill());
    out.push_back(make_prune());
    out.push_back(make_static_int8());
    out.push_back(make_dynamic_int8());
    out.push_back(make_fp16());
    out.push_back(make_optimize());
    out.push_back(make_prune_trees());
    return out;
  }();
  return kMethods;
}

Result<const Method*> find_method(std::string_view name) {
  std::vector<std::string_view> names;
  for (const auto& method : methods()) {
    if (method->name() == name) return method.get();
    names.push_back(method->name());
  }
  std::vector<std::string> shown(names.begin(), names.end());
  return invalid("unknown_method", "there is no method '" + printable(name) + "'" +
                                       did_you_mean(name, names) + "; there are " +
                                       join_and(shown));
}

}  // namespace sluice::tools::compress
