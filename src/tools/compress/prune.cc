// Pruning by magnitude (the L1 norm): the smallest weights say least (Han and others, "Learning
// both weights and connections for efficient neural networks", 2015). Nothing is trained again
// afterwards.
#include "tools/compress/prune.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>

#include "base/text.h"
#include "tools/compress/builtin.h"
#include "tools/compress/input_scales.h"
#include "tools/compress/magnitude.h"
#include "tools/compress/stopped.h"

namespace sluice::tools::compress {

namespace {

// One of two words.
auto either(std::string_view a, std::string_view b) {
  return [a, b](const std::string& word) -> std::optional<std::string> {
    if (word == a || word == b) return std::nullopt;
    return "expected " + std::string(a) + " or " + std::string(b);
  };
}

}  // namespace

const Schema<PruneSettings>& PruneSettings::schema() {
  static const auto kSchema =
      Schema<PruneSettings>()
          .option<std::string>(
              "structure", &PruneSettings::structure,
              "unstructured (single weights become zero) or channels (output channels of Conv and "
              "units of Gemm and MatMul are removed: smaller and faster)",
              either("unstructured", "channels"))
          .option<std::string>(
              "scope", &PruneSettings::scope,
              "global (the least of the whole model) or layer (this share of each)",
              either("global", "layer"))
          .option<double>("sparsity", &PruneSettings::sparsity,
                          "the share of weights or channels that goes", between(0.0, 0.99))
          .option("compact", &PruneSettings::compact,
                  "weights with many zeros are kept as sparse tensors where that is smaller")
          .option("leave", &PruneSettings::leave, "names of nodes that are left alone");
  return kSchema;
}

std::string weight_behind(OnnxGraph& graph, const std::string& value) {
  const auto* tensor = graph.constant(value);
  if (!tensor) {
    const auto* const maker = graph.maker(value);
    if (!maker || maker->op_type() != "Cast") return {};
    tensor = graph.constant(maker->input(0));
  }
  const bool floats = tensor && (tensor->data_type() == onnx::TensorProto::FLOAT ||
                                 tensor->data_type() == onnx::TensorProto::FLOAT16);
  return floats ? tensor->name() : std::string();
}

std::vector<PrunableLayer> prunable_layers(OnnxGraph& graph, const PruneSettings& settings) {
  std::vector<PrunableLayer> out;
  for (const auto& node : graph.graph().node()) {
    const std::string_view op = node.op_type();
    if (op != "Conv" && op != "Gemm" && op != "MatMul") continue;
    if (node.input_size() < 2 || node.output_size() < 1) continue;
    const auto name = node.name().empty() ? node.output(0) : node.name();
    if (std::ranges::find(settings.leave, name) != settings.leave.end()) continue;
    const auto weight = weight_behind(graph, node.input(1));
    if (weight.empty() || graph.constant(weight)->dims_size() < 2) continue;
    out.push_back({name, node.op_type(), node.output(0), weight, node.input(0), {}});
  }
  return out;
}

namespace {

// Each weight once, whatever shares it.
std::vector<PrunableLayer> distinct(std::vector<PrunableLayer> layers) {
  std::set<std::string> seen;
  std::erase_if(layers, [&](const auto& layer) { return !seen.insert(layer.weight).second; });
  return layers;
}

std::uint64_t share_of(double share, std::uint64_t count) {
  return static_cast<std::uint64_t>(std::floor(share * static_cast<double>(count) + 1e-9));
}

// The number that divides the smallest `share` of these layers' weights from the rest.
Result<Threshold> find_threshold(OnnxGraph& graph, std::span<const PrunableLayer> layers,
                                 double share, const Task& task) {
  std::uint64_t all = 0;
  for (const auto& layer : layers) all += elements_of(*graph.constant(layer.weight));
  LeastOf least(share_of(share, all));
  for (const bool first : {true, false}) {
    for (const auto& layer : layers) {
      if (task.stop) return stopped();
      SLUICE_TRY(const auto values, weight_scores(graph, layer));
      first ? least.count(values) : least.refine(values);
    }
  }
  return least.threshold();
}

// What is taken becomes zero; returns how many are zero then.
Result<std::uint64_t> make_zero(OnnxGraph& graph, const PrunableLayer& layer,
                                Threshold& threshold) {
  auto& tensor = *graph.constant(layer.weight);
  SLUICE_TRY(auto raw, graph.bytes(tensor));
  SLUICE_TRY(const auto values, graph.floats(tensor));
  SLUICE_TRY(const auto scores, weight_scores(graph, layer));
  const std::size_t size = raw.size() / std::max<std::size_t>(values.size(), 1);
  std::uint64_t zeros = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const bool taken = takes(threshold, scores[i]);
    if (taken) std::memset(raw.data() + i * size, 0, size);
    if (taken || values[i] == 0) ++zeros;
  }
  tensor = tensor_of(tensor.name(), dims_of(tensor), tensor.data_type(), std::move(raw));
  return zeros;
}

// SparseTensorProto in its form with one position a number (onnx.proto, "linearized"): a number
// takes eight bytes more, so that zeros must be most of them.
std::optional<onnx::SparseTensorProto> sparse_of(const onnx::TensorProto& tensor,
                                                 std::uint64_t zeros) {
  const auto count = elements_of(tensor);
  const auto size = tensor.raw_data().size() / std::max<std::uint64_t>(count, 1);
  const auto kept = count - zeros;
  if (kept == 0 || kept * (size + sizeof(std::int64_t)) + 64 > count * size) return std::nullopt;
  std::string values;
  std::vector<std::int64_t> places;
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::string_view bytes(tensor.raw_data().data() + i * size, size);
    // -0.0 is a number of its own here, and kept.
    if (std::ranges::all_of(bytes, [](char byte) { return byte == 0; })) continue;
    values += bytes;
    places.push_back(static_cast<std::int64_t>(i));
  }
  const std::int64_t dims[] = {static_cast<std::int64_t>(places.size())};
  onnx::SparseTensorProto out;
  *out.mutable_values() = tensor_of("", dims, tensor.data_type(), std::move(values));
  *out.mutable_indices() = tensor_of("", dims, std::span<const std::int64_t>(places));
  for (const auto dim : tensor.dims()) out.add_dims(dim);
  return out;
}

