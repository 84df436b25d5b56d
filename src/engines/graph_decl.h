// What a pipeline's YAML says, as it is written: nothing here knows what a step is.
//
//   inputs:  [{name: features, type: FP32, shape: [-1, 30]}]
//   steps:
//     - {name: scale, standardise: {mean: […], scale: […]}, outputs: scaled}
//     - {name: risk, model: risk.onnx, inputs: {features: scaled}, outputs: {probabilities: p}}
//   outputs: [p]
//
// docs/pipelines.md has every key. Mistakes are reported with their places, all of them at once.
//
// Thread-safety: plain values.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/document.h"
#include "core/tensor.h"

namespace sluice::engines {

// `inputs:` or `outputs:` of a step: which tensor each of its ports is.
struct PortMap {
  struct One {
    std::string port;  // empty in a list, where the order says it
    std::string tensor;
    Place place;
  };
  bool given = false;
  bool by_name = false;  // {port: tensor}, else a list, or a single tensor
  std::vector<One> items;
};

struct InputDecl {
  std::string name;
  std::optional<DType> type;
  std::optional<std::vector<std::int64_t>> shape;
  std::vector<std::string> columns;
  Place place;
};

struct StepDecl {
  Place place;
  std::string name;  // its own, else the kind's or the model file's
  std::string kind;  // "model", "argmax" …
  Node options;      // of that kind
  std::string engine;
  PortMap inputs;
  PortMap outputs;
};

struct GraphDecl {
  Place place;
  std::vector<InputDecl> inputs;
  std::vector<StepDecl> steps;
  std::vector<PortMap::One> outputs;
};

// `kinds`: those of steps besides "model". Where problems are told, the answer is not complete.
GraphDecl read_graph(const Node& root, std::span<const std::string> kinds, Problems& problems);

}  // namespace sluice::engines
