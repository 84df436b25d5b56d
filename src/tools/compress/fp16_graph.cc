// `mode: graph` of fp16: which nodes compute in half precision, and the Casts between them and the
// rest.
#include <algorithm>
#include <set>

#include "tools/compress/fp16.h"
#include "tools/compress/stopped.h"

namespace sluice::tools::compress {
namespace {

constexpr unsigned kAll = ~0U;

// Operators that are right in half precision by the ONNX operator specification, and which of their
// inputs (a bit each) and outputs are of that type. Sums over many numbers, normalisations and
// whatever is not here stay FP32.
struct Kind {
  unsigned inputs = 1;
  bool all_outputs = false;
};

const std::map<std::string_view, Kind>& kinds() {
  static const auto kKinds = [] {
    std::map<std::string_view, Kind> out;
    for (const auto* op : {"Add", "Sub", "Mul", "Div", "Min", "Max", "Concat", "Gemm", "MatMul",
                           "Conv", "ConvTranspose", "PRelu", "Clip", "Pow"}) {
      out[op].inputs = kAll;
    }
    for (const auto* op : {"Relu",
                           "LeakyRelu",
                           "Elu",
                           "Selu",
                           "Sigmoid",
                           "Tanh",
                           "HardSigmoid",
                           "HardSwish",
                           "Softplus",
                           "Softsign",
                           "Gelu",
                           "Mish",
                           "Celu",
                           "Abs",
                           "Neg",
                           "Exp",
                           "Sqrt",
                           "Erf",
                           "Floor",
                           "Ceil",
                           "MaxPool",
                           "AveragePool",
                           "GlobalMaxPool",
                           "GlobalAveragePool",
                           "Flatten",
                           "Reshape",
                           "Transpose",
                           "Squeeze",
                           "Unsqueeze",
                           "Slice",
                           "Gather",
                           "GatherElements",
                           "Expand",
                           "Tile",
                           "Identity",
                           "DepthToSpace",
                           "Softmax",
                           "LogSoftmax",
                           "SpaceToDepth",
                           "ReduceMax",
                           "ReduceMean",
                           "ReduceMin",
                           "ThresholdedRelu"}) {
      out[op].inputs = 1;
    }
    out["Where"].inputs = 0b110;
    out["Pad"].inputs = 0b101;
    out["Split"].all_outputs = true;
    return out;
  }();
  return kKinds;
}

const Kind* kind_of(const onnx::NodeProto& node) {
  if (!is_standard(node)) return nullptr;
  const auto found = kinds().find(node.op_type());
  return found == kinds().end() ? nullptr : &found->second;
}

// Positions of a node's inputs that are of the type that it computes in.
std::vector<int> typed_inputs(const onnx::NodeProto& node, const Kind& kind) {
  std::vector<int> out;
  for (int i = 0; i < node.input_size(); ++i) {
    const bool typed = kind.inputs == kAll || (i < 32 && (kind.inputs >> i & 1U) != 0);
    if (typed && !node.input(i).empty()) out.push_back(i);
  }
  return out;
}

bool is_float(const onnx::ValueInfoProto& value) {
  return value.type().has_tensor_type() &&
         value.type().tensor_type().elem_type() == onnx::TensorProto::FLOAT;
}

class Halver {
 public:
  Halver(OnnxGraph& graph, const Fp16Settings& settings, const Task& task, Fp16Counts& counts)
      : graph_(graph), settings_(settings), task_(task), counts_(counts) {
    for (const auto& value : graph.graph().input()) note_type(value);
    for (const auto& value : graph.graph().output()) note_type(value);
    for (const auto& value : graph.graph().value_info()) note_type(value);
    for (const auto& tensor : graph.graph().initializer()) {
      if (tensor.data_type() == onnx::TensorProto::FLOAT) floats_.insert(tensor.name());
    }
  }

  Result<void> run() {
    const int count = graph_.graph().node_size();
    for (int i = 0; i < count; ++i) {
      if (task_.stop) return stopped();
      const auto& node = graph_.graph().node(i);
      task_.progress(node.name(), static_cast<double>(i) / count);
      SLUICE_TRY(const bool chosen, choose(node));
      if (chosen) {
        take(i);
      } else {
        leave(node);
      }
    }
    counts_.nodes = chosen_.size();
    if (chosen_.empty()) return {};
    turn_ends();
    cast_between();
    rewrite();
    return {};
  }

 private:
  void note_type(const onnx::ValueInfoProto& value) {
    if (is_float(value)) floats_.insert(value.name());
  }

  // Everything of its type must be known to be FP32, and each constant right in half precision.
  Result<bool> choose(const onnx::NodeProto& node) {
    const auto* const kind = kind_of(node);
    if (!kind || OnnxGraph::has_subgraph(node)) return false;
    const auto typed = typed_inputs(node, *kind);
    const bool known =
        std::ranges::all_of(typed, [&](int i) { return floats_.contains(node.input(i)); });
    if (typed.empty() || !known) return false;
    bool right = true;
    for (const int i : typed) {
      auto* const tensor = graph_.constant(node.input(i));
      if (!tensor) continue;
      SLUICE_TRY(const bool done, halve(*tensor));
      right = right && done;
    }
    return right;
  }

