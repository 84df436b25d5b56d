#include "sources/mlmodel.h"

#include <array>

#include "base/text.h"
#include "config/yaml.h"
#include "sources/object_tree.h"

namespace sluice::sources {
namespace {

struct Flavor {
  std::string_view name;
  std::string_view key;  // under which it names its file
};

constexpr std::array<Flavor, 3> kFlavors = {
    {{"onnx", "data"}, {"xgboost", "data"}, {"sklearn", "pickled_model"}}};

}  // namespace

Result<std::string> file_of_mlmodel(const std::string& text) {
  Problems problems;
  const auto root = config::parse_yaml(text, problems);
  if (!root) {
    return invalid("bad_model", problems.empty() ? "MLmodel is empty"
                                                 : config::show_problem("MLmodel", problems[0]));
  }
  const Node* flavors = root->find("flavors");
  if (flavors == nullptr) return invalid("bad_model", "MLmodel has no flavors");
  std::string nameless;
  for (const auto& [name, key] : kFlavors) {
    const Node* flavor = flavors->find(name);
    const Node* file = flavor == nullptr ? nullptr : flavor->find(key);
    if (file != nullptr && is_safe_key(file->scalar)) return file->scalar;
    if (flavor != nullptr && nameless.empty()) {
      nameless = "MLmodel has the flavor " + std::string(name) + ", whose " + std::string(key) +
                 " names no file below it";
    }
  }
  if (!nameless.empty()) return invalid("bad_model", std::move(nameless));
  std::vector<std::string> have;
  for (const auto& entry : flavors->entries) have.push_back(printable(entry.key));
  return invalid("bad_model", "MLmodel has the flavors " + join_and(have) +
                                  "; onnx, xgboost and sklearn can be served");
}

}  // namespace sluice::sources
