#include "tools/compress/timing.h"

#include <gtest/gtest.h>

namespace sluice::tools::compress {
namespace {

TimingPair timing(double faster, double throughput) {
  TimingPair out;
  out.before.batch = out.after.batch = 64;
  out.faster = faster;
  out.throughput = throughput;
  return out;
}

TEST(SlowerNote, IsThereWhereOneRowOrABatchTakesLonger) {
  EXPECT_EQ(slower_note(timing(0.5, 0.8)),
            "it is slower on this machine: one row alone takes 2.00 × the original's time, 64 rows "
            "together take 1.25 × of it; unless bytes matter more, keep the original");
  EXPECT_EQ(slower_note(timing(0.5, 2)),
            "it is slower on this machine: one row alone takes 2.00 × the original's time; unless "
            "bytes matter more, keep the original");
  EXPECT_EQ(slower_note(timing(2, 0.8)),
            "it is slower on this machine: 64 rows together take 1.25 × the original's time; "
            "unless bytes matter more, keep the original");
}

TEST(SlowerNote, IsNotThereWhereItIsAsFast) {
  EXPECT_EQ(slower_note(timing(3, 4)), "");
  EXPECT_EQ(slower_note(timing(1, 1)), "");
  EXPECT_EQ(slower_note(timing(0.98, 0.98)), "");  // a machine's moods
}

}  // namespace
}  // namespace sluice::tools::compress
