#include "features/breaker.h"

#include <gtest/gtest.h>

namespace sluice::features {
namespace {

using namespace std::chrono_literals;

TEST(Breaker, OpensAfterFailuresInARowOnly) {
  Breaker breaker;
  const Breaker::TimePoint t0{};
  breaker.failed(t0);
  breaker.failed(t0);
  breaker.succeeded();
  breaker.failed(t0);
  breaker.failed(t0);
  EXPECT_TRUE(breaker.allows(t0));
  breaker.failed(t0);
  EXPECT_FALSE(breaker.allows(t0));
  EXPECT_EQ(breaker.openings(), 1U);
}

TEST(Breaker, OneTrialAtATimeAndLongerPauses) {
  Breaker breaker;
  Breaker::TimePoint now{};
  for (int i = 0; i < 3; ++i) breaker.failed(now);
  now += 100ms;
  EXPECT_TRUE(breaker.allows(now));
  EXPECT_FALSE(breaker.allows(now));
  breaker.failed(now);
  now += 199ms;
  EXPECT_FALSE(breaker.allows(now));
  now += 1ms;
  EXPECT_TRUE(breaker.allows(now));
  for (int i = 0; i < 20; ++i) breaker.failed(now);
  now += 5s;
  EXPECT_TRUE(breaker.allows(now));
  breaker.succeeded();
  EXPECT_TRUE(breaker.allows(now));
  EXPECT_FALSE(breaker.open());
  EXPECT_EQ(breaker.openings(), 1U);
}

}  // namespace
}  // namespace sluice::features
