#include "tools/compress/int8_graph.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "base/text.h"

namespace sluice::tools::compress {
namespace {

using Text = std::string_view;

bool is_quantised(const onnx::NodeProto& node) {
  const Text op = node.op_type();
  static constexpr std::array kStarts = {Text("QLinear"), Text("QGemm"), Text("QAttention"),
                                         Text("QEmbed"), Text("DynamicQuantize")};
  static constexpr std::array kOps = {Text("QuantizeLinear"),  Text("DequantizeLinear"),
                                      Text("MatMulInteger"),   Text("ConvInteger"),
                                      Text("MatMulNBits"),     Text("MatMulIntegerToFloat"),
                                      Text("MatMulInteger16"), Text("GatherBlockQuantized")};
  return std::ranges::any_of(kStarts, [&](Text start) { return op.starts_with(start); }) ||
         std::ranges::find(kOps, op) != kOps.end();
}

Result<void> refuse_quantised(const OnnxGraph& graph) {
  std::vector<std::string> ops;
  for (const auto& node : graph.graph().node()) {
    if (is_quantised(node)) ops.push_back(node.op_type());
  }
  if (ops.empty()) return {};
  return not_compressible("the model is quantised already: it has " + counted(ops) +
                          "; start from the model that it was made of");
}

void collect_domains(const onnx::GraphProto& graph, std::set<std::string>& out) {
  for (const auto& node : graph.node()) {
    out.insert(node.domain());
    for (const auto& attribute : node.attribute()) {
      if (attribute.has_g()) collect_domains(attribute.g(), out);
      for (const auto& below : attribute.graphs()) collect_domains(below, out);
    }
  }
}

}  // namespace

WeightRange weight_range(std::string_view reduce_range) {
  WeightRange out;
  const bool vnni = has_vnni();
  const bool reduce = reduce_range == "yes" || (reduce_range == "auto" && !vnni);
  out.most = reduce ? kReducedRange : kFullRange;
  if (!vnni && reduce) {
    out.note = "weights have 7 bits: this processor has no VNNI and would saturate with 8";
  } else if (!vnni) {
    out.note =
        "this processor has no VNNI: with weights of 8 bits sums can saturate, which "
        "reduce_range=yes avoids";
  } else if (reduce_range == "auto") {
    out.note =
        "weights have all 8 bits, as this processor has VNNI; for processors without it "
        "(before 2019, and some until 2021) set reduce_range=yes";
  }
  return out;
}

std::optional<std::string> check_reduce_range(const std::string& word) {
  if (word == "auto" || word == "yes" || word == "no") return std::nullopt;
  return "expected auto, yes or no";
}

Failure not_compressible(const std::string& what) { return invalid("not_compressible", what); }

Result<OnnxGraph> open_for_int8(const std::filesystem::path& file,
                                std::vector<std::string>& notes) {
  SLUICE_TRY(auto graph, OnnxGraph::open(file));
  SLUICE_CHECK(refuse_quantised(graph));
  graph.take_constants();
  SLUICE_CHECK(graph.settle());
  if (auto said = control_flow(graph); !said.empty()) notes.push_back(std::move(said));
  return graph;
}

std::string control_flow(const OnnxGraph& graph) {
  std::vector<std::string> ops;
  for (const auto& node : graph.graph().node()) {
    if (OnnxGraph::has_subgraph(node)) ops.push_back(node.op_type());
  }
  if (ops.empty()) return {};
  return counted(ops) + (ops.size() == 1 ? " (control flow) is left alone, with all that is in its "
                                           "graphs"
                                         : " (control flow) are left alone, with all that is in "
                                           "their graphs");
}

void drop_unused_domains(OnnxGraph& graph) {
  std::set<std::string> used = {"", "ai.onnx"};
  collect_domains(graph.graph(), used);
  for (const auto& function : graph.model().functions()) {
    for (const auto& node : function.node()) used.insert(node.domain());
  }
  auto& imports = *graph.model().mutable_opset_import();
  imports.erase(std::remove_if(imports.begin(), imports.end(),
                               [&](const auto& import) { return !used.contains(import.domain()); }),
                imports.end());
}

std::string add_int8(OnnxGraph& graph, std::string_view name, std::span<const std::int64_t> dims,
                     std::span<const std::int8_t> values) {
  auto out = graph.fresh_name(name);
  *graph.graph().add_initializer() = tensor_of(out, dims, values);
  return out;
}

std::string add_floats(OnnxGraph& graph, std::string_view name, std::span<const float> values) {
  auto out = graph.fresh_name(name);
  const auto count = static_cast<std::int64_t>(values.size());
  const std::span<const std::int64_t> dims(&count, count == 1 ? 0 : 1);
  *graph.graph().add_initializer() = tensor_of(out, dims, values);
  return out;
}

Result<std::vector<float>> weights_of(const OnnxGraph& graph, const onnx::TensorProto& tensor) {
  if (tensor.data_type() != onnx::TensorProto::FLOAT) {
    return not_compressible("its weights are not FP32");
  }
  SLUICE_TRY(auto out, graph.floats(tensor));
  if (out.empty()) return not_compressible("its weights are empty");
  if (first_not_finite(out)) return not_compressible("its weights have NaN or infinity");
  return out;
}

std::string shown(const onnx::NodeProto& node) {
  if (!node.name().empty()) return printable(node.name());
  return node.output_size() > 0 ? printable(node.output(0)) : node.op_type();
}

std::string counted(const std::vector<std::string>& ops) {
  std::map<std::string, int> counts;
  for (const auto& op : ops) ++counts[op];
  std::vector<std::string> words;
  for (const auto& [op, count] : counts) words.push_back(std::to_string(count) + " " + op);
  return join_and(words) + (ops.size() == 1 ? " node" : " nodes");
}

}  // namespace sluice::tools::compress
