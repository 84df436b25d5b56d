#include "codecs/classification.h"

#include <gtest/gtest.h>

#include <cmath>

namespace sluice::codecs {
namespace {

using Texts = std::vector<std::string>;

Texts classes_of(std::span<const float> values, Shape shape, bool by_row, std::size_t k,
                 const Texts& labels = {}) {
  Arena arena;
  const auto out =
      classify({DType::kFloat32, shape, std::as_bytes(values), {}}, by_row, k, labels, arena);
  EXPECT_TRUE(out);
  return {out->strings.begin(), out->strings.end()};
}

TEST(Classification, TheLargestOfEachRow) {
  const float scores[] = {0.25F, 0.75F, 0.5F, 0.5F};
  EXPECT_EQ(classes_of(scores, {2, 2}, true, 1, {"no", "yes"}),
            (Texts{"0.750000:1:yes", "0.500000:0:no"}));
  EXPECT_EQ(classes_of(scores, {2, 2}, true, 9),
            (Texts{"0.750000:1", "0.250000:0", "0.500000:0", "0.500000:1"}));
  const float missing[] = {NAN, -1};
  EXPECT_EQ(classes_of(missing, {1, 2}, true, 2), (Texts{"-1.000000:1", "nan:0"}));
}

// What is before and behind it in a list of rows is no class of it, and no name is its own.
TEST(Classification, ANumberARowIsItsOnlyClass) {
  const float values[] = {2, 0, 1};
  EXPECT_EQ(classes_of(values, {3}, true, 3, {"a", "b", "c"}),
            (Texts{"2.000000:0", "0.000000:0", "1.000000:0"}));
  EXPECT_EQ(classes_of(values, {3}, false, 1, {"a", "b", "c"}), Texts{"2.000000:0:a"});
}

}  // namespace
}  // namespace sluice::codecs
