// Writes features into the inputs of a model, in the types that it takes. Internal to features.
//
// Thread-safety: one owner; memory is the arena's.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "base/arena.h"
#include "core/feature_value.h"
#include "core/signature.h"
#include "features/plan.h"

namespace sluice::features {

class RowsWriter {
 public:
  RowsWriter(const Plan& plan, const Signature& signature, std::size_t rows, Arena& arena);

  // Null is NaN where the input is floating. Why it cannot be written, or nothing.
  std::optional<std::string> put(const Column& column, std::size_t row, const FeatureData& data);
  // The inputs, in the signature's order.
  std::span<TensorView> inputs() const { return inputs_; }

  static bool can_be_missing(DType dtype) { return is_floating(dtype); }

 private:
  std::optional<std::string> put_one(std::size_t input, std::size_t at, const FeatureData& data);

  const Plan& plan_;
  Arena& arena_;
  std::span<TensorView> inputs_;
  std::vector<std::byte*> data_;            // of numeric inputs
  std::vector<std::string_view*> strings_;  // of the others
};

}  // namespace sluice::features
