#include "app/learn_yaml.h"

#include <fmt/format.h>

#include "config/yaml.h"

namespace sluice::app {
namespace {

// ---- writing -----------------------------------------------------------------------------------

std::string number(double value) { return fmt::format("{}", value); }

std::string numbers(const std::vector<double>& values) {
  std::string out = "[";
  for (const double value : values) out += (out.size() > 1 ? ", " : "") + number(value);
  return out + "]";
}

std::string bounds_text(const Bounds& bounds) {
  const auto side = [](const std::optional<double>& bound) {
    return bound ? number(*bound) : std::string("null");
  };
  return "[" + side(bounds.low) + ", " + side(bounds.high) + "]";
}

std::string output_yaml(const Node* old, const PredictionTraining& training) {
  std::string out = "output:\n";
  if (old != nullptr && old->kind == Node::Kind::kMap) {
    for (const auto& entry : old->entries) {
      if (entry.key != "training") {
        out += "  " + tools::yaml_name(entry.key) + ": " + tools::yaml_flow(entry.value) + "\n";
      }
    }
  }
  out += "  training:\n";
  if (!training.classes.empty()) out += "    classes: " + numbers(training.classes) + "\n";
  if (!training.quantiles.empty()) out += "    quantiles: " + numbers(training.quantiles) + "\n";
  return out;
}

}  // namespace

std::string inputs_yaml(const std::vector<InputColumn>& columns) {
  std::string out = "inputs:\n";
  for (const auto& column : columns) {
    out += "  - name: " + tools::yaml_name(column.name) + "\n";
    if (column.bounds) out += "    bounds: " + bounds_text(*column.bounds) + "\n";
    if (!column.training) continue;
    const Training& training = *column.training;
    out += "    training:\n      mean: " + number(training.mean);
    out += "\n      std: " + number(training.std);
    out += "\n      missing: " + number(training.missing) + "\n";
    if (!training.quantiles.empty()) {
      out += "      quantiles: " + numbers(training.quantiles) + "\n";
    }
  }
  return out;
}

Result<tools::MergedYaml> merge_model_yaml(const std::string& old,
                                           const std::vector<InputColumn>& columns,
                                           const std::optional<PredictionTraining>& predictions) {
  Problems problems;
  const Node root = config::parse_yaml(old, problems).value_or(Node());
  std::vector<tools::YamlBlock> blocks{{"inputs", inputs_yaml(columns)}};
  if (predictions) blocks.push_back({"output", output_yaml(root.find("output"), *predictions)});
  const Node* guard = root.find("guard");
  if (guard == nullptr || guard->kind == Node::Kind::kNull) {
    blocks.push_back({"guard", "guard: {bounds: reject}\n"});
  }
  return tools::put_into_model_yaml(old, blocks, "what was learned does not fit: ");
}

}  // namespace sluice::app
