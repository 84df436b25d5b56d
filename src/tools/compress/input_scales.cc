#include "tools/compress/input_scales.h"

#include <algorithm>
#include <cmath>
#include <map>

namespace sluice::tools::compress {
namespace {

constexpr std::size_t kMostRows = 1024;

struct Sum {
  std::vector<double> squares;  // of each feature or channel
  double count = 0;             // of values of each
};
using Sums = std::map<std::string, Sum>;  // by the layer's input

// Channels are the second dimension of what a Conv takes, and the last of what others do.
void add(const TensorView& view, bool conv, Sum& sum) {
  const auto dims = view.shape.dims();
  if (view.dtype != DType::kFloat32 || dims.size() < 2) return;
  const std::size_t axis = conv ? 1 : dims.size() - 1;
  const auto channels = static_cast<std::size_t>(dims[axis]);
  std::size_t inner = 1;
  for (std::size_t i = axis + 1; i < dims.size(); ++i) inner *= static_cast<std::size_t>(dims[i]);
  const auto values = view.as<float>();
  if (channels == 0 || values.empty()) return;
  sum.squares.resize(channels);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double value = values[i];
    sum.squares[i / inner % channels] += value * value;
  }
  sum.count += static_cast<double>(values.size() / channels);
}

// The model with every layer's input as an output.
Result<std::unique_ptr<Model>> watched(const OnnxGraph& graph, const Task& task,
                                       std::span<const PrunableLayer> layers) {
  OnnxGraph copy = graph;
  for (const auto& layer : layers) {
    const bool given = std::ranges::any_of(
        graph.graph().input(), [&](const auto& value) { return value.name() == layer.input; });
    const bool there = std::ranges::any_of(
        copy.graph().output(), [&](const auto& value) { return value.name() == layer.input; });
    if (!given && !there) copy.graph().add_output()->set_name(layer.input);
  }
  const auto file = task.to / "watched.onnx";
  SLUICE_CHECK(copy.save(file));
  auto model = task.lab.load(file);
  std::error_code ignored;
  std::filesystem::remove(file, ignored);
  std::filesystem::remove(file.native() + ".data", ignored);
  return model;
}

Result<void> run(const Model& model, const DatasetBatch& batch,
                 std::span<const PrunableLayer> layers, Sums& sums) {
  const auto& signature = model.signature();
  std::vector<TensorView> outputs(signature.outputs.size());
  Arena arena;
  SLUICE_CHECK(model.run(batch.inputs, outputs, arena));
  std::map<std::string, const TensorView*> values;
  for (std::size_t i = 0; i < outputs.size(); ++i) values[signature.outputs[i].name] = &outputs[i];
  for (std::size_t i = 0; i < batch.inputs.size(); ++i) {
    values[signature.inputs[i].name] = &batch.inputs[i];
  }
  std::map<std::string, bool> conv;  // each value once, whoever takes it
  for (const auto& layer : layers) conv[layer.input] = layer.op == "Conv";
  for (const auto& [name, is_conv] : conv) {
    const auto found = values.find(name);
    if (found != values.end()) add(*found->second, is_conv, sums[name]);
  }
  return {};
}

std::vector<float> roots(const Sum& sum) {
  std::vector<float> out;
  for (const double squares : sum.squares) {
    out.push_back(static_cast<float>(std::sqrt(squares / sum.count)));
    if (!std::isfinite(out.back())) return {};
  }
  return out;
}

// Which input feature or channel a weight belongs to.
std::size_t feature_of(const onnx::NodeProto& node, std::span<const std::int64_t> dims,
                       std::size_t at) {
  if (node.op_type() != "Conv") {
    const auto columns = static_cast<std::size_t>(dims.back());
    const bool transposed = attribute_int(node, "transB", 0) != 0;
    return transposed ? at % columns
                      : at / columns % static_cast<std::size_t>(dims[dims.size() - 2]);
  }
  std::size_t kernel = 1;
  for (std::size_t i = 2; i < dims.size(); ++i) kernel *= static_cast<std::size_t>(dims[i]);
  const auto width = static_cast<std::size_t>(dims[1]);  // input channels of a group
  const auto groups =
      static_cast<std::size_t>(std::max<std::int64_t>(attribute_int(node, "group", 1), 1));
  const auto output = at / kernel / width;
  const auto group = output * groups / static_cast<std::size_t>(dims[0]);
  return group * width + at / kernel % width;
}

}  // namespace

Result<void> measure_inputs(const OnnxGraph& graph, const Task& task,
                            std::span<PrunableLayer> layers) {
  if (!task.calibration) return {};
  SLUICE_TRY(const auto model, watched(graph, task, layers));
  Sums sums;
  for (const auto& batch : task.calibration->batches()) {
    if (batch.first >= kMostRows) break;
    if (task.stop) return fail(Code::kCancelled, "cancelled", "stopped while inputs were measured");
    SLUICE_CHECK(run(*model, batch, layers, sums));
  }
  for (auto& layer : layers) layer.scales = roots(sums[layer.input]);
  return {};
}

Result<std::vector<float>> weight_scores(OnnxGraph& graph, const PrunableLayer& layer) {
  const auto& tensor = *graph.constant(layer.weight);
  SLUICE_TRY(auto out, graph.floats(tensor));
  const auto dims = dims_of(tensor);
  const auto& node = *graph.maker(layer.output);
  for (std::size_t i = 0; i < out.size(); ++i) {
    out[i] = std::abs(out[i]);
    if (layer.scales.empty()) continue;
    const auto feature = feature_of(node, dims, i);
    if (feature < layer.scales.size()) out[i] *= layer.scales[feature];
  }
  return out;
}

}  // namespace sluice::tools::compress
