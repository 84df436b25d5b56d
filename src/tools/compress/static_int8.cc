// Weights and activations as 8-bit numbers, with ranges of activations that calibration rows gave:
// int8 weights with a scale for each channel, uint8 activations, int32 biases, written as
// QuantizeLinear and DequantizeLinear around the nodes (QDQ).
//
// 1. ONNX Runtime folds constants and fuses what the standard's operators can say (BatchNorm into
//    Conv, MatMul and Add into Gemm), so that fewer values need a range.
// 2. The calibration rows are run with the values to be quantised as outputs: a histogram of each.
// 3. They are run again with a quantised twin beside each node, which takes the same floats: the
//    error of each node by itself. Nodes beyond `max_node_error` stay in FP32.
#include <algorithm>

#include "engines/onnx_optimize.h"
#include "tools/compress/builtin.h"
#include "tools/compress/calibration.h"
#include "tools/compress/compact.h"
#include "tools/compress/int8_graph.h"
#include "tools/compress/opset_upgrade.h"
#include "tools/compress/rehearsal.h"
#include "tools/compress/static_plan.h"
#include "tools/compress/static_writer.h"

namespace sluice::tools::compress {
namespace {

namespace fs = std::filesystem;

struct Settings {
  std::string calibration = "percentile";
  double percentile = 99.99;
  bool per_channel = true;
  std::string reduce_range = "auto";
  double max_node_error = 0.1;
  std::int64_t rows = 1000;
  bool optimize = true;
  static const Schema<Settings>& schema() {
    static const auto kSchema =
        Schema<Settings>()
            .option<std::string>(
                "calibration", &Settings::calibration,
                "how activations' ranges are chosen: min-max, percentile or entropy",
                [](const std::string& word) -> std::optional<std::string> {
                  if (word == "min-max" || word == "percentile" || word == "entropy") {
                    return std::nullopt;
                  }
                  return "expected min-max, percentile or entropy";
                })
            .option<double>("percentile", &Settings::percentile,
                            "of the values that are within the range, for percentile",
                            between(50.0, 100.0))
            .option("per_channel", &Settings::per_channel,
                    "a scale for each channel of the weights, else one for all")
            .option<std::string>("reduce_range", &Settings::reduce_range,
                                 "weights of 7 bits, for processors without VNNI: auto (by this "
                                 "one), yes or no",
                                 check_reduce_range)
            .option<double>("max_node_error", &Settings::max_node_error,
                            "nodes whose outputs differ by more stay in FP32: the root of the "
                            "squares' sums' ratio",
                            between(0.0, 1000.0))
            .option<std::int64_t>("rows", &Settings::rows, "calibration rows that are used at most",
                                  between<std::int64_t>(1, 1'000'000))
            .option("optimize", &Settings::optimize,
                    "fold constants and fuse standard operators first");
    return kSchema;
  }
};

Range choose(const Histogram& histogram, const Settings& settings) {
  if (settings.calibration == "entropy") return entropy(histogram);
  if (settings.calibration == "min-max") return min_max(histogram);
  return percentile(histogram, settings.percentile);
}

// What is made on the way, removed at the end.
class Scratch {
 public:
  explicit Scratch(fs::path file) : file_(std::move(file)) {}
  ~Scratch() {
    std::error_code ignored;
    fs::remove(file_, ignored);
    fs::remove(file_.native() + ".data", ignored);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  const fs::path& file() const { return file_; }

 private:
  fs::path file_;
};

// One model on its way through the three steps.
class Quantising {
 public:
  Quantising(const Task& task, const Settings& settings)
      : task_(task),
        settings_(settings),
        range_(weight_range(settings.reduce_range)),
        rows_(std::min(static_cast<std::size_t>(settings.rows), task.calibration->rows())),
        base_(task.to / "float.onnx") {}

  Result<Made> run() {
    SLUICE_CHECK(prepare());
    SLUICE_CHECK(calibrate());
    SLUICE_CHECK(measure());
    return write();
  }

 private:
  Result<void> prepare() {
    task_.progress("folding constants", 0);
    const Scratch beside(task_.to / "beside.onnx");
    const Scratch folded(task_.to / "folded.onnx");
    // What is quantised already is refused before ONNX Runtime makes something else of it.
    SLUICE_TRY(auto graph, open_for_int8(task_.from, out_.notes));
    if (settings_.optimize) {
      // ONNX Runtime leaves weights in other files where they are and names them as the model did,
      // relative to itself: so they have to be in the same folder.
      const bool outside = std::ranges::any_of(graph.graph().initializer(), is_external);
      if (outside) SLUICE_CHECK(graph.save(beside.file()));
      const auto saved =
          engines::save_optimized(outside ? beside.file() : task_.from, folded.file(), false);
      if (!saved && saved.error().code == Code::kUnavailable) return saved;
      if (saved) {
        std::vector<std::string> said_already;
        SLUICE_TRY(graph, open_for_int8(folded.file(), said_already));
        drop_unused_domains(graph);
      } else {
        out_.notes.emplace_back(
            "ONNX Runtime cannot save it with constants folded (as of models "
            "beyond 2 GiB), so it is quantised as it is");
      }
    }
    SLUICE_CHECK(raise_opset(graph, 13, "int8 needs", out_.notes));
    const auto plan = plan_static(graph, skip_);
    out_.notes.insert(out_.notes.end(), plan.left_alone.begin(), plan.left_alone.end());
    if (plan.units.empty()) {
      const auto within = control_flow(graph);
      return not_compressible("no Conv, Gemm or MatMul has FP32 weights that are constants" +
                              (plan.left_alone.empty() ? "" : "; " + plan.left_alone.front()) +
                              (within.empty() ? "" : "; " + within));
    }
    return graph.save(base_.file());
  }

