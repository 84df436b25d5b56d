#include "tools/compress/channel_flow.h"

#include <algorithm>
#include <cstring>

namespace sluice::tools::compress {
namespace {

// How a value holds the channels.
struct Layout {
  bool images = false;    // [N, channels, …]; else they are in the last dimension
  int rank = 0;           // 0: unknown
  std::int64_t area = 0;  // values of each channel: of images all behind it; 0: unknown
};

bool one_of(std::string_view op, std::initializer_list<std::string_view> ops) {
  return std::ranges::find(ops, op) != ops.end();
}

bool each_alone(std::string_view op) {
  return one_of(op, {"Relu",        "LeakyRelu", "Elu",      "Selu",     "Sigmoid",        "Tanh",
                     "HardSigmoid", "HardSwish", "Softplus", "Softsign", "Gelu",           "Mish",
                     "Celu",        "Abs",       "Neg",      "Exp",      "Sqrt",           "Erf",
                     "Clip",        "Identity",  "Dropout",  "Cast",     "ThresholdedRelu"});
}

bool pools(std::string_view op) {
  return one_of(op, {"MaxPool", "AveragePool", "LpPool", "GlobalMaxPool", "GlobalAveragePool",
                     "GlobalLpPool"});
}

class Follower {
 public:
  Follower(OnnxGraph& graph, const PrunableLayer& layer) : graph_(graph) { start(layer); }

  ChannelFlow run() {
    while (out_.reason.empty() && !open_.empty()) {
      const auto value = open_.front();
      open_.pop_front();
      if (graph_.is_output(value)) return stop("its output is the model's");
      for (auto* const node : graph_.takers(value)) {
        if (!step(*node, value)) return std::move(out_);
      }
    }
    for (const auto* const node : waiting_) {
      if (!layouts_.contains(node->output(0))) return stop(together(*node));
    }
    for (const auto& [value, unused] : layouts_) out_.values.insert(value);
    return std::move(out_);
  }

 private:
  static std::string together(const onnx::NodeProto& node) {
    return "its output meets another path in " + node.op_type();
  }

  ChannelFlow stop(std::string reason) {
    if (out_.reason.empty()) out_.reason = std::move(reason);
    return std::move(out_);
  }
  bool refuse(std::string reason) {
    if (out_.reason.empty()) out_.reason = std::move(reason);
    return false;
  }

  void start(const PrunableLayer& layer) {
    const auto& node = *graph_.maker(layer.output);
    const auto dims = dims_of(*graph_.constant(layer.weight));
    const bool conv = node.op_type() == "Conv";
    const bool gemm = node.op_type() == "Gemm";
    if (conv && attribute_int(node, "group", 1) != 1) {
      out_.reason = "its convolution is in groups";
      return;
    }
    if (!conv && dims.size() != 2) {
      out_.reason = "its weights are no matrix";
      return;
    }
    const int axis = conv || (gemm && attribute_int(node, "transB", 0) != 0) ? 0 : 1;
    out_.channels = dims[static_cast<std::size_t>(axis)];
    out_.weight = {layer.weight, axis, 1};
    out_.values.insert(node.input(1));
    if (owned(node, 1).empty()) {
      out_.reason = "its weights are used elsewhere too";
      return;
    }
    const Layout layout{conv, conv ? static_cast<int>(dims.size()) : (gemm ? 2 : 0), conv ? 0 : 1};
    const bool biased = node.input_size() > 2 && !node.input(2).empty();
    if (biased && !(conv ? cut(node, 2, 0) : cut_broadcast(node, 2, layout))) return;
    reach(layer.output, layout);
  }

  void reach(const std::string& value, const Layout& layout) {
    if (layouts_.emplace(value, layout).second) open_.push_back(value);
  }

  // Input `i` is a constant of floats that only this node takes, in this place.
  std::string owned(const onnx::NodeProto& node, int i) {
    const auto name = weight_behind(graph_, node.input(i));
    if (name.empty() || graph_.is_output(name)) return {};
    const bool cast = name != node.input(i);
    if (std::ranges::count(node.input(), node.input(i)) != 1) return {};
    if (graph_.takers(name).size() != 1) return {};
    return cast && graph_.takers(node.input(i)).size() != 1 ? std::string() : name;
  }

