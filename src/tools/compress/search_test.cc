#include "tools/compress/search.h"

#include <gtest/gtest.h>

namespace sluice::tools::compress {
namespace {

using Places = std::vector<std::size_t>;

TEST(Search, KeepsWhatNothingElseIsBetterThan) {
  const std::vector<Tried> tried = {{"", 100, 10, 0},    {"a", 50, 10, 0.01},
                                    {"b", 60, 12, 0.02}, {"c", 25, 20, 0.005},
                                    {"d", 100, 5, 0.03}, {"e", 25, 20, 0.005}};
  // b loses to a; e and c are equal, and both stay.
  EXPECT_EQ(pareto_front(tried), (Places{3, 5, 1, 0, 4}));
}

TEST(Search, LatenciesThatCannotBeToldApartAreEqual) {
  const std::vector<Tried> tried = {{"", 100, 10.0, 0}, {"a", 90, 10.3, 0}};
  EXPECT_EQ(pareto_front(tried), (Places{1}));
  const std::vector<Tried> slower = {{"", 100, 10.0, 0}, {"a", 90, 11.0, 0}};
  EXPECT_EQ(pareto_front(slower), (Places{1, 0}));
}

TEST(Search, OneAloneIsTheFront) {
  const std::vector<Tried> tried = {{"", 1, 1, 0}};
  EXPECT_EQ(pareto_front(tried), (Places{0}));
  EXPECT_TRUE(combined_methods(tried, Places{0}).empty());
}

}  // namespace
}  // namespace sluice::tools::compress
