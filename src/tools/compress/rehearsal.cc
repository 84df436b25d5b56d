#include "tools/compress/rehearsal.h"

#include <algorithm>
#include <cmath>

#include "base/text.h"
#include "core/tensor_rows.h"
#include "tools/compress/int8_graph.h"
#include "tools/compress/stopped.h"

namespace sluice::tools::compress {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostBytes = std::size_t{128} << 20;
constexpr std::size_t kMostRows = 256;
// Of inputs: what lies between them and the outputs is not known, and of images it is much.
constexpr std::size_t kMostInputs = std::size_t{4} << 20;

void set_outputs(OnnxGraph& graph, const std::vector<std::string>& values) {
  graph.graph().clear_output();
  for (const auto& value : values) {
    const bool input = std::ranges::any_of(graph.graph().input(),
                                           [&](const auto& each) { return each.name() == value; });
    auto& output = *graph.graph().add_output();
    output.set_name(input ? graph.fresh_name(value + "_seen") : value);
    // ONNX Runtime does not fill outputs that are inputs.
    if (input) graph.add_node("Identity", output.name(), {value}, {output.name()});
  }
}

bool can_be_cut(const Model& model, const DatasetBatch& batch) {
  const auto& inputs = model.signature().inputs;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const auto& shape = batch.inputs[i].shape;
    if (inputs[i].dims.empty() || inputs[i].dims[0] != -1 || shape.rank() == 0 ||
        shape[0] != static_cast<std::int64_t>(batch.rows)) {
      return false;
    }
  }
  return batch.rows > 0;
}

std::size_t bytes_of(std::span<const TensorView> tensors) {
  std::size_t out = 0;
  for (const auto& tensor : tensors) out += tensor.data.size();
  return out;
}

// Runs a model over a dataset, a few rows at a time.
class Runs {
 public:
  Runs(const Model& model, const Task& task, std::size_t rows, const SeeOutputs& see)
      : model_(model), task_(task), rows_(rows), see_(see) {}

  Result<void> all() {
    for (const auto& batch : task_.calibration->batches()) {
      if (batch.first >= rows_) break;
      if (batch.inputs.size() != model_.signature().inputs.size()) {
        return internal("calibration rows have other inputs than the model");
      }
      SLUICE_CHECK(can_be_cut(model_, batch) ? in_cuts(batch) : run(batch.inputs, batch.first, 1));
    }
    return {};
  }

 private:
  Result<void> in_cuts(const DatasetBatch& batch) {
    const std::size_t end = std::min(batch.rows, rows_ - batch.first);
    for (std::size_t from = 0; from < end;) {
      const std::size_t count = std::min(at_once_, end - from);
      std::vector<TensorView> inputs;
      for (const auto& input : batch.inputs) {
        inputs.push_back(rows_of(input, from, count, batch.rows));
      }
      SLUICE_CHECK(run(inputs, batch.first + from, count));
      from += count;
    }
    return {};
  }

  Result<void> run(std::span<const TensorView> inputs, std::size_t first, std::size_t count) {
    if (task_.stop) return stopped();
    Arena arena;
    std::vector<TensorView> outputs(model_.signature().outputs.size());
    SLUICE_CHECK(model_.run(inputs, outputs, arena));
    // The first run is of one row and tells how many fit.
    const auto fit = [&](std::span<const TensorView> tensors, std::size_t most) {
      return most / std::max<std::size_t>(bytes_of(tensors) / count, 1);
    };
    const std::size_t fitting = std::min(fit(outputs, kMostBytes), fit(inputs, kMostInputs));
    at_once_ = std::clamp<std::size_t>(fitting, 1, kMostRows);
    task_.progress(
        "running calibration rows",
        static_cast<double>(first) / static_cast<double>(std::max<std::size_t>(rows_, 1)));
    return see_(outputs, first);
  }

  const Model& model_;
  const Task& task_;
  std::size_t rows_;
  const SeeOutputs& see_;
  std::size_t at_once_ = 1;
};

Failure not_finite(const std::string& value, const TensorView& tensor, std::size_t index,
                   std::size_t first) {
  const auto rows = tensor.shape.rank() > 0 ? static_cast<std::size_t>(tensor.shape[0]) : 1;
  const std::size_t row = first + index / std::max<std::size_t>(tensor.elements() / rows, 1);
  const bool nan = std::isnan(tensor.as<float>()[index]);
  return not_compressible("value '" + printable(value) + "' of the model is " +
                          (nan ? "NaN" : "infinite") + " for calibration row " +
                          std::to_string(row + 1) +
                          "; leave such rows out, or repair the model, since it has no range");
}

}  // namespace

Result<void> rehearse(OnnxGraph graph, const std::vector<std::string>& values, const fs::path& file,
                      const Task& task, std::size_t rows, const SeeOutputs& see) {
  set_outputs(graph, values);
  SLUICE_CHECK(graph.save(file));
  const auto model = task.lab.load(file);
  std::error_code ignored;
  fs::remove(file, ignored);
  fs::remove(file.native() + ".data", ignored);
  if (!model) return Failure(model.error());
  return Runs(**model, task, rows, see).all();
}

Result<std::map<std::string, Histogram>> observe(const fs::path& model,
                                                 const std::vector<std::string>& values,
                                                 const Task& task, std::size_t rows) {
  SLUICE_TRY(auto graph, OnnxGraph::open(model));
  std::map<std::string, Histogram> out;
  const auto see = [&](std::span<const TensorView> outputs, std::size_t first) -> Result<void> {
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (outputs[i].dtype != DType::kFloat32) {
        return not_compressible("value '" + printable(values[i]) + "' is not FP32");
      }
      const auto numbers = outputs[i].as<float>();
      if (const auto place = first_not_finite(numbers)) {
        return not_finite(values[i], outputs[i], *place, first);
      }
      out[values[i]].add(numbers);
    }
    return {};
  };
  SLUICE_CHECK(rehearse(std::move(graph), values, task.to / "observed.onnx", task, rows, see));
  return out;
}

void add_error_sums(OnnxGraph& graph, const std::string& twin, const std::string& value,
                    std::vector<std::string>& sums) {
  const auto off = graph.fresh_name(value + "_off");
  graph.add_node("Sub", off, {twin, value}, {off});
  for (const auto& squared : {off, value}) {
    sums.push_back(graph.fresh_name(squared + "_squares"));
    auto& sum = graph.add_node("ReduceSumSquare", sums.back(), {squared}, {sums.back()});
    set_attribute(sum, "keepdims", std::int64_t{0});
  }
}

Result<std::vector<double>> errors_of(OnnxGraph graph, const std::vector<std::string>& sums,
                                      const Task& task, std::size_t rows) {
  std::vector<double> totals(sums.size());
  const auto see = [&](std::span<const TensorView> outputs, std::size_t) -> Result<void> {
    for (std::size_t i = 0; i < totals.size(); ++i) totals[i] += number_at(outputs[i], 0);
    return {};
  };
  SLUICE_CHECK(rehearse(std::move(graph), sums, task.to / "twins.onnx", task, rows, see));
  std::vector<double> out;
  for (std::size_t i = 0; i + 1 < totals.size(); i += 2) {
    const double wrong = totals[i];
    const double all = totals[i + 1];
    out.push_back(all > 0 ? std::sqrt(wrong / all) : wrong > 0 ? INFINITY : 0);
  }
  return out;
}

}  // namespace sluice::tools::compress
