#include "tools/compress/input_scales.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "tools/compress/rehearsal.h"

namespace sluice::tools::compress {
namespace {

constexpr std::size_t kMostRows = 1024;

struct Sum {
  std::vector<double> squares;  // of each feature or channel
  double count = 0;             // of values of each
};

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
  std::vector<std::string> values;  // each once, whoever takes it
  std::vector<bool> conv;
  for (const auto& layer : layers) {
    if (std::ranges::find(values, layer.input) != values.end()) continue;
    values.push_back(layer.input);
    conv.push_back(layer.op == "Conv");
  }
  std::vector<Sum> sums(values.size());
  const auto see = [&](std::span<const TensorView> outputs, std::size_t) -> Result<void> {
    for (std::size_t i = 0; i < sums.size(); ++i) add(outputs[i], conv[i], sums[i]);
    return {};
  };
  SLUICE_CHECK(rehearse(graph, values, task.to / "watched.onnx", task, kMostRows, see));
  for (auto& layer : layers) {
    const auto place = std::ranges::find(values, layer.input) - values.begin();
    layer.scales = roots(sums[static_cast<std::size_t>(place)]);
  }
  return {};
}

Result<std::vector<float>> weight_scores(OnnxGraph& graph, const PrunableLayer& layer) {
  const auto& tensor = *graph.constant(layer.weight);
  SLUICE_TRY(auto out, graph.floats(tensor));
  for (auto& score : out) score = std::abs(score);
  if (layer.scales.empty()) return out;
  const double before = std::accumulate(out.begin(), out.end(), 0.0);
  const auto dims = dims_of(tensor);
  const auto& node = *graph.maker(layer.output);
  for (std::size_t i = 0; i < out.size(); ++i) {
    const auto feature = feature_of(node, dims, i);
    if (feature < layer.scales.size()) out[i] *= layer.scales[feature];
  }
  const double after = std::accumulate(out.begin(), out.end(), 0.0);
  const double back = before / after;
  if (!(std::isfinite(back) && back > 0)) return out;
  for (auto& score : out) score = static_cast<float>(score * back);
  return out;
}

}  // namespace sluice::tools::compress
