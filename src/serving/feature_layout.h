// The inputs of a model as one row of numbers after the other: for those who ask it about rows of
// their own making. Internal to serving.
//
// Several inputs stand beside each other in the order of the signature, each with its own columns.
//
// Thread-safety: immutable; views the request that it was made of.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include "core/request.h"

namespace sluice::serving {

class FeatureLayout {
 public:
  // Errors: kInvalidArgument/`not_explainable` where they are texts or have more dimensions.
  static Result<FeatureLayout> of(const Request& request);

  // Of the rows; 0 where the signature leaves it open.
  static std::size_t width_of(const Signature& signature);

  std::size_t width() const { return width_; }
  void read(std::size_t row, std::span<double> out) const;
  // Inputs of these whole rows, in `arena`. Numbers become what the inputs' types can hold.
  std::span<TensorView> inputs(std::span<const double> rows, Arena& arena) const;
  // Columns, or the inputs' names, or feature_0 and so on. In `arena`, or the signature's.
  std::span<const std::string_view> names(const Signature& signature, Arena& arena) const;

 private:
  struct Part {
    const TensorView* tensor;
    std::size_t width;
  };

  std::vector<Part> parts_;
  std::size_t width_ = 0;
};

}  // namespace sluice::serving
