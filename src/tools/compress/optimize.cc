// Constant folding and fusion of nodes, as ONNX Runtime does it whenever it loads a model, saved:
// the next load has less to do. Only what any processor runs is kept: layouts that are chosen for
// this one are not.
#include <algorithm>

#include "engines/onnx_optimize.h"
#include "tools/compress/builtin.h"
#include "tools/compress/onnx_graph.h"

namespace sluice::tools::compress {
namespace {

struct Settings {
  std::string level = "extended";
  static const Schema<Settings>& schema() {
    static const auto kSchema = Schema<Settings>().option<std::string>(
        "level", &Settings::level,
        "basic (only standard operators are left) or extended (with ONNX Runtime's fused ones)",
        [](const std::string& level) -> std::optional<std::string> {
          if (level == "basic" || level == "extended") return std::nullopt;
          return "expected basic or extended";
        });
    return kSchema;
  }
};

// ONNX Runtime knows its LayerNormalization in every version; others do only since 17.
bool opset_lacks_norm(const Task& task, const std::filesystem::path& file) {
  const auto graph = OnnxGraph::open(file, task.from.parent_path());
  if (!graph || graph->opset() >= 17) return false;
  return std::ranges::any_of(graph->graph().node(), [](const onnx::NodeProto& node) {
    return is_standard(node) && node.op_type() == "LayerNormalization";
  });
}

class Optimize final : public Method {
 public:
  std::string_view name() const override { return "optimize"; }
  std::string_view help() const override {
    return "constant folding and fusion of nodes, done once instead of at each load";
  }
  std::vector<OptionInfo> settings() const override { return Settings::schema().describe(); }
  Result<void> check(const Node& settings) const override {
    return check_settings<Settings>(settings);
  }

  Result<Made> make(const Task& task) const override {
    SLUICE_TRY(const auto settings, read_settings<Settings>(task.settings));
    SLUICE_TRY(const auto before, OnnxGraph::open(task.from));
    Made out;
    out.file = task.to / "model.onnx";
    const bool extended = settings.level == "extended";
    SLUICE_CHECK(engines::save_optimized(task.from, out.file, extended));
    if (extended && opset_lacks_norm(task, out.file)) {
      SLUICE_CHECK(engines::save_optimized(task.from, out.file, false));
      out.notes.push_back(
          "nodes were not fused: LayerNormalization, which they would become, is of "
          "opset 17, and the model of " +
          std::to_string(before.opset()));
    }
    // ONNX Runtime writes nothing of weights that are in other files: they stay where they were.
    SLUICE_TRY(const auto after, OnnxGraph::open(out.file, task.from.parent_path()));
    const auto& weights = after.graph().initializer();
    if (std::ranges::any_of(weights, is_external)) SLUICE_CHECK(after.save(out.file));
    out.details["nodes_before"] = before.graph().node_size();
    out.details["nodes"] = after.graph().node_size();
    if (after.graph().node_size() >= before.graph().node_size()) {
      out.notes.emplace_back("there was nothing to fold or to fuse");
    }
    return out;
  }
};

}  // namespace

std::unique_ptr<const Method> make_optimize() { return std::make_unique<Optimize>(); }

}  // namespace sluice::tools::compress
