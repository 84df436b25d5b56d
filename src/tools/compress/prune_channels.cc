// Structured pruning: channels with the smallest L1 norm of their weights (Li and others, "Pruning
// filters for efficient ConvNets", ICLR 2017) are removed for real, so that shapes shrink.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <set>

#include "base/text.h"
#include "tools/compress/channel_flow.h"
#include "tools/compress/input_scales.h"
#include "tools/compress/prune.h"
#include "tools/compress/stopped.h"

namespace sluice::tools::compress {
namespace {

struct Layer {
  PrunableLayer what;
  ChannelFlow flow;
  std::vector<double> scores;  // of its channels
  std::vector<bool> kept;
};

struct Candidate {
  double score = 0;
  std::size_t layer = 0;
  std::size_t channel = 0;
  auto operator<=>(const Candidate&) const = default;
};

// The mean magnitude of each channel's weights, as a multiple of the layer's: what a layer's
// numbers are scaled by says nothing, since the next layer can undo it.
Result<std::vector<double>> scores_of(OnnxGraph& graph, const PrunableLayer& layer, int axis) {
  const auto& tensor = *graph.constant(layer.weight);
  SLUICE_TRY(const auto values, weight_scores(graph, layer));
  const auto channels = static_cast<std::size_t>(tensor.dims(axis));
  std::size_t inner = 1;
  for (int i = axis + 1; i < tensor.dims_size(); ++i)
    inner *= static_cast<std::size_t>(tensor.dims(i));
  std::vector<double> out(channels);
  for (std::size_t i = 0; i < values.size(); ++i) out[i / inner % channels] += values[i];
  const double all = std::accumulate(out.begin(), out.end(), 0.0);
  for (auto& score : out) {
    score = all > 0 ? score * static_cast<double>(channels) / all : 0;
    if (!std::isfinite(score)) score = HUGE_VAL;  // NaN is nothing to remove without being asked
  }
  return out;
}

// Marks the least `share` of these layers' channels; one of each layer stays at least.
void choose(std::span<Layer> layers, double share) {
  std::vector<Candidate> all;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    for (std::size_t c = 0; c < layers[i].scores.size(); ++c) {
      all.push_back({layers[i].scores[c], i, c});
    }
  }
  std::ranges::sort(all);
  auto wanted = static_cast<std::size_t>(share * static_cast<double>(all.size()) + 1e-9);
  for (const auto& candidate : all) {
    if (wanted == 0) return;
    auto& kept = layers[candidate.layer].kept;
    if (std::ranges::count(kept, true) == 1) continue;
    kept[candidate.channel] = false;
    --wanted;
  }
}

// The tensor without the channels that are not kept.
Result<void> apply(OnnxGraph& graph, const ChannelCut& cut, const std::vector<bool>& kept) {
  auto& tensor = *graph.constant(cut.tensor);
  SLUICE_TRY(const auto raw, graph.bytes(tensor));
  auto dims = dims_of(tensor);
  const auto axis = static_cast<std::size_t>(cut.axis);
  std::size_t outer = 1;
  for (std::size_t i = 0; i < axis; ++i) outer *= static_cast<std::size_t>(dims[i]);
  // Bytes of one channel in one row of what is before the axis.
  const std::size_t size = raw.size() / outer / kept.size();
  std::string out;
  for (std::size_t row = 0; row < outer; ++row) {
    for (std::size_t channel = 0; channel < kept.size(); ++channel) {
      if (kept[channel]) out.append(raw, (row * kept.size() + channel) * size, size);
    }
  }
  dims[axis] = std::ranges::count(kept, true) * cut.block;
  tensor = tensor_of(tensor.name(), dims, tensor.data_type(), std::move(out));
  return {};
}

// A Reshape to [rows, features] says the new number of features; its old shape may have other
// users.
void reshape(OnnxGraph& graph, const std::string& output, std::int64_t before, std::int64_t after) {
  auto& node = *graph.maker(output);
  std::int64_t shape[2] = {0, 0};
  const auto raw = graph.bytes(*graph.constant(node.input(1)));
  std::memcpy(shape, raw->data(), sizeof shape);
  shape[1] = shape[1] / before * after;
  const auto name = graph.fresh_name(output + "_shape");
  const std::int64_t dims[] = {2};
  *graph.graph().add_initializer() = tensor_of(name, dims, std::span<const std::int64_t>(shape));
  node.set_input(1, name);
}

void forget_shapes(OnnxGraph& graph, const std::set<std::string>& values) {
  auto& said = *graph.graph().mutable_value_info();
  said.erase(std::remove_if(said.begin(), said.end(),
                            [&](const auto& value) { return values.contains(value.name()); }),
             said.end());
}

// The layers whose channels can be followed; the others are reported.
Result<std::vector<Layer>> find_layers(OnnxGraph& graph, std::vector<PrunableLayer> found,
                                       Made& made) {
  std::vector<Layer> out;
  for (auto& what : found) {
    auto flow = follow_channels(graph, what);
    auto& report = made.details["layers"].emplace_back(
        nlohmann::json{{"name", what.node}, {"op", what.op}, {"channels_before", flow.channels}});
    if (!flow.reason.empty()) {
      report["channels"] = flow.channels;
      report["left_alone"] = flow.reason;
      made.notes.push_back("'" + printable(what.node) + "' keeps its channels: " + flow.reason);
      continue;
    }
    SLUICE_TRY(auto scores, scores_of(graph, what, flow.weight.axis));
    std::vector<bool> kept(scores.size(), true);
    out.push_back({std::move(what), std::move(flow), std::move(scores), std::move(kept)});
  }
  return out;
}

Result<std::int64_t> shrink(OnnxGraph& graph, const Layer& layer) {
  const auto kept = std::ranges::count(layer.kept, true);
  if (kept == layer.flow.channels) return kept;
  SLUICE_CHECK(apply(graph, layer.flow.weight, layer.kept));
  for (const auto& cut : layer.flow.cuts) SLUICE_CHECK(apply(graph, cut, layer.kept));
  for (const auto& output : layer.flow.reshapes) {
    reshape(graph, output, layer.flow.channels, kept);
  }
  forget_shapes(graph, layer.flow.values);
  return kept;
}

}  // namespace

