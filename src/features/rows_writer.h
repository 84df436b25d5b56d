// Writes features into the inputs of a model, in the types that it takes. Internal to features.
//
// Thread-safety: one owner; memory is the arena's.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "base/arena.h"
#include "core/feature_value.h"
#include "core/signature.h"
#include "features/plan.h"

namespace sluice::features {

class RowsWriter {
 public:
  RowsWriter(const Plan& plan, const Signature& signature, std::size_t rows, Arena& arena);

  // Null is NaN where the input is floating. False: it cannot be written.
  bool put(const Column& column, std::size_t row, const FeatureData& data);
  // What `put` had against it: "is no FP32, which is what the model takes".
  std::string why_not(const Column& column, const FeatureData& data) const;
  // The inputs, in the signature's order.
  std::span<TensorView> inputs() const { return inputs_; }

 private:
  // Memory of an input, of one or the other kind.
  struct Target {
    DType dtype;
    std::byte* data;
    std::string_view* strings;
  };

  bool put_one(const Target& target, std::size_t at, const FeatureData& data);
  bool put_list(const Column& column, std::size_t at, const FeatureData& data);

  const Plan& plan_;
  Arena& arena_;
  std::span<TensorView> inputs_;
  std::span<Target> targets_;
};

}  // namespace sluice::features
