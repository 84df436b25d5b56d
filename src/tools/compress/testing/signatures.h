// For tests of datasets: signatures of models that nobody has to load, and tensors as numbers.
#pragma once

#include <string>
#include <vector>

#include "tools/compress/dataset.h"

namespace sluice::tools::compress {

inline TensorSpec input(std::string name, std::vector<std::int64_t> dims,
                        DType dtype = DType::kFloat32) {
  return {std::move(name), dtype, std::move(dims), Role::kUnknown};
}

// The output's first dimension is free where the first input's is.
inline Signature signature(std::vector<TensorSpec> inputs, std::vector<std::string> columns = {}) {
  Signature out;
  const std::int64_t rows = inputs[0].dims[0];
  out.inputs = std::move(inputs);
  out.outputs = {{"y", DType::kFloat32, {rows, 1}, Role::kUnknown}};
  out.columns = std::move(columns);
  out.seal();
  return out;
}

// All values of an input, batch after batch.
inline std::vector<double> values(const Dataset& dataset, std::size_t input = 0) {
  std::vector<double> out;
  for (const auto& batch : dataset.batches()) {
    const TensorView& tensor = batch.inputs[input];
    for (std::size_t i = 0; i < tensor.elements(); ++i) out.push_back(number_at(tensor, i));
  }
  return out;
}

}  // namespace sluice::tools::compress