// Gives a weight as a Constant of a sparse tensor, if that is smaller. (A sparse initializer would
// do for ONNX Runtime, but ONNX's own type inference takes it for a value of another kind, which
// Conv and MatMul do not take.)
bool make_sparse(OnnxGraph& graph, const std::string& name, std::uint64_t zeros) {
  constexpr int kFirstOpset = 11;  // of `sparse_value`
  if (graph.opset() < kFirstOpset || graph.is_output(name)) return false;
  auto sparse = sparse_of(*graph.constant(name), zeros);
  if (!sparse) return false;
  auto& node = graph.add_node("Constant", graph.fresh_name(name + "_sparse"), {}, {name});
  auto& value = *node.add_attribute();
  value.set_name("sparse_value");
  value.set_type(onnx::AttributeProto::SPARSE_TENSOR);
  *value.mutable_sparse_tensor() = std::move(*sparse);
  return true;
}

void remove_initializers(OnnxGraph& graph, const std::set<std::string>& names) {
  auto& constants = *graph.graph().mutable_initializer();
  constants.erase(std::remove_if(constants.begin(), constants.end(),
                                 [&](const auto& tensor) { return names.contains(tensor.name()); }),
                  constants.end());
}

Result<void> prune_weights(OnnxGraph& graph, const PruneSettings& settings,
                           std::vector<PrunableLayer> found, const Task& task, Made& made) {
  const auto layers = distinct(std::move(found));
  Threshold threshold;
  const bool global = settings.scope == "global";
  if (global) {
    SLUICE_TRY(threshold, find_threshold(graph, layers, settings.sparsity, task));
  }
  std::uint64_t all = 0;
  std::uint64_t zero = 0;
  std::set<std::string> sparse;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    if (task.stop) return stopped();
    const auto& layer = layers[i];
    task.progress(layer.node, static_cast<double>(i) / static_cast<double>(layers.size()));
    if (!global) {
      SLUICE_TRY(threshold, find_threshold(graph, {&layer, 1}, settings.sparsity, task));
    }
    const auto count = elements_of(*graph.constant(layer.weight));
    SLUICE_TRY(const auto zeros, make_zero(graph, layer, threshold));
    if (settings.compact && make_sparse(graph, layer.weight, zeros)) sparse.insert(layer.weight);
    made.details["layers"].push_back(
        {{"name", layer.node},
         {"op", layer.op},
         {"weights", count},
         {"zeros", zeros},
         {"sparsity",
          static_cast<double>(zeros) / static_cast<double>(std::max<std::uint64_t>(count, 1))},
         {"kept", sparse.contains(layer.weight) ? "sparse" : "dense"}});
    all += count;
    zero += zeros;
  }
  remove_initializers(graph, sparse);
  made.details["weights"] = all;
  made.details["zeros"] = zero;
  made.notes.push_back(std::to_string(zero) + " of " + std::to_string(all) + " weights in " +
                       std::to_string(layers.size()) +
                       " layers are zero; that makes nothing faster by itself: ONNX Runtime "
                       "multiplies by zeros as by any number (`structure=channels` is faster)");
  made.notes.push_back(
      sparse.empty()
          ? "the file is as large as before: a sparse tensor is only smaller where more than two "
            "thirds of its numbers are zero"
          : std::to_string(sparse.size()) +
                " weights are kept as sparse tensors; loaded, they take "
                "as much memory as before, and methods that come after this one leave them alone");
  return {};
}

