#include "tools/compress/synthesise.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "tools/compress/testing/signatures.h"

namespace sluice::tools::compress {
namespace {

constexpr std::size_t kRows = 4000;

InputColumn column(std::string name, std::vector<double> quantiles, double missing = 0) {
  InputColumn out;
  out.name = std::move(name);
  out.training = Training{0, 0, missing, std::move(quantiles)};
  return out;
}

InputColumn bounded(std::string name, std::optional<double> low, std::optional<double> high) {
  InputColumn out;
  out.name = std::move(name);
  out.bounds = Bounds{low, high};
  return out;
}

std::vector<double> column_of(const Dataset& data, std::size_t place, std::size_t width) {
  const auto all = values(data);
  std::vector<double> out;
  for (std::size_t i = place; i < all.size(); i += width) out.push_back(all[i]);
  return out;
}

// Shares of values up to each bound.
double share_below(const std::vector<double>& values, double bound) {
  const auto count = std::ranges::count_if(values, [&](double one) { return one <= bound; });
  return static_cast<double>(count) / static_cast<double>(values.size());
}

TEST(Synthesise, FollowsTheQuantilesOfTraining) {
  const auto model = signature({input("x", {-1, 2})}, {"age", "income"});
  const auto data = synthesise(
      model, {column("income", {0, 1, 100}), column("age", {10, 20, 30, 40, 90})}, kRows, 7);
  ASSERT_TRUE(data) << data.error().message;
  EXPECT_EQ(data->rows(), kRows);
  const auto age = column_of(*data, 0, 2);
  EXPECT_GE(std::ranges::min(age), 10);
  EXPECT_LE(std::ranges::max(age), 90);
  // A quarter in each piece; five standard deviations of a share of 4000 are 0.035.
  for (const auto& [bound, share] : {std::pair{20.0, 0.25}, {30.0, 0.5}, {40.0, 0.75}}) {
    EXPECT_NEAR(share_below(age, bound), share, 0.035);
  }
  EXPECT_NEAR(share_below(column_of(*data, 1, 2), 1), 0.5, 0.04);
  EXPECT_EQ(data->notes(),
            (std::vector<std::string>{
                "4000 rows were made up: 2 values of each are spread as in training (model.yaml), "
                "each independent of the others; real rows may be answered worse or better"}));
}

TEST(Synthesise, StaysWithinBounds) {
  const auto model = signature({input("x", {-1, 4})});
  auto clipped = column("d", {0, 100});
  clipped.bounds = Bounds{std::nullopt, 5};
  const auto data = synthesise(
      model,
      {bounded("a", 1000, 2000), bounded("b", 3, std::nullopt), bounded("c", {}, -3), clipped},
      kRows, 7);
  ASSERT_TRUE(data) << data.error().message;
  const auto a = column_of(*data, 0, 4);
  EXPECT_GE(std::ranges::min(a), 1000);
  EXPECT_LE(std::ranges::max(a), 2000);
  EXPECT_NEAR(share_below(a, 1500), 0.5, 0.04);
  EXPECT_GE(std::ranges::min(column_of(*data, 1, 4)), 3);
  EXPECT_LE(std::ranges::max(column_of(*data, 2, 4)), -3);
  EXPECT_LE(std::ranges::max(column_of(*data, 3, 4)), 5);
}

TEST(Synthesise, OfWhatNothingIsKnownNumbersAreStandardNormal) {
  const auto data = synthesise(signature({input("x", {-1, 1})}), {}, kRows, 7);
  ASSERT_TRUE(data) << data.error().message;
  const auto got = values(*data);
  EXPECT_NEAR(share_below(got, 0), 0.5, 0.04);
  EXPECT_NEAR(share_below(got, 1), 0.8413, 0.03);  // of the normal distribution
  EXPECT_NEAR(share_below(got, -2), 0.0228, 0.013);
}

TEST(Synthesise, WholeNumbersAreSmallAndWithinBounds) {
  const auto model =
      signature({input("ids", {-1, 3}, DType::kInt64), input("flag", {-1, 1}, DType::kBool),
                 input("level", {-1, 1}, DType::kInt8)});
  const auto data = synthesise(model, {bounded("level", 1.2, 4.7)}, kRows, 7);
  ASSERT_TRUE(data) << data.error().message;
  const auto set_of = [&](std::size_t input) {
    const auto all = values(*data, input);
    return std::set<double>(all.begin(), all.end());
  };
  EXPECT_EQ(set_of(0), (std::set<double>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}));
  EXPECT_EQ(set_of(1), (std::set<double>{0, 1}));
  EXPECT_EQ(set_of(2), (std::set<double>{2, 3, 4}));
}

TEST(Synthesise, MissingValuesAreMissingWhereTheyCanBe) {
  const auto data =
      synthesise(signature({input("x", {-1, 1})}), {column("x", {1, 2}, 0.25)}, kRows, 7);
  ASSERT_TRUE(data) << data.error().message;
  const auto got = values(*data);
  const auto gone = std::ranges::count_if(got, [](double one) { return std::isnan(one); });
  EXPECT_NEAR(static_cast<double>(gone) / kRows, 0.25, 0.035);
  const auto whole = synthesise(signature({input("x", {-1, 1}, DType::kInt32)}),
                                {column("x", {1, 2}, 0.25)}, kRows, 7);
  ASSERT_TRUE(whole) << whole.error().message;
  EXPECT_EQ(whole->rows(), kRows);
}

TEST(Synthesise, FreeDimensionsAreOneAndTablesAsWideAsTheirColumns) {
  const auto free = synthesise(signature({input("x", {-1, -1, 3})}), {}, 2, 7);
  ASSERT_TRUE(free) << free.error().message;
  EXPECT_EQ(free->batches()[0].inputs[0].shape, (Shape{2, 1, 3}));
  const auto two_free = synthesise(signature({input("x", {-1, -1, -1})}), {}, 2, 7);
  ASSERT_TRUE(two_free) << two_free.error().message;
  EXPECT_EQ(two_free->batches()[0].inputs[0].shape, (Shape{2, 1, 1}));
  const auto table = synthesise(signature({input("x", {-1, -1})}),
                                {column("a", {0, 1}), column("b", {5, 6})}, 2, 7);
  ASSERT_TRUE(table) << table.error().message;
  EXPECT_EQ(table->batches()[0].inputs[0].shape, (Shape{2, 2}));
  const auto one = synthesise(signature({input("x", {1, 3})}), {}, 2, 7);
  ASSERT_TRUE(one) << one.error().message;
  EXPECT_EQ(one->batches().size(), 2U);
}

TEST(Synthesise, ASeedMakesTheSameRows) {
  const auto model = signature({input("x", {-1, 3})});
  const auto first = synthesise(model, {}, 300, 1);
  const auto again = synthesise(model, {}, 300, 1);
  const auto other = synthesise(model, {}, 300, 2);
  ASSERT_TRUE(first && again && other);
  EXPECT_EQ(values(*first), values(*again));
  EXPECT_NE(values(*first), values(*other));
}

TEST(Synthesise, RefusesTextsAndSizesThatCannotBe) {
  const auto texts = synthesise(signature({input("x", {-1, 1}, DType::kString)}), {}, 10, 7);
  ASSERT_FALSE(texts);
  EXPECT_EQ(texts.error().reason, "no_rows");
  EXPECT_EQ(texts.error().message,
            "rows cannot be made up: input 'x' takes texts, and nothing says which; give rows of a "
            "table with --calibration and --evaluate");
  for (const std::size_t rows : {std::size_t{0}, kMostMadeUp + 1, ~std::size_t{0}}) {
    const auto none = synthesise(signature({input("x", {-1, 3})}), {}, rows, 7);
    ASSERT_FALSE(none);
    EXPECT_EQ(none.error().reason, "no_rows");
  }
  EXPECT_FALSE(synthesise(signature({input("x", {-1, 1 << 20, 1 << 20})}), {}, 1, 7));
}

}  // namespace
}  // namespace sluice::tools::compress
