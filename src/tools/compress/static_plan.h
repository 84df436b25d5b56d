// Which nodes of a float graph static-int8 runs on 8-bit numbers.
//
// Products by constant weights (Conv, Gemm, MatMul) always; what lies between them where that keeps
// values in 8 bits from one product to the next: Add, Concat and mean pooling, which get ranges of
// their own, and what only moves numbers or picks some (MaxPool, Reshape, Transpose …), which keeps
// the range of what it takes. A Relu, or a Clip from 0, behind a product or an Add needs no node: a
// range that begins at 0 cuts off what lies below.
//
// Thread-safety: that of the graph.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "tools/compress/onnx_graph.h"

namespace sluice::tools::compress {

struct Unit {
  enum class Kind { kProduct, kOwnRange, kSameRange };

  Kind kind = Kind::kProduct;
  onnx::NodeProto* node = nullptr;
  onnx::NodeProto* clamp = nullptr;  // the Relu or Clip that its range stands for
  std::vector<std::string> takes;    // activations: its first inputs
  std::string gives;                 // behind the clamp
  bool gives_int8 = true;            // else floats, as a last Gemm's logits
};

struct StaticPlan {
  std::vector<Unit> units;              // in the graph's order
  std::vector<std::string> left_alone;  // sentences about products that are not there, and why

  // Values that are quantised and need a range of their own.
  std::vector<std::string> ranges() const;
};

// `skip`: first outputs of nodes that stay as they are. Pointers hold until the graph is settled.
StaticPlan plan_static(OnnxGraph& graph, const std::set<std::string>& skip);

}  // namespace sluice::tools::compress
