#include "core/signature.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

TEST(CheckInputs, RowsWithoutValuesAreRefused) {
  Signature signature;
  signature.inputs.push_back({"x", DType::kFloat32, {-1, -1}, Role::kUnknown});
  TensorView tensor;
  const auto check = [&](Shape shape) {
    tensor.shape = shape;
    return check_inputs(signature, {&tensor, 1}, false);
  };
  EXPECT_EQ(check({1 << 28, 0}).error().reason, "wrong_shape");
  EXPECT_EQ(check({0, 5}).value(), 0) << "no rows are a batch too";
}

}  // namespace
}  // namespace sluice
