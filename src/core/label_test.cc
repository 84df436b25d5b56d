#include "core/label.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <span>

namespace sluice {
namespace {

TEST(Label, StandsWhereItsNameDoes) {
  const std::vector<std::string> classes = {"9007199254740993", "7", "red", "18446744073709551615"};
  const std::int64_t wide[] = {9007199254740993, 9007199254740992, 7};
  const TensorView numbers{DType::kInt64, {3}, std::as_bytes(std::span(wide)), {}};
  EXPECT_EQ(place_of_label(numbers, 0, classes), 0U);
  EXPECT_FALSE(place_of_label(numbers, 1, classes)) << "another one, though not as a double";
  EXPECT_EQ(place_of_label(numbers, 2, classes), 1U);
  const std::uint64_t largest[] = {18446744073709551615U};
  EXPECT_EQ(
      place_of_label({DType::kUint64, {1}, std::as_bytes(std::span(largest)), {}}, 0, classes), 3U);
  const float small[] = {7};
  EXPECT_EQ(place_of_label({DType::kFloat32, {1}, std::as_bytes(std::span(small)), {}}, 0, classes),
            1U);
  const std::string_view texts[] = {"red", "blue"};
  const TensorView words{DType::kString, {2}, {}, texts};
  EXPECT_EQ(place_of_label(words, 0, classes), 2U);
  EXPECT_FALSE(place_of_label(words, 1, classes));
  EXPECT_FALSE(place_of_label(words, 0, {}));
}

}  // namespace
}  // namespace sluice
