// Weights as int8; activations become uint8 while the model runs, by the range that they have then.
// Needs no calibration; where rows are given, products whose error on them is too large stay in
// FP32. Without rows, those stay whose weights say that the model's inputs are of different units.
//
// Products by constant weights (MatMul, Gemm) become MatMulInteger in the pattern that ONNX Runtime
// fuses into DynamicQuantizeMatMul; tables that are looked up (Gather) become int8 rows with a
// scale each. A Conv stays: with ConvInteger, which the standard has for it, a residual network of
// 20 of them took 1.6 times as long as in FP32 (ONNX Runtime 1.30, a processor with VNNI), where
// static-int8 took a quarter. `store` makes their weights, and those of all other nodes, smaller in
// the file; that network took 1.6 times as long with it too.
#include <algorithm>
#include <map>
#include <set>

#include "tools/compress/builtin.h"
#include "tools/compress/dynamic_rewrite.h"
#include "tools/compress/opset_upgrade.h"
#include "tools/compress/rehearsal.h"

namespace sluice::tools::compress {
namespace {

struct Settings {
  bool per_channel = true;
  std::string reduce_range = "auto";
  std::int64_t min_elements = 1024;
  bool store = false;
  double max_node_error = 0.1;
  static const Schema<Settings>& schema() {
    static const auto kSchema =
        Schema<Settings>()
            .option("per_channel", &Settings::per_channel,
                    "a scale for each column of the weights, else one for all")
            .option<std::string>("reduce_range", &Settings::reduce_range,
                                 "weights of 7 bits, for processors without VNNI: auto (by this "
                                 "one), yes or no",
                                 check_reduce_range)
            .option<std::int64_t>("min_elements", &Settings::min_elements,
                                  "smaller weights stay as they are",
                                  between<std::int64_t>(1, std::int64_t{1} << 40))
            .option<double>("max_node_error", &Settings::max_node_error,
                            "with calibration rows: products whose outputs differ by more stay in "
                            "FP32 (the root of the squares' sums' ratio)",
                            between(0.0, 1000.0))
            .option("store", &Settings::store,
                    "the weights of other nodes (Conv, LSTM …) as int8 in the file as well: it "
                    "gets smaller and the model slower, as they are made floats at each run");
    return kSchema;
  }
};

struct Sensitive {
  std::set<std::string> nodes;  // by first outputs
  std::map<std::string, double> errors;
  std::string note;
};

// On a graph of its own, which is left as it is on the disk.
Result<Sensitive> find_sensitive(const Task& task, const Settings& settings,
                                 const DynamicOptions& options) {
  Sensitive out;
  std::vector<std::string> said_already;
  SLUICE_TRY(auto graph, open_for_int8(task.from, said_already));
  DynamicRewrite rewrite(graph, options);
  SLUICE_CHECK(raise_opset(graph, rewrite.needed_opset(), "int8 needs", said_already));
  if (task.calibration == nullptr || task.calibration->rows() == 0) {
    const auto uneven = rewrite.uneven();
    out.nodes.insert(uneven.begin(), uneven.end());
    if (out.nodes.empty()) return out;
    out.note = std::to_string(out.nodes.size()) +
               " products of the model's inputs stay in FP32, as their weights say that those are "
               "of different units; with --calibration their error is measured instead";
    return out;
  }
  std::vector<std::string> sums;
  SLUICE_TRY(const auto products, rewrite.add_twins(sums));
  if (products.empty()) return out;
  SLUICE_CHECK(rewrite.run(task.stop, task.progress));
  SLUICE_TRY(const auto errors, errors_of(std::move(graph), sums, task,
                                          std::min(task.calibration->rows(), kErrorRows)));
  for (std::size_t i = 0; i < products.size(); ++i) {
    out.errors[products[i]] = errors[i];
    if (!(errors[i] <= settings.max_node_error)) out.nodes.insert(products[i]);
  }
  if (out.nodes.empty()) return out;
  out.note = std::to_string(out.nodes.size()) + " of " + std::to_string(products.size()) +
             " products stay in FP32: their error is above " +
             OptionType<double>::show(settings.max_node_error) + " (max_node_error)";
  return out;
}

class DynamicInt8 final : public Method {
 public:
  std::string_view name() const override { return "dynamic-int8"; }
  std::string_view help() const override {
    return "weights of MatMul, Gemm and Gather as int8, activations as uint8 by the range that "
           "they have at run time";
  }
  std::vector<OptionInfo> settings() const override { return Settings::schema().describe(); }
  Result<void> check(const Node& settings) const override {
    return check_settings<Settings>(settings);
  }
  std::vector<std::string> variants() const override { return {"", "store=true"}; }

  Result<Made> make(const Task& task) const override {
    SLUICE_TRY(const auto settings, read_settings<Settings>(task.settings));
    Made out;
    SLUICE_TRY(auto graph, open_for_int8(task.from, out.notes));
    const auto range = weight_range(settings.reduce_range);
    DynamicOptions options;
    options.per_channel = settings.per_channel;
    options.store = settings.store;
    options.min_elements = static_cast<std::uint64_t>(settings.min_elements);
    options.most = range.most;
    SLUICE_TRY(const auto sensitive, find_sensitive(task, settings, options));
    options.skip = sensitive.nodes;
    if (!sensitive.note.empty()) out.notes.push_back(sensitive.note);
    DynamicRewrite rewrite(graph, options);
    SLUICE_CHECK(raise_opset(graph, rewrite.needed_opset(), "int8 needs", out.notes));
    if (auto ran = rewrite.run(task.stop, task.progress); !ran) {
      if (ran.error().reason == "not_compressible" && !sensitive.note.empty()) {
        return not_compressible(sensitive.note +
                                ", and nothing else is left: " + ran.error().message);
      }
      return Failure(std::move(ran).error());
    }
    if (!range.note.empty()) out.notes.push_back(range.note);
    out.notes.insert(out.notes.end(), rewrite.notes().begin(), rewrite.notes().end());
    out.details["settings"] = {{"per_channel", settings.per_channel},
                               {"weight_range", range.most},
                               {"min_elements", settings.min_elements},
                               {"max_node_error", settings.max_node_error},
                               {"store", settings.store}};
    // Of what every product gives, on calibration rows.
    for (const auto& [value, error] : sensitive.errors) out.details["errors"][value] = error;
    out.details["layers"] = rewrite.layers();
    out.file = task.to / "model.onnx";
    SLUICE_CHECK(graph.save(out.file));
    return out;
  }
};

}  // namespace

std::unique_ptr<const Method> make_dynamic_int8() { return std::make_unique<DynamicInt8>(); }

}  // namespace sluice::tools::compress