  // A constant once, in its place and under its name, whoever takes it.
  Result<bool> halve(onnx::TensorProto& tensor) {
    const auto [found, is_new] = halves_.try_emplace(tensor.name(), false);
    if (!is_new || graph_.is_output(tensor.name())) return found->second;
    for (const auto* const node : graph_.takers(tensor.name())) {
      for (int i = 0; i < node->input_size(); ++i) {
        if (node->input(i) == tensor.name() && must_stay_float(*node, i)) return false;
      }
    }
    SLUICE_TRY(auto half, half_of(graph_, tensor, tensor.name(), settings_, counts_));
    if (!half) return false;
    tensor = std::move(*half);
    own_.insert(tensor.name());
    return found->second = true;
  }

  void take(int index) {
    const auto& node = graph_.graph().node(index);
    const auto& kind = *kind_of(node);
    chosen_[index] = node;
    const int outputs = kind.all_outputs ? node.output_size() : 1;
    for (int i = 0; i < outputs; ++i) {
      made_.insert(node.output(i));
      floats_.insert(node.output(i));
    }
    for (const int i : typed_inputs(node, kind)) half_uses_.insert(node.input(i));
  }

  // These give what they take, so that what comes behind them is known.
  void leave(const onnx::NodeProto& node) {
    if (OnnxGraph::has_subgraph(node)) {
      ++counts_.left_alone["graph inside " + node.op_type()];
    } else if (node.input_size() > 0 && floats_.contains(node.input(0))) {
      ++counts_.left_alone[node.op_type()];
      const std::string_view op = node.op_type();
      if (kind_of(node) || op.ends_with("Normalization") || op.starts_with("Reduce") ||
          op == "Resize" || op == "CumSum" || op == "TopK" || op == "Dropout") {
        floats_.insert(node.output(0));
      }
    }
    if (node.op_type() == "Cast" && attribute_int(node, "to", 0) == onnx::TensorProto::FLOAT) {
      floats_.insert(node.output(0));
    }
  }

  // Inputs and outputs that become half precision themselves.
  void turn_ends() {
    if (settings_.keep_io) return;
    const auto turn = [&](auto& values, const std::set<std::string>& which) {
      for (auto& value : values) {
        if (!which.contains(value.name()) || !is_float(value)) continue;
        value.mutable_type()->mutable_tensor_type()->set_elem_type(onnx::TensorProto::FLOAT16);
        own_.insert(value.name());
      }
    };
    turn(*graph_.graph().mutable_input(), half_uses_);
    turn(*graph_.graph().mutable_output(), made_);
  }

  bool needs_float(const std::string& value) {
    std::set<const onnx::NodeProto*> chosen;
    for (const auto& [index, unused] : chosen_) chosen.insert(&graph_.graph().node(index));
    const auto takers = graph_.takers(value);
    return std::ranges::any_of(takers, [&](const auto* node) { return !chosen.contains(node); }) ||
           (graph_.is_output(value) && !own_.contains(value));
  }

  std::string half_name(const std::string& value) {
    if (own_.contains(value)) return value;
    auto& name = names_[value];
    if (name.empty()) name = graph_.fresh_name(value + "_fp16");
    return name;
  }

  void cast(const std::string& from, const std::string& to, std::int64_t type) {
    casts_.push_back({from, to, type});
  }

  void cast_between() {
    std::set<std::string> values = made_;
    values.insert(half_uses_.begin(), half_uses_.end());
    values.insert(own_.begin(), own_.end());
    for (const auto& value : values) {
      if (own_.contains(value)) {
        if (!needs_float(value)) continue;
        const auto name = graph_.fresh_name(value + "_fp32");
        graph_.rename_uses(value, name);
        cast(value, name, onnx::TensorProto::FLOAT);
      } else if (!made_.contains(value)) {
        cast(value, half_name(value), onnx::TensorProto::FLOAT16);
      } else if (needs_float(value)) {
        cast(half_name(value), value, onnx::TensorProto::FLOAT);
      }
    }
  }

  // The chosen nodes as they were, with the halves' names; their other inputs keep theirs.
  void rewrite() {
    for (auto& [index, node] : chosen_) {
      const auto& kind = *kind_of(node);
      for (const int i : typed_inputs(node, kind))
        *node.mutable_input(i) = half_name(node.input(i));
      for (auto& output : *node.mutable_output()) {
        if (made_.contains(output)) output = half_name(output);
      }
      *graph_.graph().mutable_node(index) = std::move(node);
    }
    for (const auto& [from, to, type] : casts_) {
      auto& node = graph_.add_node("Cast", graph_.fresh_name(to + "_cast"), {from}, {to});
      set_attribute(node, "to", type);
    }
  }

  struct Conversion {
    std::string from;
    std::string to;
    std::int64_t type;
  };

  OnnxGraph& graph_;
  const Fp16Settings& settings_;
  const Task& task_;
  Fp16Counts& counts_;
  std::set<std::string> floats_;           // values that are FP32 in the original
  std::set<std::string> made_;             // that chosen nodes make
  std::set<std::string> half_uses_;        // that chosen nodes take in half precision
  std::set<std::string> own_;              // that are half precision under their own name
  std::map<int, onnx::NodeProto> chosen_;  // by their place in the graph, as they were
  std::map<std::string, bool> halves_;     // constants that were looked at
  std::map<std::string, std::string> names_;
  std::vector<Conversion> casts_;
};

}  // namespace

Result<void> compute_half(OnnxGraph& graph, const Fp16Settings& settings, const Task& task,
                          Fp16Counts& counts) {
  return Halver(graph, settings, task, counts).run();
}

}  // namespace sluice::tools::compress
