#include "statistics/sample_ratio.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/random.h"

namespace sluice::statistics {
namespace {

constexpr double kPrior = 10'000;

// The probability of these counts, one unit after the other, under a Dirichlet prior, over that
// under the shares: Gamma(A) / Gamma(A + n) * prod Gamma(a_i + n_i) / Gamma(a_i) / share_i^n_i.
double direct(std::span<const double> seen, std::span<const double> shares) {
  double n = 0;
  double out = 0;
  for (std::size_t i = 0; i < seen.size(); ++i) {
    const double a = kPrior * shares[i];
    out += std::lgamma(a + seen[i]) - std::lgamma(a) - seen[i] * std::log(shares[i]);
    n += seen[i];
  }
  return out + std::lgamma(kPrior) - std::lgamma(kPrior + n);
}

TEST(SampleRatio, IsTheDirichletMultinomialRatio) {
  const std::vector<double> shares = {0.6, 0.3, 0.1};
  SampleRatio ratio(3);
  Random random(5);
  for (int i = 0; i < 30'000; ++i) {
    const double place = random.uniform();
    ratio.add(place < 0.55 ? 0U : place < 0.87 ? 1U : 2U, shares);
    if (i % 5'000 == 0) {
      EXPECT_NEAR(ratio.log_e(), direct(ratio.seen(), shares), 1e-6);
    }
  }
  EXPECT_NEAR(ratio.log_e(), direct(ratio.seen(), shares), 1e-6);
  EXPECT_TRUE(ratio.alarm());
  EXPECT_NEAR(ratio.expected()[0], 18'000, 1e-6);
}

TEST(SampleRatio, IsFairWhereTheSharesHoldAndChange) {
  // Two units, every sequence: the mean of E is 1 under the shares.
  const std::vector<std::vector<double>> shares = {{0.5, 0.5}, {0.9, 0.1}, {0.2, 0.8}};
  double mean = 0;
  for (unsigned bits = 0; bits < 8; ++bits) {
    SampleRatio ratio(2);
    double probability = 1;
    for (unsigned i = 0; i < 3; ++i) {
      const std::size_t arm = bits >> i & 1U;
      probability *= shares[i][arm];
      ratio.add(arm, shares[i]);
    }
    mean += probability * std::exp(ratio.log_e());
  }
  EXPECT_NEAR(mean, 1, 1e-12);
}

TEST(SampleRatio, TheAlarmStays) {
  const std::vector<double> shares = {0.5, 0.5};
  SampleRatio ratio(2);
  for (int i = 0; i < 2'000; ++i) ratio.add(0, shares);
  EXPECT_TRUE(ratio.alarm());
  for (int i = 0; i < 2'000; ++i) ratio.add(1, shares);
  EXPECT_TRUE(ratio.alarm());
}

TEST(SampleRatio, WhatCannotBeIsNotCounted) {
  SampleRatio ratio(2);
  ratio.add(1, std::vector<double>{1, 0});
  ratio.add(2, std::vector<double>{0.5, 0.5});
  ratio.add(0, std::vector<double>{1});
  EXPECT_EQ(ratio.seen()[0] + ratio.seen()[1], 0);
  EXPECT_EQ(ratio.log_e(), 0);
}

TEST(SampleRatio, GoesOnFromItsState) {
  const std::vector<double> shares = {0.5, 0.5};
  SampleRatio whole(2);
  SampleRatio second(2);
  for (std::size_t i = 0; i < 1'000; ++i) {
    if (i == 500) second.restore(whole.state());
    whole.add(i % 3 == 0, shares);
    if (i >= 500) second.add(i % 3 == 0, shares);
  }
  EXPECT_EQ(whole.log_e(), second.log_e());
}

}  // namespace
}  // namespace sluice::statistics
