#include "statistics/e_process.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "base/random.h"

namespace sluice::statistics {
namespace {

struct Event {
  bool treated;
  double share;
  double temper;
};

// What one ratio multiplies by at one event, straight from the header's definition.
double step(const Event& event, double tolerance, double multiple) {
  const double odds = tolerance * event.share / (1 - event.share);
  const double t = odds / (1 + odds);
  const double q = multiple * odds / (1 + multiple * odds);
  return std::pow(event.treated ? q / t : (1 - q) / (1 - t), 1 / event.temper);
}

// The mixture of ratios and beginnings, each as a product of its own.
double direct(const std::vector<Event>& events, double tolerance,
              std::span<const double> multiples) {
  double out = 1 / (static_cast<double>(events.size()) + 1);  // what has not begun
  for (std::size_t begin = 0; begin < events.size(); ++begin) {
    const double weight = 1 / ((static_cast<double>(begin) + 1) * (static_cast<double>(begin) + 2));
    for (const double multiple : multiples) {
      double product = 1;
      for (std::size_t i = begin; i < events.size(); ++i) {
        product *= step(events[i], tolerance, multiple);
      }
      out += weight * product / static_cast<double>(multiples.size());
    }
  }
  return out;
}

EProcess after(const std::vector<Event>& events, double tolerance,
               std::span<const double> multiples) {
  EProcess out(tolerance, multiples);
  for (const auto& event : events) out.add(event.treated, event.share, event.temper);
  return out;
}

std::vector<Event> some_events(std::size_t count, double rate, std::uint64_t seed) {
  Random random(seed);
  std::vector<Event> out;
  for (std::size_t i = 0; i < count; ++i) {
    out.push_back({random.uniform() < rate, i < count / 2 ? 0.1 : 0.25, 1 + random.uniform()});
  }
  return out;
}

TEST(EProcess, IsTheProductOfLikelihoodRatios) {
  for (const double tolerance : {1.0, 1.5}) {
    for (const double rate : {0.05, 0.2, 0.7}) {
      const auto events = some_events(60, rate, 7);
      for (const auto multiples : {EProcess::worse(), EProcess::better()}) {
        const double expected = direct(events, tolerance, multiples);
        EXPECT_NEAR(after(events, tolerance, multiples).e() / expected, 1, 1e-10)
            << tolerance << " " << rate;
      }
    }
  }
}

TEST(EProcess, BeginsAtOneAndKeepsItsGreatest) {
  EProcess process(1, EProcess::worse());
  EXPECT_EQ(process.e(), 1);
  double most = 1;
  for (const auto& event : some_events(200, 0.3, 3)) {
    process.add(event.treated, event.share, event.temper);
    most = std::max(most, process.e());
    EXPECT_EQ(process.best(), most);
  }
  EXPECT_GT(most, 1);
}

// Every sequence of 14 events, each with its probability: the mean of E, and the probability that
// it was ever at 1/alpha.
struct Enumerated {
  double mean = 0;
  double reached = 0;
};
Enumerated enumerate(double tolerance, double rate, double temper,
                     std::span<const double> multiples, double alpha) {
  constexpr unsigned kEvents = 14;
  constexpr double kShare = 0.2;
  Enumerated out;
  for (unsigned bits = 0; bits < 1U << kEvents; ++bits) {
    EProcess process(tolerance, multiples);
    double probability = 1;
    for (unsigned i = 0; i < kEvents; ++i) {
      const bool treated = (bits >> i & 1U) != 0;
      probability *= treated ? rate : 1 - rate;
      process.add(treated, kShare, temper);
    }
    out.mean += probability * process.e();
    if (process.best() >= 1 / alpha) out.reached += probability;
  }
  return out;
}

// Of a bad event that it is the treated arm's, where the rates' ratio is this.
double boundary(double ratio) {
  const double odds = ratio * 0.2 / 0.8;
  return odds / (1 + odds);
}

TEST(EProcess, IsFairAtTheBoundary) {
  for (const double tolerance : {1.0, 1.5}) {
    for (const auto multiples : {EProcess::worse(), EProcess::better()}) {
      const auto found = enumerate(tolerance, boundary(tolerance), 1, multiples, 0.2);
      EXPECT_NEAR(found.mean, 1, 1e-9);
      EXPECT_LE(found.reached, 0.2);
    }
  }
  EXPECT_GT(enumerate(1, boundary(1), 1, EProcess::worse(), 0.2).reached, 0);
}

TEST(EProcess, TemperingAndSaferArmsOnlyLowerIt) {
  const auto worse = EProcess::worse();
  EXPECT_LT(enumerate(1, boundary(1), 2.5, worse, 0.2).mean, 1);
  EXPECT_LT(enumerate(1, boundary(0.5), 1, worse, 0.2).mean, 1);
  EXPECT_GT(enumerate(1, boundary(2), 1, worse, 0.2).mean, 1);
  // The mirror: a ratio that is above the tolerance gives no evidence of safety.
  EXPECT_LT(enumerate(1.5, boundary(2), 1, EProcess::better(), 0.2).mean, 1);
}

TEST(EProcess, AGoodPastCostsLittle) {
  const auto until = [](std::size_t good) {
    EProcess process(1, EProcess::worse());
    for (std::size_t i = 0; i < good; ++i) process.add(false, 0.1);
    std::size_t out = 0;
    for (; process.best() < 250; ++out) process.add(true, 0.1);
    return out;
  };
  EXPECT_LE(until(0), 5U);
  EXPECT_LE(until(1000), 12U);
}

TEST(EProcess, WithoutTwoArmsNothingIsLearned) {
  EProcess process(1, EProcess::worse());
  for (const double share : {0.0, 1.0, -1.0, std::nan("")}) process.add(true, share);
  EXPECT_EQ(process.e(), 1);
  EXPECT_EQ(process.best(), 1);
}

TEST(EProcess, NeverOverflows) {
  EProcess process(1, EProcess::worse());
  for (int i = 0; i < 10'000; ++i) process.add(true, 0.01);
  EXPECT_TRUE(std::isfinite(process.e()));
  EXPECT_GT(process.log_e(), 600);
}

TEST(EProcess, GoesOnFromItsStateBitByBit) {
  const auto events = some_events(300, 0.3, 11);
  EProcess whole(1.5, EProcess::worse());
  EProcess first(1.5, EProcess::worse());
  for (std::size_t i = 0; i < 150; ++i) {
    whole.add(events[i].treated, events[i].share, events[i].temper);
    first.add(events[i].treated, events[i].share, events[i].temper);
  }
  EProcess second(1.5, EProcess::worse());
  second.restore(first.state());
  for (std::size_t i = 150; i < events.size(); ++i) {
    whole.add(events[i].treated, events[i].share, events[i].temper);
    second.add(events[i].treated, events[i].share, events[i].temper);
  }
  EXPECT_EQ(whole.state(), second.state());
}

}  // namespace
}  // namespace sluice::statistics
