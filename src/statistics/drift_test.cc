#include "statistics/drift.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace sluice::statistics {
namespace {

using namespace std::chrono_literals;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();

std::vector<double> even_quantiles(int count = 41) {
  std::vector<double> out;
  for (int i = 0; i < count; ++i) out.push_back(static_cast<double>(i) / (count - 1));
  return out;
}

Drift of(const Reference& reference, const std::vector<double>& values) {
  LiveColumn column(reference, 1h);
  for (const double value : values) column.add(value, 1s);
  return column.drift(1s);
}

std::vector<double> powers(int count, double power) {
  std::vector<double> out;
  for (int i = 0; i < count; ++i) out.push_back(std::pow((i + 0.5) / count, power));
  return out;
}

double normal(Random& random) {
  const double radius = std::sqrt(-2 * std::log(1 - random.uniform()));
  return radius * std::cos(6.283185307179586 * random.uniform());
}

// numpy 1.24 and scipy 1.10: counts in tenths by numpy.histogram, PSI of shares with half a row
// more in each of the ten bins and the one of missing values; the distance at the 41 edges, and its
// p-value by scipy.stats.kstwobign.sf with Stephens' correction. scipy.stats.kstest has the
// distances of all values: 0.25025, and 0.05304 with p = 0.355.
TEST(Drift, IsNumpysAndScipys) {
  const auto reference = Reference::of_quantiles(even_quantiles(), 0, 0);
  const auto far = of(reference, powers(2000, 2));
  EXPECT_NEAR(far.psi, 0.37934495962230685, 1e-9);
  EXPECT_NEAR(far.ks.value(), 0.25, 1e-12);
  EXPECT_LT(far.ks_p_value.value(), 1e-100);
  EXPECT_NEAR(far.median.value(), 0.25, 0.003);
  const auto near = of(reference, powers(300, 1.15));
  EXPECT_NEAR(near.psi, 0.016987070341995987, 1e-9);
  EXPECT_NEAR(near.ks.value(), 0.051666666666666694, 1e-12);
  EXPECT_NEAR(near.ks_p_value.value(), 0.3907716247673768, 1e-9);
}

TEST(Drift, ClassesAreNumpys) {
  std::vector<double> values(400, 0.0);
  values.resize(1000, 1.0);
  const auto found = of(Reference::of_classes(std::vector<double>{0.7, 0.3}, 0), values);
  EXPECT_NEAR(found.psi, 0.3746693074291688, 1e-9);
  EXPECT_FALSE(found.ks || found.median);  // classes have no order
  EXPECT_EQ(found.shares, (std::vector<double>{0.4, 0.6}));
  EXPECT_NEAR(found.reference_shares[1], 0.3, 1e-12);
}

TEST(Drift, MissingValuesAreABin) {
  std::vector<double> values = powers(500, 1);
  values.resize(1000, kNaN);
  const auto found = of(Reference::of_quantiles(even_quantiles(), 0.1, 0), values);
  EXPECT_NEAR(found.psi, 0.8707414761534406, 1e-9);
  EXPECT_EQ(found.missing, 0.5);
  EXPECT_EQ(found.reference_missing, 0.1);
  EXPECT_LT(found.ks.value(), 0.01);  // those that are there have not changed
}

// 2,000 looks at what has not changed: normal, against quantiles of 1,000 rows.
TEST(Drift, SameDistributionsRaiseNoAlarm) {
  Random random(1);
  int alarms = 0;
  int by_chance = 0;
  double sum = 0;
  for (int look = 0; look < 2000; ++look) {
    std::vector<double> before, now;
    for (int i = 0; i < 1000; ++i) before.push_back(normal(random));
    for (int i = 0; i < 200; ++i) now.push_back(normal(random));
    const auto found = of(Reference::of_sample(before, 0), now);
    alarms += found.psi >= found.psi_by_chance;
    by_chance += found.ks_p_value.value() < 0.05;
    sum += found.psi;
  }
  EXPECT_LE(alarms, 1);  // of 1 in 100,000
  // The distance at a hundred edges is a little below the true one.
  EXPECT_GT(by_chance, 20);
  EXPECT_LT(by_chance, 110);
  // The mean of (1/n + 1/m) times a chi-squared number with nine degrees of freedom.
  EXPECT_NEAR(sum / 2000, 0.006 * 9, 0.006);
}

TEST(Drift, AShiftIsFound) {
  Random random(2);
  for (const double shift : {0.75, -0.75}) {
    std::vector<double> before, now;
    for (int i = 0; i < 1000; ++i) before.push_back(normal(random));
    for (int i = 0; i < 500; ++i) now.push_back(normal(random) + shift);
    const auto found = of(Reference::of_sample(before, 0), now);
    EXPECT_GT(found.psi, 0.3);
    EXPECT_GT(found.psi, found.psi_by_chance);
    EXPECT_LT(found.ks_p_value.value(), 1e-6);
    EXPECT_NEAR(found.median.value(), shift, 0.2);
  }
}

// A median far outside of the reference is told all the same.
TEST(Drift, AMedianBeyondTheEdges) {
  std::vector<double> values;
  for (int i = 0; i < 1001; ++i) values.push_back(100 + i / 100.0);
  const auto found = of(Reference::of_quantiles(even_quantiles(), 0, 0), values);
  EXPECT_NEAR(found.median.value(), 105, 3);
  EXPECT_EQ(found.ks.value(), 1);
}

TEST(Drift, AConstantColumn) {
  const auto reference = Reference::of_quantiles(std::vector<double>(41, 3.5), 0, 0);
  EXPECT_EQ(reference.bins(), 3U);
  EXPECT_NEAR(of(reference, std::vector<double>(500, 3.5)).psi, 0, 1e-12);
  EXPECT_EQ(of(reference, std::vector<double>(500, 3.5)).ks.value(), 0);
  EXPECT_EQ(of(reference, std::vector<double>(500, 3.5)).median.value(), 3.5);
  for (const double other : {3.4, 3.6, kInf, -kInf}) {
    const auto found = of(reference, std::vector<double>(500, other));
    EXPECT_GT(found.psi, 1) << other;
    EXPECT_TRUE(std::isfinite(found.psi)) << other;
    EXPECT_EQ(found.ks.value(), 1) << other;
  }
}

// Quantiles of a column of few values: 55 % zeros, 45 % ones; and hardly any ones.
TEST(Drift, FewValues) {
  const auto share_of_ones = [](double share) {
    std::vector<double> out(10'000, 0.0);
    std::fill_n(out.begin(), static_cast<std::size_t>(share * 10'000), 1.0);
    return out;
  };
  const auto reference = [&](double share) {
    std::vector<double> quantiles;
    for (int i = 0; i <= 40; ++i) quantiles.push_back(i >= 40 - std::floor(share * 40) ? 1 : 0);
    return Reference::of_quantiles(quantiles, 0, 0);
  };
  const auto same = of(reference(0.45), share_of_ones(0.45));
  EXPECT_LT(same.psi, 0.01);
  EXPECT_EQ(same.ks.value(), 0);  // within what 41 quantiles can tell
  EXPECT_GT(of(reference(0.45), share_of_ones(0.05)).psi, 0.2);
  EXPECT_LT(of(reference(0.005), share_of_ones(0.005)).psi, 0.1);
  EXPECT_GT(of(reference(0.005), share_of_ones(0.5)).psi, 0.2);
  // A value that never was there.
  EXPECT_GT(of(reference(0.45), std::vector<double>(500, -1)).psi, 1);
}

TEST(Drift, OneRowAndTwoQuantiles) {
  const std::vector<double> one{7};
  EXPECT_TRUE(Reference::of_sample(one, 0).known());
  EXPECT_NEAR(of(Reference::of_sample(one, 0), {7, 7, 7}).psi, 0, 1e-12);
  EXPECT_FALSE(Reference::of_quantiles(one, 0, 0).known());
  const std::vector<double> range{0, 10};
  const auto inside = of(Reference::of_quantiles(range, 0, 0), std::vector<double>(500, 9));
  EXPECT_NEAR(inside.psi, 0, 1e-12);  // no more than the range is known
  const auto outside = of(Reference::of_quantiles(range, 0, 0), std::vector<double>(500, 11));
  EXPECT_GT(outside.psi, 1);
}

TEST(Drift, WhatIsNoReference) {
  EXPECT_FALSE(Reference().known());
  EXPECT_FALSE(Reference::of_quantiles(std::vector<double>{}, 0, 0).known());
  EXPECT_FALSE(Reference::of_quantiles(std::vector<double>{1, kNaN, 2}, 0, 0).known());
  EXPECT_FALSE(Reference::of_quantiles(std::vector<double>{2, 1}, 0, 0).known());
  EXPECT_FALSE(Reference::of_sample(std::vector<double>{kNaN, kNaN}, 0).known());
  EXPECT_FALSE(Reference::of_sample(std::vector<double>{kNaN}, 3).known());
  EXPECT_FALSE(Reference::of_classes(std::vector<double>{}, 0).known());
  EXPECT_FALSE(Reference::of_classes(std::vector<double>{0, 0}, 0).known());
}

TEST(Drift, NaNAndInfinitiesEverywhere) {
  const std::vector<double> with_ends{-kInf, 0, 1, 2, kInf};
  for (const auto& reference :
       {Reference::of_quantiles(even_quantiles(), 0, 0), Reference::of_quantiles(with_ends, 0, 0),
        Reference::of_sample(std::vector<double>{kNaN, kInf, -kInf, 1}, 0),
        Reference::of_classes(std::vector<double>{0.5, 0.5}, 0),
        Reference::of_sample(std::vector<double>{kNaN, kInf, -kInf, 1e300, 1}, 3)}) {
    ASSERT_TRUE(reference.known());
    for (const double value : {kNaN, kInf, -kInf, 1e308, -0.0}) {
      const auto found = of(reference, std::vector<double>(300, value));
      EXPECT_EQ(found.rows, 300U);
      EXPECT_TRUE(std::isfinite(found.psi)) << value;
      EXPECT_TRUE(!found.ks || std::isfinite(*found.ks)) << value;
      EXPECT_EQ(found.missing, std::isnan(value) ? 1 : 0);
    }
  }
  EXPECT_EQ(of(Reference::of_quantiles(even_quantiles(), 0, 0), {}).rows, 0U);
}

TEST(Drift, ManyQuantilesAndClassesTakeBoundedMemory) {
  EXPECT_LE(Reference::of_quantiles(even_quantiles(1001), 0, 0).bins(), Reference::kMostEdges + 1);
  const std::vector<double> shares(100'000, 1e-5);
  const auto classes = Reference::of_classes(shares, 0);
  EXPECT_EQ(classes.bins(), Reference::kMostClasses + 1);
  EXPECT_EQ(classes.bin_of(99'999), Reference::kMostClasses - 1);
}

TEST(Drift, APartIsForgottenWhenItIsTooOld) {
  LiveColumn column(Reference::of_quantiles(even_quantiles(), 0, 0), 12s);
  for (int i = 0; i < 100; ++i) column.add(0.5, 500ms);
  column.add(0.5, 11'900ms);
  EXPECT_EQ(column.rows(11'900ms), 101U);
  EXPECT_EQ(column.rows(12'100ms), 1U);  // the first part is gone, the last is not
  EXPECT_EQ(column.rows(30s), 0U);
  column.add(0.5, 12'100ms);
  column.add(0.5, 11'500ms);  // late, and still within
  EXPECT_EQ(column.rows(12'100ms), 3U);
  column.add(0.5, 600ms);  // its part is another's by now
  EXPECT_EQ(column.rows(12'100ms), 3U);
}

}  // namespace
}  // namespace sluice::statistics
