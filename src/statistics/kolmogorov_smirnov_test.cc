#include "statistics/kolmogorov_smirnov.h"

#include <gtest/gtest.h>

#include <cmath>

namespace sluice::statistics {
namespace {

std::vector<double> first() {
  std::vector<double> out;
  for (int k = 0; k < 100; ++k) out.push_back(k * 37 % 101 / 101.0);
  return out;
}

double place(int k) { return k * 53 % 89 / 89.0; }

// scipy 1.10, scipy.stats.ks_2samp(one, other, method='exact'). Ours is asymptotic.
TEST(KolmogorovSmirnov, IsScipys) {
  std::vector<double> power;
  std::vector<double> moved;
  for (int k = 0; k < 80; ++k) {
    power.push_back(std::pow(place(k), 1.3));
    moved.push_back(place(k) * 0.8 + 0.2);
  }
  auto found = kolmogorov_smirnov(first(), power);
  EXPECT_NEAR(found.distance, 0.11, 1e-12);
  EXPECT_NEAR(found.p_value, 0.6168250447016053, 0.02);
  found = kolmogorov_smirnov(first(), moved);
  EXPECT_NEAR(found.distance, 0.21, 1e-12);
  EXPECT_NEAR(found.p_value, 0.034290969396822274, 0.003);
}

TEST(KolmogorovSmirnov, TiesAreOneStep) {
  std::vector<double> one;
  std::vector<double> other;
  for (int i = 0; i < 10; ++i) one.insert(one.end(), {1, 1, 2, 2, 3});
  for (int i = 0; i < 12; ++i) other.insert(other.end(), {1, 2, 2, 3, 3});
  EXPECT_NEAR(kolmogorov_smirnov(one, other).distance, 0.2, 1e-12);  // scipy's, too
}

// scipy.special.kolmogorov(x), the limit for large samples: two of 20,000, one moved by d.
TEST(KolmogorovSmirnov, LargeSamplesHaveKolmogorovsDistribution) {
  constexpr int kSize = 20'000;
  std::vector<double> one;
  for (int i = 0; i < kSize; ++i) one.push_back(i);
  struct Case {
    double x, p;
  };
  for (const auto& [x, p] : {Case{0.8, 0.5441424115741981}, Case{1.0, 0.26999967167735456},
                             Case{1.36, 0.049485876755377876}, Case{2.0, 0.0006709252557796953}}) {
    auto other = one;
    const double move = std::round(x * kSize / std::sqrt(kSize / 2.0));
    for (double& value : other) value += move;
    const auto found = kolmogorov_smirnov(one, other);
    EXPECT_NEAR(found.distance, move / kSize, 1e-9);
    EXPECT_NEAR(found.p_value, p, 0.01 * p + 0.003);
  }
}

TEST(KolmogorovSmirnov, EqualAndEmptySamples) {
  EXPECT_EQ(kolmogorov_smirnov(first(), first()).distance, 0);
  EXPECT_EQ(kolmogorov_smirnov(first(), first()).p_value, 1);
  EXPECT_EQ(kolmogorov_smirnov({}, first()).p_value, 1);
  EXPECT_EQ(kolmogorov_smirnov({1, 2}, {3, 4}).distance, 1);
}

}  // namespace
}  // namespace sluice::statistics