class Prune final : public Method {
 public:
  std::string_view name() const override { return "prune"; }
  std::string_view help() const override {
    return "the weights or the channels with the smallest magnitudes are removed";
  }
  std::vector<OptionInfo> settings() const override { return PruneSettings::schema().describe(); }
  Result<void> check(const Node& settings) const override {
    return check_settings<PruneSettings>(settings);
  }
  std::vector<std::string> variants() const override {
    return {"", "structure=channels,scope=layer,sparsity=0.25",
            "structure=channels,scope=layer,sparsity=0.5"};
  }

  Result<Made> make(const Task& task) const override {
    SLUICE_TRY(const auto settings, read_settings<PruneSettings>(task.settings));
    SLUICE_TRY(auto graph, OnnxGraph::open(task.from));
    graph.take_constants();
    SLUICE_CHECK(graph.settle());
    auto layers = prunable_layers(graph, settings);
    if (layers.empty()) {
      return invalid("not_compressible",
                     "the model has no Conv, Gemm or MatMul with constant FP32 or FP16 weights "
                     "that may be pruned; prune before quantising");
    }
    Made out;
    out.file = task.to / "model.onnx";
    out.details["settings"] = {{"structure", settings.structure},
                               {"scope", settings.scope},
                               {"sparsity", settings.sparsity}};
    out.details["layers"] = nlohmann::json::array();
    for (const auto& node : graph.graph().node()) {
      if (!OnnxGraph::has_subgraph(node)) continue;
      out.notes.push_back("the graphs inside " + node.op_type() + " are left alone");
    }
    SLUICE_CHECK(measure_inputs(graph, task, layers));
    if (!task.calibration) {
      out.notes.emplace_back(
          "no calibration data: weights were compared by themselves, which is wrong of inputs of "
          "different sizes; give some for weights times what they are multiplied by");
    }
    SLUICE_CHECK(settings.structure == "channels"
                     ? prune_channels(graph, settings, std::move(layers), task, out)
                     : prune_weights(graph, settings, std::move(layers), task, out));
    SLUICE_CHECK(graph.settle());
    SLUICE_CHECK(graph.save(out.file));
    return out;
  }
};

}  // namespace

std::unique_ptr<const Method> make_prune() { return std::make_unique<Prune>(); }

}  // namespace sluice::tools::compress
