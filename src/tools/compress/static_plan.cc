#include "tools/compress/static_plan.h"

#include <algorithm>
#include <optional>
#include <string_view>

#include "tools/compress/int8_graph.h"

namespace sluice::tools::compress {
namespace {

bool is_float(const onnx::TensorProto* tensor) {
  return tensor != nullptr && tensor->data_type() == onnx::TensorProto::FLOAT;
}

bool has_input(const onnx::NodeProto& node, int index) {
  return node.input_size() > index && !node.input(index).empty();
}

// Why a product cannot be quantised, or nothing.
std::optional<std::string> obstacle(const OnnxGraph& graph, const onnx::NodeProto& node) {
  const auto* const weights = graph.constant(node.input(1));
  if (weights == nullptr) return "its weights are no constants";
  if (const auto known = weights_of(graph, *weights); !known) return known.error().message;
  if (graph.constant(node.input(0)) != nullptr) return "what it multiplies is a constant";
  const auto* const bias = has_input(node, 2) ? graph.constant(node.input(2)) : nullptr;
  if (has_input(node, 2) && !is_float(bias)) return "its bias is no constant";
  if (bias != nullptr && !weights_of(graph, *bias)) return "its bias has NaN or infinity";
  if (node.op_type() == "MatMul" && weights->dims_size() < 2) return "its weights are a vector";
  if (node.op_type() != "Gemm") return std::nullopt;
  if (attribute_int(node, "transA", 0) != 0) return "it transposes what it takes";
  const auto columns =
      static_cast<std::uint64_t>(weights->dims(attribute_int(node, "transB", 0) != 0 ? 0 : 1));
  if (bias == nullptr || elements_of(*bias) == 1) return std::nullopt;
  const bool one_for_each =
      elements_of(*bias) == columns &&
      static_cast<std::uint64_t>(bias->dims(bias->dims_size() - 1)) == columns;
  return one_for_each ? std::nullopt : std::optional<std::string>("its bias differs by row");
}

class Planning {
 public:
  Planning(OnnxGraph& graph, const std::set<std::string>& skip) : graph_(graph), skip_(skip) {}

  StaticPlan plan() {
    for (auto& node : *graph_.graph().mutable_node()) consider(node);
    drop_ends();
    return std::move(out_);
  }

 private:
  void consider(onnx::NodeProto& node) {
    if (!is_standard(node) || node.output_size() != 1 || skip_.contains(node.output(0))) return;
    const std::string_view op = node.op_type();
    if (op == "Conv" || op == "Gemm" || op == "MatMul") {
      if (const auto why = obstacle(graph_, node)) {
        out_.left_alone.push_back(node.op_type() + " '" + shown(node) +
                                  "' was left alone: " + *why);
        return;
      }
      return add(node, Unit::Kind::kProduct, 1);
    }
    static const std::set<std::string_view> kOwn = {"Add", "Concat", "AveragePool",
                                                    "GlobalAveragePool"};
    static const std::set<std::string_view> kSame = {"MaxPool",   "Reshape", "Flatten",
                                                     "Transpose", "Squeeze", "Unsqueeze"};
    if (kOwn.contains(op)) add(node, Unit::Kind::kOwnRange, node.input_size());
    if (kSame.contains(op)) add(node, Unit::Kind::kSameRange, 1);
  }

  void add(onnx::NodeProto& node, Unit::Kind kind, int activations) {
    Unit unit;
    unit.kind = kind;
    unit.node = &node;
    for (int i = 0; i < activations; ++i) {
      unit.takes.push_back(node.input(i));
      if (kind != Unit::Kind::kProduct && !made_.contains(node.input(i))) return;
    }
    unit.gives = node.output(0);
    if (kind == Unit::Kind::kProduct || node.op_type() == "Add") find_clamp(unit);
    made_.insert(unit.gives);
    out_.units.push_back(std::move(unit));
  }

  void find_clamp(Unit& unit) {
    const auto takers = graph_.takers(unit.gives);
    if (takers.size() != 1 || graph_.is_output(unit.gives) || !is_standard(*takers[0])) return;
    auto& taker = *takers[0];
    if (skip_.contains(taker.output(0))) return;
    if (taker.op_type() != "Relu" && !(taker.op_type() == "Clip" && is_from_zero(taker))) return;
    unit.clamp = &taker;
    unit.gives = taker.output(0);
  }

  // Its upper end needs no look: the range is of what came out of it.
  bool is_from_zero(const onnx::NodeProto& clip) const {
    const auto* const least = has_input(clip, 1) ? graph_.constant(clip.input(1)) : nullptr;
    if (!is_float(least) || (has_input(clip, 2) && !is_float(graph_.constant(clip.input(2))))) {
      return false;
    }
    const auto value = graph_.floats(*least);
    return value && value->size() == 1 && value->front() == 0;
  }

  // What lies behind the last product gains nothing, and a product whose result only others take
  // gives it as floats where ONNX Runtime has a kernel for that (Gemm and MatMul).
  void drop_ends() {
    std::set<std::string> wanted;
    std::vector<Unit> kept;
    for (auto unit = out_.units.rbegin(); unit != out_.units.rend(); ++unit) {
      const bool taken = wanted.contains(unit->gives);
      if (unit->kind != Unit::Kind::kProduct && !taken) continue;
      if (unit->kind == Unit::Kind::kProduct && !taken && unit->node->op_type() != "Conv") {
        unit->gives_int8 = false;
        unit->clamp = nullptr;
        unit->gives = unit->node->output(0);
      }
      wanted.insert(unit->takes.begin(), unit->takes.end());
      kept.push_back(std::move(*unit));
    }
    std::ranges::reverse(kept);
    out_.units = std::move(kept);
  }

  OnnxGraph& graph_;
  const std::set<std::string>& skip_;
  StaticPlan out_;
  std::set<std::string> made_;  // by units
};

}  // namespace

std::vector<std::string> StaticPlan::ranges() const {
  std::set<std::string> out;
  for (const auto& unit : units) {
    out.insert(unit.takes.begin(), unit.takes.end());
    if (unit.gives_int8) out.insert(unit.gives);
  }
  for (const auto& unit : units) {
    if (unit.kind == Unit::Kind::kSameRange) out.erase(unit.gives);
  }
  return {out.begin(), out.end()};
}

StaticPlan plan_static(OnnxGraph& graph, const std::set<std::string>& skip) {
  return Planning(graph, skip).plan();
}

}  // namespace sluice::tools::compress
