// Writes the units of a plan as QuantizeLinear and DequantizeLinear around the nodes (QDQ), which
// ONNX Runtime turns into its 8-bit kernels and any other runtime can run as it stands.
//
// Thread-safety: one owner.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "tools/compress/int8_graph.h"
#include "tools/compress/quantize.h"
#include "tools/compress/static_plan.h"

namespace sluice::tools::compress {

using Affines = std::map<std::string, Affine>;  // by value

struct StaticOptions {
  bool per_channel = true;
  int most = kFullRange;
};

class StaticWriter {
 public:
  // `affines` has all of StaticPlan::ranges(); the others follow from them.
  StaticWriter(OnnxGraph& graph, const StaticPlan& plan, Affines affines,
               const StaticOptions& options);

  // In place. Errors: those of reading weights.
  Result<void> write();

  // Beside each node a quantised one that takes the same floats, and the sums of squares of what
  // the two differ by and of what the float one gives: two names for each unit. The graph itself
  // stays as it is, so that the error of a unit is its own and no earlier one's.
  Result<std::vector<std::string>> write_twins();

 private:
  struct Operands {
    std::string weights;
    std::string bias;  // empty: none
  };

  Result<Operands> operands(const Unit& unit);
  Result<std::string> bias(const Unit& unit, const std::vector<float>& values, float in_scale,
                           const std::vector<float>& weight_scales);
  void set_operands(onnx::NodeProto& node, const Unit& unit, const Operands& given);
  // Its affine as initializers: the inputs of QuantizeLinear and DequantizeLinear behind the first.
  std::pair<std::string, std::string> constants_of(const std::string& value);
  // `from` as floats, quantised and back by the affine of `value`, as `to`.
  void round_trip(const std::string& value, const std::string& from, const std::string& to);
  // `value` after a round trip, once for all that take it.
  std::string rounded(const std::string& value);

  OnnxGraph& graph_;
  const StaticPlan& plan_;
  Affines affines_;
  StaticOptions options_;
  std::map<std::string, std::string> rounded_;
  std::map<std::string, std::pair<std::string, std::string>> constants_;
};

}  // namespace sluice::tools::compress