  // Along this axis of input `i` there are all channels, each the same number of times.
  bool cut(const onnx::NodeProto& node, int i, int axis) {
    const auto name = i < node.input_size() ? owned(node, i) : std::string();
    if (name.empty()) {
      return refuse("a weight of the " + node.op_type() +
                    " behind it is not constant, or used elsewhere too");
    }
    const auto& tensor = *graph_.constant(name);
    if (axis < 0 || axis >= tensor.dims_size() || tensor.dims(axis) % out_.channels != 0) {
      return refuse("the shape of a " + node.op_type() + " behind it does not fit");
    }
    out_.cuts.push_back({name, axis, tensor.dims(axis) / out_.channels});
    out_.values.insert(node.input(i));
    return true;
  }

  // The same for a tensor that is broadcast to a value (or a value to it).
  bool cut_broadcast(const onnx::NodeProto& node, int i, const Layout& layout) {
    const auto behind = weight_behind(graph_, node.input(i));
    if (behind.empty()) return refuse(together(node));
    const auto dims = dims_of(*graph_.constant(behind));
    const int rank = static_cast<int>(dims.size());
    if (layout.rank > 0 && rank > layout.rank) return refuse(together(node));
    const int axis = layout.images ? rank - layout.rank + 1 : rank - 1;
    const bool whole = axis < 0 || dims[static_cast<std::size_t>(axis)] == 1;
    return whole || cut(node, i, axis);
  }

  bool step(const onnx::NodeProto& node, const std::string& value) {
    const std::string_view op = node.op_type();
    if (!node.domain().empty() && node.domain() != "ai.onnx") {
      return refuse("it is taken by " + node.op_type() + ", which is no standard operator");
    }
    if (OnnxGraph::has_subgraph(node))
      return refuse("a graph inside " + node.op_type() + " takes it");
    for (int i = 1; i < node.output_size(); ++i) {
      if (!node.output(i).empty() && !graph_.takers(node.output(i)).empty()) {
        return refuse("a second output of " + node.op_type() + " is used");
      }
    }
    if (one_of(op, {"Add", "Sub", "Mul", "Div", "PRelu", "Max", "Min"})) return meet(node, value);
    if (value != node.input(0) || std::ranges::count(node.input(), value) != 1) {
      return refuse(node.op_type() + " takes it in an unusual place");
    }
    const auto layout = layouts_.at(value);
    if (each_alone(op)) return go(node, layout);
    if (pools(op) && layout.images) {
      auto pooled = layout;
      pooled.area = op.starts_with("Global") ? 1 : 0;
      return go(node, pooled);
    }
    if (one_of(op, {"Conv", "ConvTranspose", "Gemm", "MatMul"})) return end(node, layout);
    if (one_of(op, {"BatchNormalization", "InstanceNormalization"})) return norm(node, layout);
    if (one_of(op, {"Flatten", "Reshape", "Squeeze"})) return flatten(node, value, layout);
    return refuse("it is taken by " + node.op_type());
  }

  bool go(const onnx::NodeProto& node, const Layout& layout) {
    reach(node.output(0), layout);
    return true;
  }

  // Two operands: the channels and a constant, or the same channels on two ways.
  bool meet(const onnx::NodeProto& node, const std::string& value) {
    const auto& layout = layouts_.at(value);
    if (node.input_size() != 2) return refuse(together(node));
    const int other = node.input(0) == value ? 1 : 0;
    if (node.op_type() == "PRelu" && other == 0) return refuse(together(node));
    const auto& name = node.input(other);
    if (!weight_behind(graph_, name).empty()) {
      return cut_broadcast(node, other, layout) && go(node, layout);
    }
    const auto met = layouts_.find(name);
    if (met == layouts_.end()) {
      waiting_.push_back(&node);
      return true;
    }
    // Broadcast areas (a gate of one number a channel) are as good: channels stay in their place.
    const bool same = met->second.images == layout.images && met->second.rank == layout.rank;
    return same ? go(node, {layout.images, layout.rank, 0}) : refuse(together(node));
  }

