// FP16: half the bytes for the same model.
//
// ONNX Runtime's kernels for x86 processors compute in FP32: it puts Casts into an FP16 graph
// (measured with 1.30: four layers of 1024 by 1024 take the same time in FP32, with weights kept in
// FP16 and in mode graph; a CNN whose normalisations are fused otherwise takes a quarter longer in
// mode graph). So the default changes how weights are kept and not what is computed; ONNX Runtime
// makes them FP32 once, while it loads. `mode: graph` is for devices that compute in FP16.
#include "tools/compress/fp16.h"

#include <algorithm>

#include "base/name_list.h"
#include "base/text.h"
#include "tools/compress/builtin.h"
#include "tools/compress/half_tensor.h"
#include "tools/compress/stopped.h"

namespace sluice::tools::compress {

const Schema<Fp16Settings>& Fp16Settings::schema() {
  static const auto kSchema =
      Schema<Fp16Settings>()
          .option<std::string>(
              "mode", &Fp16Settings::mode,
              "weights (kept in FP16, computed in FP32: half the bytes, the same speed) or graph "
              "(computed in FP16 too: for devices that do that; processors gain nothing)",
              [](const std::string& mode) -> std::optional<std::string> {
                if (mode == "weights" || mode == "graph") return std::nullopt;
                return "expected weights or graph";
              })
          .option("keep_io", &Fp16Settings::keep_io,
                  "with mode graph: inputs and outputs of the model stay FP32")
          .option("clip", &Fp16Settings::clip,
                  "numbers beyond FP16's range become ±65504; else their tensor stays FP32")
          .option<double>("max_error", &Fp16Settings::max_error,
                          "a tensor whose error is a larger share of it than this stays FP32",
                          between(0.0, 1.0));
  return kSchema;
}

bool must_stay_float(const onnx::NodeProto& node, int input) {
  const std::string_view op = node.op_type();
  if (op.ends_with("Normalization") || op.ends_with("LayerNorm") || op.starts_with("Quantize") ||
      op.starts_with("Dequantize") || op.starts_with("QLinear") ||
      op.starts_with("DynamicQuantize") || op == "Resize" || op == "Upsample" || op == "Range") {
    return input > 0 || op == "Range";
  }
  return op == "TopK" || op == "CumSum" || op == "NonMaxSuppression" || op == "RoiAlign";
}

Result<std::optional<onnx::TensorProto>> half_of(const OnnxGraph& graph,
                                                 const onnx::TensorProto& tensor,
                                                 std::string_view name,
                                                 const Fp16Settings& settings, Fp16Counts& counts) {
  SLUICE_TRY(const auto values, graph.floats(tensor));
  auto half = to_half(values, settings.clip);
  counts.layers.push_back({{"name", tensor.name()},
                           {"elements", values.size()},
                           {"error", half.error},
                           {"beyond_range", half.beyond},
                           {"became_zero", half.lost}});
  auto& layer = counts.layers.back();
  layer["kept"] = "FP32";
  if (half.beyond > 0 && !settings.clip) {
    counts.beyond.push_back(tensor.name());
    return std::nullopt;
  }
  if (half.error > settings.max_error) {
    counts.inexact.push_back(tensor.name());
    return std::nullopt;
  }
  layer["kept"] = "FP16";
  ++counts.tensors;
  counts.lost += half.lost;
  counts.clipped += half.beyond;
  return tensor_of(name, dims_of(tensor), onnx::TensorProto::FLOAT16, std::move(half.raw));
}

namespace {

// A Cast node is about this long in the file, beside its names.
constexpr std::uint64_t kCastBytes = 40;

bool pays(const onnx::TensorProto& tensor) {
  return 2 * elements_of(tensor) > kCastBytes + 4 * tensor.name().size();
}

// Weights that may be kept otherwise: FP32, large enough, and nobody's statistics.
std::vector<std::string> candidates(OnnxGraph& graph) {
  std::vector<std::string> out;
  for (const auto& tensor : graph.graph().initializer()) {
    if (tensor.data_type() != onnx::TensorProto::FLOAT || !pays(tensor)) continue;
    if (!graph.constant(tensor.name()) || graph.is_output(tensor.name())) continue;
    const auto takers = graph.takers(tensor.name());
    const bool stays = std::ranges::any_of(takers, [&](const onnx::NodeProto* node) {
      for (int i = 0; i < node->input_size(); ++i) {
        if (node->input(i) == tensor.name() && must_stay_float(*node, i)) return true;
      }
      return false;
    });
    if (!stays) out.push_back(tensor.name());
  }
  return out;
}

class Fp16 final : public Method {
 public:
  std::string_view name() const override { return "fp16"; }
  std::string_view help() const override { return "weights in half precision: half the bytes"; }
  std::vector<OptionInfo> settings() const override { return Fp16Settings::schema().describe(); }
  Result<void> check(const Node& settings) const override {
    return check_settings<Fp16Settings>(settings);
  }

