// Runs a graph over calibration rows with values of our choosing as its outputs.
//
// Thread-safety: functions without state.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/error.h"
#include "tools/compress/calibration.h"
#include "tools/compress/method.h"
#include "tools/compress/onnx_graph.h"

namespace sluice::tools::compress {

// One run: `outputs` in the order of the names that were asked for; `first` is its first row's
// place in the dataset.
using SeeOutputs =
    std::function<Result<void>(std::span<const TensorView> outputs, std::size_t first)>;

// Makes `values` the outputs of `graph`, saves it as `file` and runs it over the first `rows` rows,
// as many at a time as give outputs of 128 MiB at most and take inputs of 4 MiB (one where one row
// alone is more). The file is removed again. Errors: the lab's, those of saving, those of `see`;
// kCancelled.
Result<void> rehearse(OnnxGraph graph, const std::vector<std::string>& values,
                      const std::filesystem::path& file, const Task& task, std::size_t rows,
                      const SeeOutputs& see);

// What `values` were. Errors: those above; `not_compressible` for values that are not FP32, and for
// NaN and infinity, with the row.
Result<std::map<std::string, Histogram>> observe(const std::filesystem::path& model,
                                                 const std::vector<std::string>& values,
                                                 const Task& task, std::size_t rows);

// Adds the sums of squares of what `twin` and `value` differ by, and of `value`: two names.
void add_error_sums(OnnxGraph& graph, const std::string& twin, const std::string& value,
                    std::vector<std::string>& sums);

// For each pair of such sums √(Σ(twin − value)² / Σvalue²), over the first `rows` rows. Errors:
// those of `rehearse`.
Result<std::vector<double>> errors_of(OnnxGraph graph, const std::vector<std::string>& sums,
                                      const Task& task, std::size_t rows);

// Rows that are enough to measure a node's error.
inline constexpr std::size_t kErrorRows = 256;

}  // namespace sluice::tools::compress
