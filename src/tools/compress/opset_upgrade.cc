#include "tools/compress/opset_upgrade.h"

#include <algorithm>
#include <array>
#include <limits>
#include <set>

#include "base/text.h"

namespace sluice::tools::compress {
namespace {

// Of the standard's operators those that mean the same in each version from 7 to 13, attributes
// and inputs alike: what changed is types, clearer words, or inputs that may be left out (ONNX,
// docs/Changelog.md).
constexpr std::string_view kSteady =
    " Abs Add And ArgMax ArgMin AveragePool BatchNormalization Cast Ceil Concat "
    "Constant Conv ConvTranspose Cos DepthToSpace Div Elu Equal Erf Exp Expand "
    "Flatten Floor GRU Gather Gemm GlobalAveragePool GlobalMaxPool Greater "
    "HardSigmoid Identity InstanceNormalization LRN LSTM LeakyRelu Less Log MatMul "
    "Max MaxPool Mean Min Mul Neg Not Or PRelu Pow RNN Reciprocal ReduceMax "
    "ReduceMean ReduceMin Relu Reshape Selu Shape Sigmoid Sin Size Softplus Softsign "
    "SpaceToDepth Sqrt Sub Sum Tanh Tile Transpose Where ";

bool is_steady(std::string_view op) { return kSteady.contains(" " + std::string(op) + " "); }

// ---- what is written otherwise -----------------------------------------------------------------

// An initializer as input `place`; those before it that are missing are left out by an empty name.
void set_input(onnx::NodeProto& node, int place, const std::string& name) {
  while (node.input_size() <= place) node.add_input("");
  node.set_input(place, name);
}

void drop_attribute(onnx::NodeProto& node, std::string_view name) {
  auto& all = *node.mutable_attribute();
  all.erase(std::remove_if(all.begin(), all.end(),
                           [&](const auto& attribute) { return attribute.name() == name; }),
            all.end());
}

// An attribute that became an input, where the node has it; `tensor` makes the constant.
template <class Tensor>
void move_attribute(OnnxGraph& graph, onnx::NodeProto& node, std::string_view name, int place,
                    Tensor tensor) {
  const auto* const found = attribute(node, name);
  if (!found) return;
  const auto made = graph.fresh_name(node.output(0) + "_" + std::string(name));
  *graph.graph().add_initializer() = tensor(made, *found);
  drop_attribute(node, name);
  set_input(node, place, made);
}

void move_integers(OnnxGraph& graph, onnx::NodeProto& node, std::string_view name, int place) {
  move_attribute(graph, node, name, place, [](const std::string& made, const auto& found) {
    const std::vector<std::int64_t> values(found.ints().begin(), found.ints().end());
    const std::array<std::int64_t, 1> dims = {static_cast<std::int64_t>(values.size())};
    return tensor_of(made, dims, std::span<const std::int64_t>(values));
  });
}

void move_float(OnnxGraph& graph, onnx::NodeProto& node, std::string_view name, int place) {
  move_attribute(graph, node, name, place, [](const std::string& made, const auto& found) {
    const float value = found.f();
    return tensor_of(made, {}, std::span<const float>(&value, 1));
  });
}

bool upgrade_clip(OnnxGraph& graph, onnx::NodeProto& node) {
  move_float(graph, node, "min", 1);
  move_float(graph, node, "max", 2);
  return true;
}

bool upgrade_slice(OnnxGraph& graph, onnx::NodeProto& node) {
  move_integers(graph, node, "starts", 1);
  move_integers(graph, node, "ends", 2);
  move_integers(graph, node, "axes", 3);
  return true;
}

bool upgrade_pad(OnnxGraph& graph, onnx::NodeProto& node) {
  move_integers(graph, node, "pads", 1);
  move_float(graph, node, "value", 2);
  return true;
}

bool upgrade_axes(OnnxGraph& graph, onnx::NodeProto& node) {
  move_integers(graph, node, "axes", 1);
  return true;
}

bool upgrade_split(OnnxGraph& graph, onnx::NodeProto& node) {
  move_integers(graph, node, "split", 1);
  return true;
}

// It does nothing to a model that is only asked.
bool upgrade_dropout(OnnxGraph& graph, onnx::NodeProto& node) {
  drop_attribute(node, "ratio");
  return node.output_size() == 1 ||
         (graph.takers(node.output(1)).empty() && !graph.is_output(node.output(1)));
}

// Until 12 it took everything from `axis` (1 where it was not given) on as one; since 13 it is
// along `axis` alone. With the last one both are the same.
bool upgrade_softmax(OnnxGraph& graph, onnx::NodeProto& node) {
  const auto axis = attribute_int(node, "axis", 1);
  const auto* const maker = graph.maker(node.input(0));
  const bool of_two = maker != nullptr && maker->op_type() == "Gemm" && axis == 1;
  set_attribute(node, "axis", std::int64_t{-1});
  if (axis == -1 || of_two) return true;
  if (axis < 0) return false;
  const std::string from = node.input(0);
  const std::string to = node.output(0);
  const auto shape = graph.fresh_name(to + "_shape");
  const auto flat = graph.fresh_name(to + "_flat");
  const auto soft = graph.fresh_name(to + "_of_flat");
  node.set_input(0, flat);
  node.set_output(0, soft);
  graph.add_node("Shape", shape, {from}, {shape});
  set_attribute(graph.add_node("Flatten", flat, {from}, {flat}), "axis", axis);
  graph.add_node("Reshape", graph.fresh_name(to + "_reshape"), {soft, shape}, {to});
  return true;
}

struct Change {
  std::string_view op;
  std::int64_t since;
  // False: not this node.
  bool (*upgrade)(OnnxGraph& graph, onnx::NodeProto& node);
};
constexpr Change kChanges[] = {
    {"Slice", 10, upgrade_slice},     {"Clip", 11, upgrade_clip},
    {"Pad", 11, upgrade_pad},         {"Dropout", 12, upgrade_dropout},
    {"Squeeze", 13, upgrade_axes},    {"Unsqueeze", 13, upgrade_axes},
    {"ReduceSum", 13, upgrade_axes},  {"Split", 13, upgrade_split},
    {"Softmax", 13, upgrade_softmax}, {"LogSoftmax", 13, upgrade_softmax}};

std::string way_to_upgrade(std::int64_t wanted) {
  return "upgrade it first, in Python: onnx.save(onnx.version_converter.convert_version("
         "onnx.load('model.onnx'), " +
         std::to_string(wanted) + "), 'model.onnx')";
}

}  // namespace

Result<void> raise_opset(OnnxGraph& graph, std::int64_t wanted, std::string_view why,
                         std::vector<std::string>& notes) {
  const auto has = graph.opset();
  if (has >= wanted) return {};
  std::vector<onnx::NodeProto*> nodes;  // those that are added are of the new version
  for (auto& node : *graph.graph().mutable_node()) {
    if (is_standard(node)) nodes.push_back(&node);
  }
  std::set<std::string> changed;
  std::set<std::string> rewritten;
  for (auto* const node : nodes) {
    const auto* const change =
        std::ranges::find(kChanges, std::string_view(node->op_type()), &Change::op);
    const bool known = change != std::end(kChanges);
    if (OnnxGraph::has_subgraph(*node) || (!known && !is_steady(node->op_type()))) {
      changed.insert(node->op_type());
    } else if (known && has < change->since && change->since <= wanted) {
      (change->upgrade(graph, *node) ? rewritten : changed).insert(node->op_type());
    }
  }
  const std::string is = "the model is of opset " + std::to_string(has) + ", " + std::string(why) +
                         " " + std::to_string(wanted);
  if (has < 7 || !changed.empty()) {
    const std::vector<std::string> names(changed.begin(), changed.end());
    return invalid("not_compressible",
                   is +
                       (changed.empty() ? "" : ", and " + join_and(names) + " changed in between") +
                       "; " + way_to_upgrade(wanted));
  }
  bool named = false;
  for (auto& import : *graph.model().mutable_opset_import()) {
    if (!import.domain().empty() && import.domain() != "ai.onnx") continue;
    import.set_version(wanted);
    named = true;
  }
  if (!named) graph.need_opset("", wanted);
  graph.model().set_ir_version(std::max<std::int64_t>(graph.model().ir_version(), 7));
  const std::vector<std::string> names(rewritten.begin(), rewritten.end());
  notes.push_back("the model's opset was raised from " + std::to_string(has) + " to " +
                  std::to_string(wanted) +
                  (names.empty() ? ": no operator of it changed in between"
                                 : "; " + join_and(names) + " are written as they are since then"));
  return graph.settle();
}

}  // namespace sluice::tools::compress
