#include "sources/model_yaml.h"

#include "config/yaml.h"

namespace sluice::sources {

ModelYaml read_model_yaml(const std::string& text) {
  ModelYaml out;
  if (text.starts_with("\x1f\x8b")) {
    out.problems.push_back({{},
                            "it is compressed with gzip; store it as it is, and not with "
                            "Content-Encoding: gzip"});
    return out;
  }
  const auto root = config::parse_yaml(text, out.problems);
  if (!root) return out;
  ModelConfig::schema().read(*root, out.config, out.problems);
  return out;
}

}  // namespace sluice::sources
