#include "tools/compress/static_writer.h"

#include <algorithm>
#include <optional>
#include <set>

#include "tools/compress/rehearsal.h"

namespace sluice::tools::compress {
namespace {

// Which dimension of its weights has the channels of what a product gives; nothing: there is no
// one.
std::optional<std::size_t> channel_axis(const onnx::NodeProto& node,
                                        const onnx::TensorProto& weights) {
  if (node.op_type() == "Conv") return 0;
  if (node.op_type() == "Gemm") return attribute_int(node, "transB", 0) != 0 ? 0 : 1;
  // Of a stack of matrices it would be each column of all of them, which ONNX Runtime has no
  // kernel for.
  return weights.dims_size() == 2 ? std::optional<std::size_t>(1) : std::nullopt;
}

std::span<const std::int64_t> dims_for(const std::int64_t& count) {
  return {&count, count == 1 ? std::size_t{0} : 1};
}

}  // namespace

StaticWriter::StaticWriter(OnnxGraph& graph, const StaticPlan& plan, Affines affines,
                           const StaticOptions& options)
    : graph_(graph), plan_(plan), affines_(std::move(affines)), options_(options) {
  for (const auto& unit : plan_.units) {
    if (unit.kind == Unit::Kind::kSameRange) affines_[unit.gives] = affines_[unit.takes[0]];
  }
}

Result<void> StaticWriter::write() {
  std::set<std::string> made;
  for (const auto& unit : plan_.units) {
    if (unit.gives_int8) made.insert(unit.gives);
  }
  for (const auto& unit : plan_.units) {
    auto& node = *unit.node;
    SLUICE_TRY(const auto given, operands(unit));
    for (std::size_t i = 0; i < unit.takes.size(); ++i) {
      // What units make goes under its old name behind the round trip: to all that take it.
      const auto& value = unit.takes[i];
      node.set_input(static_cast<int>(i), made.contains(value) ? value : rounded(value));
    }
    set_operands(node, unit, given);
    if (!unit.gives_int8) continue;
    if (unit.clamp != nullptr) {
      unit.clamp->clear_op_type();
    } else {
      node.set_output(0, graph_.fresh_name(unit.gives + "_float"));
    }
    round_trip(unit.gives, node.output(0), unit.gives);
  }
  graph_.remove_nodes([](const onnx::NodeProto& node) { return node.op_type().empty(); });
  return graph_.settle();
}

Result<std::vector<std::string>> StaticWriter::write_twins() {
  std::vector<std::string> out;
  for (const auto& unit : plan_.units) {
    SLUICE_TRY(const auto given, operands(unit));
    std::vector<std::string> inputs(unit.node->input().begin(), unit.node->input().end());
    for (std::size_t i = 0; i < unit.takes.size(); ++i) inputs[i] = rounded(unit.takes[i]);
    std::string last = graph_.fresh_name(unit.gives + "_twin");
    auto& twin = *graph_.graph().add_node();
    twin = *unit.node;
    twin.set_name(graph_.fresh_name(unit.node->name() + "_twin"));
    twin.set_output(0, last);
    for (std::size_t i = 0; i < inputs.size(); ++i) twin.set_input(static_cast<int>(i), inputs[i]);
    set_operands(twin, unit, given);
    if (unit.gives_int8) {
      const auto before = last;
      last = graph_.fresh_name(unit.gives + "_twin");
      round_trip(unit.gives, before, last);
    }
    add_error_sums(graph_, last, unit.gives, out);
  }
  SLUICE_CHECK(graph_.settle());
  return out;
}

Result<StaticWriter::Operands> StaticWriter::operands(const Unit& unit) {
  Operands out;
  if (unit.kind != Unit::Kind::kProduct) return out;
  const auto& node = *unit.node;
  const auto& tensor = *graph_.constant(node.input(1));
  SLUICE_TRY(auto values, weights_of(graph_, tensor));
  std::vector<float> bias_values;
  if (node.input_size() > 2 && !node.input(2).empty()) {
    SLUICE_TRY(bias_values, graph_.floats(*graph_.constant(node.input(2))));
  }
  const auto dims = dims_of(tensor);
  const auto axis = channel_axis(node, tensor);
  const auto columns = layout_of(dims, axis).channels;
  if (node.op_type() == "Gemm") {
    const float alpha = attribute_float(node, "alpha", 1);
    const float beta = attribute_float(node, "beta", 1);
    for (auto& value : values) value *= alpha;
    for (auto& value : bias_values) value *= beta;
    if (bias_values.size() == 1) bias_values.assign(columns, bias_values[0]);
  }
  const float in_scale = affines_.at(unit.takes[0]).scale;
  auto least = least_scales(bias_values, in_scale);
  const bool per_channel = options_.per_channel && axis;
  if (!per_channel && !least.empty()) least = {*std::ranges::max_element(least)};
  const auto layout = layout_of(dims, per_channel ? axis : std::nullopt);
  const auto made = quantize_weights(values, layout, options_.most, least);

  const auto whole = add_int8(graph_, node.input(1) + "_int8", dims, made.values);
  const auto scales = add_floats(graph_, node.input(1) + "_scale", made.scales);
  const std::vector<std::int8_t> zeros(made.scales.size());
  const auto count = static_cast<std::int64_t>(zeros.size());
  const auto zero = add_int8(graph_, node.input(1) + "_zero", dims_for(count), zeros);
  out.weights = graph_.fresh_name(node.input(1) + "_dequantized");
  auto& back = graph_.add_node("DequantizeLinear", "", {whole, scales, zero}, {out.weights});
  if (per_channel) set_attribute(back, "axis", static_cast<std::int64_t>(*axis));
  if (bias_values.empty()) return out;
  SLUICE_TRY(out.bias, bias(unit, bias_values, in_scale, made.scales));
  return out;
}

// In the scale of the sums that it is added to: in_scale · weight_scale.
Result<std::string> StaticWriter::bias(const Unit& unit, const std::vector<float>& values,
                                       float in_scale, const std::vector<float>& weight_scales) {
  const auto& name = unit.node->input(2);
  const auto scales = bias_scales(in_scale, weight_scales);
  const auto whole = graph_.fresh_name(name + "_int32");
  const std::int64_t count = static_cast<std::int64_t>(values.size());
  const auto numbers = quantize_bias(values, scales);
  *graph_.graph().add_initializer() =
      tensor_of(whole, std::span(&count, 1), std::span<const std::int32_t>(numbers));
  const auto scale = add_floats(graph_, name + "_scale", scales);
  auto out = graph_.fresh_name(name + "_dequantized");
  auto& back = graph_.add_node("DequantizeLinear", "", {whole, scale}, {out});
  if (scales.size() > 1) set_attribute(back, "axis", std::int64_t{0});
  return out;
}

void StaticWriter::set_operands(onnx::NodeProto& node, const Unit& unit, const Operands& given) {
  if (unit.kind != Unit::Kind::kProduct) return;
  node.set_input(1, given.weights);
  if (!given.bias.empty()) node.set_input(2, given.bias);
  if (node.op_type() != "Gemm") return;
  set_attribute(node, "alpha", 1.0F);
  set_attribute(node, "beta", 1.0F);
}

std::pair<std::string, std::string> StaticWriter::constants_of(const std::string& value) {
  auto [found, fresh] = constants_.try_emplace(value);
  if (!fresh) return found->second;
  const auto affine = affines_.at(value);
  auto scale = add_floats(graph_, value + "_scale", std::span(&affine.scale, 1));
  auto zero = graph_.fresh_name(value + "_zero");
  *graph_.graph().add_initializer() = tensor_of(zero, {}, std::span(&affine.zero, 1));
  found->second = {std::move(scale), std::move(zero)};
  return found->second;
}

void StaticWriter::round_trip(const std::string& value, const std::string& from,
                              const std::string& to) {
  const auto [scale, zero] = constants_of(value);
  const auto whole = graph_.fresh_name(value + "_uint8");
  graph_.add_node("QuantizeLinear", "", {from, scale, zero}, {whole});
  graph_.add_node("DequantizeLinear", "", {whole, scale, zero}, {to});
}

std::string StaticWriter::rounded(const std::string& value) {
  const auto [found, fresh] = rounded_.try_emplace(value);
  if (!fresh) return found->second;
  found->second = graph_.fresh_name(value + "_dequantized");
  round_trip(value, value, found->second);
  return found->second;
}

}  // namespace sluice::tools::compress