  Result<void> calibrate() {
    SLUICE_TRY(auto graph, OnnxGraph::open(base_.file()));
    SLUICE_TRY(const auto seen,
               observe(base_.file(), plan_static(graph, skip_).ranges(), task_, rows_));
    std::size_t constant = 0;
    for (const auto& [value, histogram] : seen) {
      const auto range = choose(histogram, settings_);
      affines_[value] = affine_of(range.low, range.high);
      out_.details["ranges"][value] = {{"low", range.low},
                                       {"high", range.high},
                                       {"least", histogram.low()},
                                       {"most", histogram.high()},
                                       {"scale", affines_[value].scale},
                                       {"zero_point", affines_[value].zero}};
      constant += histogram.low() == histogram.high() ? 1 : 0;
    }
    if (constant > 0) {
      out_.notes.push_back(std::to_string(constant) +
                           " activations are the same for all calibration rows: what else they "
                           "can be is clipped to between that and 0; give more various rows");
    }
    return {};
  }

  Result<void> measure() {
    SLUICE_TRY(auto graph, OnnxGraph::open(base_.file()));
    const auto plan = plan_static(graph, skip_);
    for (const auto& unit : plan.units) {
      layers_.push_back({{"name", shown(*unit.node)}, {"op", unit.node->op_type()}});
      firsts_.push_back(unit.node->output(0));
    }
    SLUICE_TRY(const auto sums, StaticWriter(graph, plan, affines_, options()).write_twins());
    SLUICE_TRY(const auto errors,
               errors_of(std::move(graph), sums, task_, std::min(rows_, kErrorRows)));
    for (std::size_t i = 0; i < firsts_.size(); ++i) judge(i, errors[i]);
    return {};
  }

  void judge(std::size_t unit, double error) {
    const bool stays = !(error <= settings_.max_node_error);
    layers_[unit]["error"] = error;
    layers_[unit]["skipped"] = stays;
    if (!stays) return;
    skip_.insert(firsts_[unit]);
    skipped_.push_back(layers_[unit]["op"]);
  }

  Result<Made> write() {
    SLUICE_TRY(auto graph, OnnxGraph::open(base_.file()));
    const auto plan = plan_static(graph, skip_);
    if (plan.units.empty()) {
      return not_compressible("every node's error is above max_node_error (" +
                              OptionType<double>::show(settings_.max_node_error) +
                              "); calibrate with rows like those that the model is asked, or try "
                              "dynamic-int8");
    }
    std::set<std::string> int8;
    for (const auto& unit : plan.units) int8.insert(unit.node->output(0));
    for (std::size_t i = 0; i < firsts_.size(); ++i) {
      layers_[i]["int8"] = int8.contains(firsts_[i]);
    }
    SLUICE_CHECK(StaticWriter(graph, plan, affines_, options()).write());
    SLUICE_CHECK(compact(graph));
    out_.file = task_.to / "model.onnx";
    SLUICE_CHECK(graph.save(out_.file));
    tell();
    return std::move(out_);
  }

  void tell() {
    if (!skipped_.empty()) {
      out_.notes.push_back(counted(skipped_) +
                           (skipped_.size() == 1 ? " stays in FP32: its" : " stay in FP32: their") +
                           " error is above " + OptionType<double>::show(settings_.max_node_error) +
                           " (max_node_error)");
    }
    if (!range_.note.empty()) out_.notes.push_back(range_.note);
    out_.details["settings"] = {
        {"calibration", settings_.calibration},       {"percentile", settings_.percentile},
        {"per_channel", settings_.per_channel},       {"weight_range", range_.most},
        {"max_node_error", settings_.max_node_error}, {"rows", rows_}};
    out_.details["layers"] = layers_;
  }

  StaticOptions options() const { return {settings_.per_channel, range_.most}; }

  const Task& task_;
  const Settings& settings_;
  WeightRange range_;
  std::size_t rows_;
  Scratch base_;
  Affines affines_;
  std::set<std::string> skip_;        // by first outputs
  std::vector<std::string> firsts_;   // of the units that were measured
  std::vector<std::string> skipped_;  // their operators
  nlohmann::json layers_ = nlohmann::json::array();
  Made out_;
};

class StaticInt8 final : public Method {
 public:
  std::string_view name() const override { return "static-int8"; }
  std::string_view help() const override {
    return "weights as int8 and activations as uint8, by ranges that calibration rows give";
  }
  std::vector<OptionInfo> settings() const override { return Settings::schema().describe(); }
  Result<void> check(const Node& settings) const override {
    return check_settings<Settings>(settings);
  }
  std::vector<std::string> variants() const override {
    return {"", "calibration=min-max", "calibration=entropy"};
  }
  bool needs_calibration() const override { return true; }

  Result<Made> make(const Task& task) const override {
    SLUICE_TRY(const auto settings, read_settings<Settings>(task.settings));
    if (task.calibration == nullptr || task.calibration->rows() == 0) {
      return invalid("no_calibration",
                     "static-int8 needs rows to see the ranges of activations: give --calibration, "
                     "or use dynamic-int8");
    }
    return Quantising(task, settings).run();
  }
};

}  // namespace

std::unique_ptr<const Method> make_static_int8() { return std::make_unique<StaticInt8>(); }

}  // namespace sluice::tools::compress
