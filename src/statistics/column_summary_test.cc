#include "statistics/column_summary.h"

#include <gtest/gtest.h>

namespace sluice::statistics {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();

ColumnSummary of(const std::vector<double>& values) {
  ColumnSummary out;
  for (const double value : values) out.add(value);
  return out;
}

TEST(ColumnSummary, CountsWhatIsNotFiniteApart) {
  const auto found = of({kNaN, 1, kInf, 3, -kInf, 5, kNaN});
  EXPECT_EQ(found.rows(), 7U);
  EXPECT_EQ(found.missing(), 2U);
  EXPECT_EQ(found.infinite(), 2U);
  EXPECT_EQ(found.finite(), 3U);
  EXPECT_EQ(found.least(), 1);
  EXPECT_EQ(found.greatest(), 5);
  EXPECT_DOUBLE_EQ(found.mean(), 3);
  EXPECT_DOUBLE_EQ(found.deviation(), std::sqrt(8.0 / 3));
}

// Far from zero, where sums of squares lose every digit.
TEST(ColumnSummary, KeepsItsDigits) {
  const auto found = of({1e9 + 4, 1e9 + 7, 1e9 + 13, 1e9 + 16});
  EXPECT_DOUBLE_EQ(found.mean(), 1e9 + 10);
  EXPECT_NEAR(found.deviation(), std::sqrt(22.5), 1e-9);
}

TEST(ColumnSummary, OneValueAndNone) {
  EXPECT_TRUE(of({7}).constant());
  EXPECT_EQ(of({7}).deviation(), 0);
  EXPECT_TRUE(of({7, kNaN, 7}).constant());
  EXPECT_EQ(of({kNaN}).finite(), 0U);
  EXPECT_EQ(of({}).deviation(), 0);
}

TEST(ColumnSummary, QuantilesAreValuesThatAreThere) {
  EXPECT_EQ(evenly_spaced_quantiles(std::vector<double>{3, kNaN, 1, kInf, 2}, 3),
            (std::vector<double>{1, 2, 3}));
  EXPECT_EQ(evenly_spaced_quantiles(std::vector<double>{5}, 3), (std::vector<double>{5, 5, 5}));
  EXPECT_TRUE(evenly_spaced_quantiles(std::vector<double>{kNaN, -kInf}, 3).empty());
  std::vector<double> values;
  for (int i = 0; i < 1001; ++i) values.push_back(1000 - i);
  const auto found = evenly_spaced_quantiles(values, 41);
  for (std::size_t i = 0; i < 41; ++i) EXPECT_EQ(found[i], 25.0 * static_cast<double>(i));
}

}  // namespace
}  // namespace sluice::statistics