  Result<Made> make(const Task& task) const override {
    SLUICE_TRY(const auto settings, read_settings<Fp16Settings>(task.settings));
    SLUICE_TRY(auto graph, OnnxGraph::open(task.from));
    if (graph.opset() < 7) {
      return invalid("not_compressible",
                     "the model is of opset " + std::to_string(graph.opset()) +
                         ", and ONNX Runtime's FP16 begins with 7; convert it with "
                         "onnx.version_converter.convert_version(model, 17), or export it anew");
    }
    graph.take_constants();
    SLUICE_CHECK(graph.settle());
    const auto before = graph.weight_bytes();
    Fp16Counts counts;
    const bool whole = settings.mode == "graph";
    SLUICE_CHECK(whole ? compute_half(graph, settings, task, counts)
                       : store_half(graph, settings, task, counts));
    if (counts.tensors == 0 && counts.nodes == 0) return nothing(counts);
    SLUICE_CHECK(graph.settle());
    Made out;
    out.file = task.to / "model.onnx";
    SLUICE_CHECK(graph.save(out.file));
    describe(counts, settings, out);
    out.details["weight_bytes_before"] = before;
    out.details["weight_bytes"] = graph.weight_bytes();
    return out;
  }

 private:
  static Failure nothing(const Fp16Counts& counts) {
    if (!counts.beyond.empty() || !counts.inexact.empty()) {
      return invalid(
          "not_compressible",
          "no tensor of the model would be right in FP16: " + std::to_string(counts.beyond.size()) +
              " have numbers beyond ±65504, " + std::to_string(counts.inexact.size()) +
              " would lose more than `max_error`; leave the model in FP32");
    }
    return invalid("not_compressible",
                   "the model has no FP32 weights that would be smaller in FP16: they are few, "
                   "of another type (FP16 or quantised already), or callers may replace them");
  }

  static void describe(const Fp16Counts& counts, const Fp16Settings& settings, Made& out) {
    if (settings.mode == "weights") {
      out.notes.emplace_back(
          "weights are kept in FP16 and computed with in FP32: the file is smaller, while memory "
          "and speed after loading stay what they were");
    } else {
      out.notes.emplace_back(
          "the graph computes in FP16; ONNX Runtime computes most of it in FP32 on processors, "
          "with conversions around it, so trust only a measurement that it is faster");
    }
    if (!counts.beyond.empty()) {
      out.notes.push_back(name_list(counts.beyond, 3) +
                          (counts.beyond.size() == 1 ? " stays" : " stay") +
                          " FP32: numbers beyond ±65504 (`clip: true` clips them)");
    }
    if (!counts.inexact.empty()) {
      out.notes.push_back(name_list(counts.inexact, 3) +
                          (counts.inexact.size() == 1 ? " stays" : " stay") +
                          " FP32: the numbers are too small for FP16's precision");
    }
    if (counts.clipped > 0) {
      out.notes.push_back(std::to_string(counts.clipped) + " weights were clipped to ±65504");
    }
    if (counts.lost > 0) {
      out.notes.push_back(std::to_string(counts.lost) +
                          " weights became zero: below half of FP16's smallest number, 2^-24");
    }
    std::vector<std::string> ops;
    for (const auto& [op, count] : counts.left_alone)
      ops.push_back(std::to_string(count) + " " + op);
    if (!ops.empty()) out.notes.push_back("left in FP32: " + join_and(ops));
    out.details["settings"] = {{"mode", settings.mode},
                               {"keep_io", settings.keep_io},
                               {"clip", settings.clip},
                               {"max_error", settings.max_error}};
    out.details["tensors"] = counts.tensors;
    out.details["nodes_in_fp16"] = counts.nodes;
    out.details["layers"] = counts.layers;
  }
};

}  // namespace

Result<void> store_half(OnnxGraph& graph, const Fp16Settings& settings, const Task& task,
                        Fp16Counts& counts) {
  for (const auto& node : graph.graph().node()) {
    if (OnnxGraph::has_subgraph(node)) ++counts.left_alone["graph inside " + node.op_type()];
  }
  const auto names = candidates(graph);
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (task.stop) return stopped();
    task.progress(names[i], static_cast<double>(i) / static_cast<double>(names.size()));
    // Adding nodes moves no initializer, so this pointer is good although the index is old.
    auto* const tensor = graph.constant(names[i]);
    SLUICE_TRY(auto half,
               half_of(graph, *tensor, graph.fresh_name(names[i] + "_fp16"), settings, counts));
    if (!half) continue;
    *tensor = std::move(*half);
    auto& cast =
        graph.add_node("Cast", graph.fresh_name(names[i] + "_cast"), {tensor->name()}, {names[i]});
    set_attribute(cast, "to", std::int64_t{onnx::TensorProto::FLOAT});
  }
  return {};
}

std::unique_ptr<const Method> make_fp16() { return std::make_unique<Fp16>(); }

}  // namespace sluice::tools::compress
