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

// Of the standard's operators those that mean the same in each version from 7 to 13, attributes
// and inputs alike: what changed is types, clearer words, or inputs that may be left out (ONNX,
// docs/Changelog.md).
bool is_steady(Text op) {
  static const std::set<Text> kSteady = {"Abs",
                                         "Add",
                                         "And",
                                         "ArgMax",
                                         "ArgMin",
                                         "AveragePool",
                                         "Cast",
                                         "Ceil",
                                         "Concat",
                                         "Constant",
                                         "Conv",
                                         "ConvTranspose",
                                         "Cos",
                                         "Div",
                                         "Elu",
                                         "Equal",
                                         "Erf",
                                         "Exp",
                                         "Expand",
                                         "Flatten",
                                         "Floor",
                                         "GRU",
                                         "Gather",
                                         "Gemm",
                                         "GlobalAveragePool",
                                         "GlobalMaxPool",
                                         "Greater",
                                         "HardSigmoid",
                                         "Identity",
                                         "InstanceNormalization",
                                         "LRN",
                                         "LSTM",
                                         "LeakyRelu",
                                         "Less",
                                         "Log",
                                         "MatMul",
                                         "Max",
                                         "MaxPool",
                                         "Mean",
                                         "Min",
                                         "Mul",
                                         "Neg",
                                         "Not",
                                         "Or",
                                         "PRelu",
                                         "Pow",
                                         "RNN",
                                         "Reciprocal",
                                         "ReduceMax",
                                         "ReduceMean",
                                         "ReduceMin",
                                         "Relu",
                                         "Reshape",
                                         "Selu",
                                         "Shape",
                                         "Sigmoid",
                                         "Sin",
                                         "Size",
                                         "Softplus",
                                         "Softsign",
                                         "Sqrt",
                                         "Sub",
                                         "Sum",
                                         "Tanh",
                                         "Tile",
                                         "Transpose",
                                         "Where",
                                         "BatchNormalization",
                                         "DepthToSpace",
                                         "SpaceToDepth"};
  return kSteady.contains(op);
}

// Until 12 Softmax took everything from `axis` (1 where it was not given) on as one; since 13 it is
// along `axis` alone, the last one by default. Behind a Gemm there are two dimensions: the same.
bool is_softmax_of_two(OnnxGraph& graph, const onnx::NodeProto& node) {
  if (node.op_type() != "Softmax" && node.op_type() != "LogSoftmax") return false;
  const auto* const maker = graph.maker(node.input(0));
  const auto axis = attribute_int(node, "axis", 1);
  return maker != nullptr && maker->op_type() == "Gemm" && (axis == 1 || axis == -1);
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

std::string way_to_upgrade(std::int64_t wanted) {
  return "upgrade it first, in Python: onnx.save(onnx.version_converter.convert_version("
         "onnx.load('model.onnx'), " +
         std::to_string(wanted) + "), 'model.onnx')";
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
        "reduce_range: yes avoids";
  } else if (reduce_range == "auto") {
    out.note =
        "weights have all 8 bits, as this processor has VNNI; for processors without it "
        "(before 2019, and some until 2021) set reduce_range: yes";
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
  std::vector<std::string> with_graphs;
  for (const auto& node : graph.graph().node()) {
    if (OnnxGraph::has_subgraph(node)) with_graphs.push_back(node.op_type());
  }
  if (!with_graphs.empty()) {
    notes.push_back(counted(with_graphs) +
                    " (control flow) were left alone, with all that is in "
                    "their graphs");
  }
  return graph;
}

Result<void> raise_opset(OnnxGraph& graph, std::int64_t wanted, std::vector<std::string>& notes) {
  const auto has = graph.opset();
  if (has >= wanted) return {};
  std::set<std::string> changed;
  for (const auto& node : graph.graph().node()) {
    if (!is_standard(node)) continue;
    if (OnnxGraph::has_subgraph(node) ||
        (!is_steady(node.op_type()) && !is_softmax_of_two(graph, node))) {
      changed.insert(node.op_type());
    }
  }
  const std::string is =
      "the model is of opset " + std::to_string(has) + ", int8 needs " + std::to_string(wanted);
  if (has < 7 || !changed.empty()) {
    const std::vector<std::string> names(changed.begin(), changed.end());
    return not_compressible(
        is + (changed.empty() ? "" : ", and " + join_and(names) + " changed in between") + "; " +
        way_to_upgrade(wanted));
  }
  for (auto& node : *graph.graph().mutable_node()) {
    if (is_softmax_of_two(graph, node)) set_attribute(node, "axis", std::int64_t{1});
  }
  bool named = false;
  for (auto& import : *graph.model().mutable_opset_import()) {
    if (!import.domain().empty() && import.domain() != "ai.onnx") continue;
    import.set_version(wanted);
    named = true;
  }
  if (!named) graph.need_opset("", wanted);
  graph.model().set_ir_version(std::max<std::int64_t>(graph.model().ir_version(), 7));
  notes.push_back("the model's opset was raised from " + std::to_string(has) + " to " +
                  std::to_string(wanted) + ": no operator of it changed in between");
  return {};
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
