// Half precision for ONNX models, in two ways. Internal to the method `fp16`.
//
// Thread-safety: one owner of the graph.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "tools/compress/method.h"
#include "tools/compress/onnx_graph.h"

namespace sluice::tools::compress {

struct Fp16Settings {
  std::string mode = "weights";
  bool keep_io = true;
  bool clip = false;
  double max_error = 0.001;
  static const Schema<Fp16Settings>& schema();
};

// What happened, for the report.
struct Fp16Counts {
  std::uint64_t tensors = 0;                           // that are in half precision now
  std::uint64_t nodes = 0;                             // that compute in it; 0 with mode weights
  std::uint64_t lost = 0;                              // weights that became zero
  std::uint64_t clipped = 0;                           // weights that became ±65504
  std::vector<std::string> beyond;                     // tensors that have numbers out of range
  std::vector<std::string> inexact;                    // tensors that would lose too much
  std::map<std::string, int, std::less<>> left_alone;  // operators, and how many of each
  nlohmann::json layers = nlohmann::json::array();     // one object for each tensor
};

// Is this input of a node one whose scale or range matters more than its size: statistics of
// normalisations, scales of quantisation, sizes of Resize? Such tensors stay FP32.
bool must_stay_float(const onnx::NodeProto& node, int input);

// The tensor in half precision, under `name`; nothing where it would lose too much, which is
// counted. Errors: OnnxGraph::floats.
Result<std::optional<onnx::TensorProto>> half_of(const OnnxGraph& graph,
                                                 const onnx::TensorProto& tensor,
                                                 std::string_view name,
                                                 const Fp16Settings& settings, Fp16Counts& counts);

// Weights are kept in half precision, and a Cast beside each makes them FP32 again. Errors: those
// of Method::make.
Result<void> store_half(OnnxGraph& graph, const Fp16Settings& settings, const Task& task,
                        Fp16Counts& counts);

// Nodes that are known to take half precision compute in it, with Casts where others begin. Errors:
// those of Method::make.
Result<void> compute_half(OnnxGraph& graph, const Fp16Settings& settings, const Task& task,
                          Fp16Counts& counts);

}  // namespace sluice::tools::compress
