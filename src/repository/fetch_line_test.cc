#include "repository/fetch_line.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "repository/testing/fake_servable.h"

namespace sluice::repository {
namespace {

using namespace std::chrono_literals;
using namespace testing;

const TimePoint kNow = TimePoint() + 1h;

struct Line {
  explicit Line(int jobs) {
    for (int i = 1; i <= jobs; ++i) enter(std::to_string(i));
  }
  void enter(const std::string& name) {
    abandoned.push_back(std::make_shared<std::atomic<bool>>(false));
    all.push_back(std::make_shared<LoadJob>(
        LoadJob{model_slot("m").wanted, wanted(name), {}, {}, abandoned.back(), false, {}}));
    line.enter(all.back());
  }
  // The names of all that begin at this moment.
  std::string begin(TimePoint now) {
    std::string out;
    while (const auto job = line.next(now)) out += job->version.name.str() + " ";
    return out;
  }

  FetchLine line;
  std::vector<std::shared_ptr<std::atomic<bool>>> abandoned;
  std::vector<FetchLine::Job> all;
};

TEST(FetchLine, AFewAtATimeInTheOrderInWhichTheyCame) {
  Line line(6);
  EXPECT_EQ(line.begin(kNow), "1 2 3 4 ");
  EXPECT_EQ(line.begin(kNow + 1s), "");
  line.line.leave(*line.all[1]);
  EXPECT_EQ(line.begin(kNow + 1s), "5 ");
  EXPECT_TRUE(line.line.anybody_waits());
  line.line.leave(*line.all[0]);
  EXPECT_EQ(line.begin(kNow + 1s), "6 ");
  EXPECT_FALSE(line.line.anybody_waits());
}

TEST(FetchLine, WhatTakesLongGivesItsPlaceUpUntilTooManyDo) {
  Line line(30);
  EXPECT_EQ(line.begin(kNow), "1 2 3 4 ");
  EXPECT_EQ(line.begin(kNow + FetchLine::kLong), "5 6 7 8 ");
  EXPECT_EQ(line.begin(kNow + 2 * FetchLine::kLong), "9 10 11 12 ");
  EXPECT_EQ(line.begin(kNow + 3 * FetchLine::kLong), "13 14 15 16 ");
  EXPECT_EQ(line.begin(kNow + 1h), "") << "the most that may be";
  line.line.leave(*line.all[15]);
  EXPECT_EQ(line.begin(kNow + 1h), "17 ");
}

TEST(FetchLine, WhatWasFetchedHasItsPlaceUntilItIsLoaded) {
  Line line(6);
  EXPECT_EQ(line.begin(kNow), "1 2 3 4 ");
  for (int i = 0; i < 4; ++i) line.line.fetched(*line.all[static_cast<std::size_t>(i)]);
  EXPECT_EQ(line.begin(kNow + 1h), "") << "nobody fetches far ahead of the loaders";
  line.line.leave(*line.all[3]);
  EXPECT_EQ(line.begin(kNow + 1h), "5 ");
}

TEST(FetchLine, WhatNobodyWantsLeavesAtOnce) {
  Line line(7);
  EXPECT_EQ(line.begin(kNow), "1 2 3 4 ");
  *line.abandoned[5] = true;
  EXPECT_EQ(line.begin(kNow), "6 ");
}

}  // namespace
}  // namespace sluice::repository