Result<void> prune_channels(OnnxGraph& graph, const PruneSettings& settings,
                            std::vector<PrunableLayer> found, const Task& task, Made& made) {
  SLUICE_TRY(auto layers, find_layers(graph, std::move(found), made));
  if (layers.empty()) {
    std::string why = made.notes.empty() ? "" : ": " + made.notes.back();
    return invalid("not_compressible", "no layer of the model has channels that can be removed" +
                                           why + "; `structure=unstructured` takes any layer");
  }
  if (settings.scope == "global") {
    choose(layers, settings.sparsity);
  } else {
    for (auto& layer : layers) choose({&layer, 1}, settings.sparsity);
  }
  std::int64_t all = 0;
  std::int64_t left = 0;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    if (task.stop) return stopped();
    const auto& layer = layers[i];
    task.progress(layer.what.node, static_cast<double>(i) / static_cast<double>(layers.size()));
    SLUICE_TRY(const auto kept, shrink(graph, layer));
    for (auto& report : made.details["layers"]) {
      if (report["name"] == layer.what.node) report["channels"] = kept;
    }
    all += layer.flow.channels;
    left += kept;
  }
  made.details["channels_before"] = all;
  made.details["channels"] = left;
  made.notes.insert(made.notes.begin(), std::to_string(all - left) + " of " + std::to_string(all) +
                                            " channels were removed from " +
                                            std::to_string(layers.size()) + " layers");
  return {};
}

}  // namespace sluice::tools::compress
