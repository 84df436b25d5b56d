#include "routing/slot_table.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "base/random.h"

namespace sluice::routing {
namespace {

std::vector<double> some_shares(std::size_t arms, Random& random) {
  std::vector<double> out(arms);
  double sum = 0;
  for (double& share : out) sum += share = random.uniform() < 0.2 ? 0 : random.uniform();
  if (sum == 0) sum = out[0] = 1;
  for (double& share : out) share /= sum;
  return out;
}

std::set<std::size_t> slots_of(const SlotTable& table, std::size_t arm) {
  std::set<std::size_t> out;
  for (std::size_t slot = 0; slot < kSlots; ++slot) {
    if (table.arm(slot) == arm) out.insert(slot);
  }
  return out;
}

SlotTable table_of(double canary) { return SlotTable(std::vector{1 - canary, canary}); }
SlotTable moved(const SlotTable& from, double canary) {
  return from.moved_to(std::vector{1 - canary, canary});
}

TEST(SlotTable, SharesAreMetToHalfASlot) {
  Random random(1);
  for (std::size_t arms = 1; arms <= 8; ++arms) {
    const auto shares = some_shares(arms, random);
    const SlotTable table(shares);
    double sum = 0;
    for (std::size_t arm = 0; arm < arms; ++arm) {
      EXPECT_NEAR(table.share(arm), shares[arm], 1.0 / kSlots + 1e-9);
      EXPECT_EQ(slots_of(table, arm).size(), std::lround(table.share(arm) * kSlots));
      sum += table.share(arm);
    }
    EXPECT_NEAR(sum, 1, 1e-9);
  }
  EXPECT_EQ(slots_of(table_of(0.07), 1).size(), 700U);
}

// Of every change: nobody leaves an arm that grows, and no more slots move than must.
TEST(SlotTable, MovesAsFewAsItCanAndNeverOutOfWhatGrows) {
  Random random(2);
  for (std::size_t arms = 2; arms <= 8; ++arms) {
    SlotTable table(some_shares(arms, random));
    for (int change = 0; change < 20; ++change) {
      const SlotTable next = table.moved_to(some_shares(arms, random));
      std::size_t moves = 0;
      std::size_t needed = 0;
      for (std::size_t slot = 0; slot < kSlots; ++slot) {
        if (table.arm(slot) == next.arm(slot)) continue;
        ++moves;
        EXPECT_LT(next.share(table.arm(slot)), table.share(table.arm(slot)));
      }
      for (std::size_t arm = 0; arm < arms; ++arm) {
        const auto more = std::lround((next.share(arm) - table.share(arm)) * kSlots);
        needed += more > 0 ? static_cast<std::size_t>(more) : 0;
      }
      EXPECT_EQ(moves, needed);
      table = next;
    }
  }
}

TEST(SlotTable, LoweringGivesBackWhatCameLast) {
  const auto five = table_of(0.05);
  const auto twenty = moved(five, 0.2);
  const auto half = moved(twenty, 0.5);
  EXPECT_EQ(slots_of(moved(half, 0.2), 1), slots_of(twenty, 1));
  EXPECT_EQ(slots_of(moved(half, 0.05), 1), slots_of(five, 1));
  EXPECT_EQ(slots_of(moved(moved(half, 0), 0.05), 1).size(), 500U);
  EXPECT_EQ(slots_of(moved(half, 1), 1).size(), kSlots);
}

TEST(SlotTable, ThereMayBeMoreArmsThanBefore) {
  const auto before = table_of(0.4);
  const auto after = before.moved_to(std::vector{0.5, 0.4, 0.1});
  EXPECT_EQ(slots_of(after, 1), slots_of(before, 1));
  EXPECT_EQ(slots_of(after, 2).size(), 1000U);
}

TEST(SlotTable, TextAndBack) {
  Random random(3);
  for (std::size_t arms = 1; arms <= 8; ++arms) {
    SlotTable table(some_shares(arms, random));
    for (int change = 0; change < 5; ++change) table = table.moved_to(some_shares(arms, random));
    const auto read = SlotTable::parse(table.text());
    ASSERT_TRUE(read);
    EXPECT_EQ(read->text(), table.text());
    // The order in which slots came is kept, too: the same change moves the same slots.
    const auto shares = some_shares(arms, random);
    EXPECT_EQ(read->moved_to(shares).text(), table.moved_to(shares).text());
    for (std::size_t slot = 0; slot < kSlots; ++slot) EXPECT_EQ(read->arm(slot), table.arm(slot));
  }
}

TEST(SlotTable, GarbageIsRefused) {
  std::string many = "0-9999";
  for (std::size_t i = 0; i < kMostArms; ++i) many += ';';
  for (const std::string& text :
       {std::string(), std::string("0-9998"), std::string("0-10000"), std::string("0-9999,5"),
        std::string("0-5000;5000-9999"), std::string("a-b"), std::string("0-9999x"),
        std::string("-1-9999"), std::string("0--9999"), std::string("0-99999999999999999999"),
        many}) {
    const auto read = SlotTable::parse(text);
    ASSERT_FALSE(read) << text;
    EXPECT_EQ(read.error().code, Code::kDataLoss);
    EXPECT_EQ(read.error().reason, "bad_state");
  }
  EXPECT_TRUE(SlotTable::parse("9999-5000;0-4999"));
}

}  // namespace
}  // namespace sluice::routing
