#include "sources/model_yaml.h"

#include <algorithm>

#include "config/yaml.h"

namespace sluice::sources {

ModelYaml read_model_yaml(const std::string& text) {
  ModelYaml out;
  const auto root = config::parse_yaml(text, out.problems);
  if (!root) return out;
  ModelConfig::schema().read(*root, out.config, out.problems);
  const auto warn = [&](Place place, const std::string& key) {
    out.warnings.push_back(config::show_problem(
        "model.yaml", {place, "'" + key + "' is read but not acted on by this version of Sluice"}));
  };
  for (const auto& entry : root->entries) {
    if (std::ranges::count(ModelConfig::kNotActedOn, entry.key) > 0) warn(entry.place, entry.key);
  }
  return out;
}

}  // namespace sluice::sources