  // The next layer: its input channels are these.
  bool end(const onnx::NodeProto& node, const Layout& layout) {
    const std::string_view op = node.op_type();
    if (op == "Conv" || op == "ConvTranspose") {
      if (!layout.images)
        return refuse("the shape of a " + node.op_type() + " behind it does not fit");
      if (attribute_int(node, "group", 1) != 1) {
        return refuse("a convolution in groups (depthwise) takes it");
      }
      return cut(node, 1, op == "Conv" ? 1 : 0);
    }
    const auto weight = weight_behind(graph_, node.input(1));
    const bool matrix = !weight.empty() && graph_.constant(weight)->dims_size() == 2;
    if (layout.images || !matrix || attribute_int(node, "transA", 0) != 0) {
      return refuse("it is taken by a " + node.op_type() + " that mixes it otherwise");
    }
    return cut(node, 1, op == "Gemm" && attribute_int(node, "transB", 0) != 0 ? 1 : 0);
  }

  bool norm(const onnx::NodeProto& node, const Layout& layout) {
    const bool batch = node.op_type() == "BatchNormalization";
    if (!layout.images && !(batch && layout.rank == 2)) {
      return refuse("it is taken by " + node.op_type());
    }
    for (int i = 1; i < (batch ? 5 : 3); ++i) {
      if (!cut(node, i, 0)) return false;
    }
    return go(node, layout);
  }

  // Of images, what all the values of a channel become: neighbours in one row.
  bool flatten(const onnx::NodeProto& node, const std::string& value, const Layout& layout) {
    const std::string_view op = node.op_type();
    if (!layout.images && layout.rank != 2) return refuse("it is taken by " + node.op_type());
    const auto area = area_of(value, layout);
    const Layout flat{false, 2, area};
    if (op == "Flatten") {
      if (attribute_int(node, "axis", 1) == 1) return go(node, flat);
      return refuse("a Flatten of another axis takes it");
    }
    const auto list = integers(node, op == "Squeeze" ? "axes" : "shape");
    if (op == "Squeeze" && layout.images && layout.area == 1 && takes_all_behind(list, layout)) {
      return go(node, flat);
    }
    if (op == "Reshape" && list.size() == 2 && (list[0] == 0 || list[0] == -1)) {
      if (list[0] == 0 && list[1] == -1) return go(node, flat);
      if (area > 0 && list[1] == area * out_.channels) {
        out_.reshapes.push_back(node.output(0));
        return go(node, flat);
      }
    }
    return refuse("the shape that " + node.op_type() + " gives it is not known");
  }

  static bool takes_all_behind(std::vector<std::int64_t> axes, const Layout& layout) {
    for (auto& axis : axes) axis += axis < 0 ? layout.rank : 0;
    std::ranges::sort(axes);
    for (std::size_t i = 0; i < axes.size(); ++i) {
      if (axes[i] != static_cast<std::int64_t>(i) + 2) return false;
    }
    return static_cast<int>(axes.size()) == layout.rank - 2;
  }

  // The integers of the second input, or of the attribute that it was before; none: unknown.
  std::vector<std::int64_t> integers(const onnx::NodeProto& node, std::string_view name) {
    if (const auto* const old = attribute(node, name))
      return {old->ints().begin(), old->ints().end()};
    const auto* const tensor = node.input_size() > 1 ? graph_.constant(node.input(1)) : nullptr;
    if (!tensor || tensor->data_type() != onnx::TensorProto::INT64) return {};
    const auto raw = graph_.bytes(*tensor);
    if (!raw) return {};
    std::vector<std::int64_t> out(raw->size() / sizeof(std::int64_t));
    std::memcpy(out.data(), raw->data(), out.size() * sizeof(std::int64_t));
    return out;
  }

  // From what the model says of its values' shapes; 0: it does not.
  std::int64_t area_of(const std::string& value, const Layout& layout) const {
    if (layout.area > 0 || !layout.images) return layout.area;
    for (const auto& said : graph_.graph().value_info()) {
      if (said.name() != value) continue;
      const auto& dims = said.type().tensor_type().shape().dim();
      std::int64_t out = dims.size() == layout.rank ? 1 : 0;
      for (int i = 2; i < dims.size(); ++i)
        out *= dims[i].has_dim_value() ? dims[i].dim_value() : 0;
      return out;
    }
    return 0;
  }

  OnnxGraph& graph_;
  ChannelFlow out_;
  std::deque<std::string> open_;
  std::map<std::string, Layout> layouts_;
  std::vector<const onnx::NodeProto*> waiting_;  // for the other operand
};

}  // namespace

ChannelFlow follow_channels(OnnxGraph& graph, const PrunableLayer& layer) {
  return Follower(graph, layer).run();
}

}  // namespace sluice::tools::compress
