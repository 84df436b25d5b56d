// What dynamic-int8 and static-int8 ask of a graph before they change it, and how weights go into
// it.
//
// Thread-safety: that of the graph.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "tools/compress/onnx_graph.h"
#include "tools/compress/quantize.h"

namespace sluice::tools::compress {

// How far weights may go: "auto", "yes" or "no".
struct WeightRange {
  int most = kFullRange;
  std::string note;  // about this processor; may be empty
};
WeightRange weight_range(std::string_view reduce_range);
std::optional<std::string> check_reduce_range(const std::string& word);

// `bad_settings` and `not_compressible` are the reasons of kInvalidArgument here.
Failure not_compressible(const std::string& what);

// Opens it, and makes weights out of Constant nodes. Errors: OnnxGraph's; `not_compressible` where
// nodes are quantised already.
Result<OnnxGraph> open_for_int8(const std::filesystem::path& file, std::vector<std::string>& notes);

// "1 If node (control flow) is left alone …" where there are such nodes; else empty.
std::string control_flow(const OnnxGraph& graph);

// Forgets domains beside the standard's that no node is of: ONNX Runtime writes all that it knows.
void drop_unused_domains(OnnxGraph& graph);

// Weights as an initializer of the graph with `dims`; the name that it was given.
std::string add_int8(OnnxGraph& graph, std::string_view name, std::span<const std::int64_t> dims,
                     std::span<const std::int8_t> values);
// One number without dimensions, or several with one.
std::string add_floats(OnnxGraph& graph, std::string_view name, std::span<const float> values);

// FP32, not empty, all known and finite; else why not ("is of another type than FP32").
Result<std::vector<float>> weights_of(const OnnxGraph& graph, const onnx::TensorProto& tensor);

// The name of a node for people: its own, or what it makes.
std::string shown(const onnx::NodeProto& node);
// "3 Conv nodes" of {"Conv", "Conv", "Conv"}, "2 Conv and 1 Add nodes" …
std::string counted(const std::vector<std::string>& ops);

}  // namespace sluice::tools::compress
