// What the two ways of pruning share. Internal to the method `prune`.
//
// Thread-safety: functions without state.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tools/compress/method.h"
#include "tools/compress/onnx_graph.h"

namespace sluice::tools::compress {

struct PruneSettings {
  std::string structure = "unstructured";
  std::string scope = "global";
  double sparsity = 0.3;
  bool compact = true;
  std::vector<std::string> leave;
  static const Schema<PruneSettings>& schema();
};

// A layer that has weights.
struct PrunableLayer {
  std::string node;           // its name, or where it has none its output's
  std::string op;             // Conv, Gemm, MatMul
  std::string output;         // by which `OnnxGraph::maker` finds it
  std::string weight;         // an initializer of FP32 or FP16
  std::string input;          // the value that it is multiplied by
  std::vector<float> scales;  // of the input's features or channels (input_scales.h); none: unknown
};

// Name of the initializer that a value is, by itself or through one Cast (as `fp16` keeps weights);
// empty: it is none, or of no floating type. Thread-safety: a look only.
std::string weight_behind(OnnxGraph& graph, const std::string& value);

// Of the graph, in its order, without those of `leave`.
std::vector<PrunableLayer> prunable_layers(OnnxGraph& graph, const PruneSettings& settings);

// Output channels of Conv and units of Gemm and MatMul are removed, with all that goes on from
// them. Errors: those of Method::make.
Result<void> prune_channels(OnnxGraph& graph, const PruneSettings& settings,
                            std::vector<PrunableLayer> layers, const Task& task, Made& made);

}  // namespace sluice::tools::compress
