#include "statistics/burstiness.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/random.h"

namespace sluice::statistics {
namespace {

// The same sequence is made by the Python program of the expected numbers.
std::vector<std::uint64_t> sequence(std::uint64_t requests) {
  std::vector<std::uint64_t> out;
  std::uint64_t x = 12345;
  for (std::uint64_t at = 0; at < requests;) {
    x = (x * 1103515245 + 12345) % (1ULL << 31);
    at += x / 65536 % 80;
    const std::uint64_t count = 1 + x / 4096 % 4;
    for (std::uint64_t i = at; i < at + count && i < requests; ++i) out.push_back(i);
    at += count;
  }
  return out;
}

// a = the sequence as zeros and ones; of sizes 20 * 2**k:
//   blocks = a[:w * size].reshape(w, size).sum(1); blocks.var(ddof=1) / blocks.mean()
// NumPy 1.24: 2.3053068235887104, 1.9683, 1.5981, 1.4145, 1.4195, 1.7659, 1.7463
TEST(Burstiness, IsNumpysGreatestRatioOfVarianceToMean) {
  constexpr std::uint64_t kRequests = 40'000;
  Burstiness bursts;
  for (const auto position : sequence(kRequests)) bursts.bad(position);
  EXPECT_EQ(bursts.events(), 2374U);
  EXPECT_EQ(bursts.factor(kRequests), std::ceil(1.1 * 2.3053068235887104 * 64) / 64);
}

TEST(Burstiness, ABurstThatCrossesBlocksIsSeenWhole) {
  for (const std::uint64_t burst : {5, 20, 100}) {
    Random random(burst);
    Burstiness bursts;
    constexpr std::uint64_t kRequests = 400'000;
    for (std::uint64_t at = 0; at < kRequests; ++at) {
      if (random.uniform() >= 0.01 / static_cast<double>(burst)) continue;
      for (const auto end = at + burst; at < end; ++at) bursts.bad(at);
    }
    const double factor = bursts.factor(kRequests);
    EXPECT_GT(factor, 0.8 * static_cast<double>(burst));
    EXPECT_LT(factor, 2.0 * static_cast<double>(burst));
  }
}

TEST(Burstiness, ChanceAloneIsNoBurst) {
  int above = 0;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    Random random(seed);
    Burstiness bursts;
    for (std::uint64_t at = 0; at < 100'000; ++at) {
      if (random.uniform() < 0.01) bursts.bad(at);
    }
    const double factor = bursts.factor(100'000);
    EXPECT_GE(factor, 1.0);
    above += factor > 1.125 ? 1 : 0;
  }
  EXPECT_LE(above, 40);  // seven tests of one in forty, and they go together
}

TEST(Burstiness, FewEventsOrBlocksSayNothing) {
  Burstiness bursts;
  EXPECT_EQ(bursts.factor(0), 1.1);
  for (std::uint64_t at = 0; at < 4; ++at) bursts.bad(at);
  EXPECT_EQ(bursts.factor(1'000'000), 1.1);
  for (std::uint64_t at = 4; at < 100; ++at) bursts.bad(at);
  EXPECT_EQ(bursts.factor(100), 1.1);  // five blocks
  EXPECT_GT(bursts.factor(1'000'000), 50);
}

TEST(Burstiness, GoesOnFromItsState) {
  Burstiness whole;
  Burstiness first;
  const auto positions = sequence(40'000);
  Burstiness second;
  for (std::size_t i = 0; i < positions.size(); ++i) {
    whole.bad(positions[i]);
    if (i == 1000) second.restore(first.state());
    (i < 1000 ? first : second).bad(positions[i]);
  }
  EXPECT_EQ(whole.factor(40'000), second.factor(40'000));
  EXPECT_EQ(whole.events(), second.events());
}

}  // namespace
}  // namespace sluice::statistics
