// Names of objects, as --input means them.

#include "tools/batch/input_names.h"

#include <gtest/gtest.h>

#include "tools/batch/shards.h"

namespace sluice::tools::batch {
namespace {

const std::vector<std::filesystem::path> kNames = {"t/day=2/part-10.csv",
                                                   "t/day=2/part-2.csv",
                                                   "t/day=1/part-1.csv",
                                                   "t/day=1/_SUCCESS",
                                                   "t/day=1/.part.csv",
                                                   "t/readme.txt",
                                                   "t/_old/day=1/part.csv",
                                                   "t2/part.csv",
                                                   "a[1].csv",
                                                   "top.csv"};

std::string find(const std::string& given) {
  const auto found = find_names(given, kNames);
  if (!found) return std::string(found.error().reason) + ": " + found.error().message;
  std::string out = found->base.native() + ":";
  for (const auto& file : found->files) out += " " + file.native();
  return out;
}

TEST(InputNames, AFolder) {
  EXPECT_EQ(find("t"), "t: t/day=1/part-1.csv t/day=2/part-2.csv t/day=2/part-10.csv");
  EXPECT_EQ(find("t/day=2"), "t/day=2: t/day=2/part-2.csv t/day=2/part-10.csv");
  EXPECT_TRUE(find("t/_old").ends_with("t/_old/day=1/part.csv")) << find("t/_old");
}

TEST(InputNames, AFileIsItself) {
  EXPECT_EQ(find("t/day=1/part-1.csv"), "t/day=1: t/day=1/part-1.csv");
  EXPECT_EQ(find("a[1].csv"), ": a[1].csv") << "though it is a pattern";
  EXPECT_EQ(find("t/day=1/.part.csv"), "t/day=1: t/day=1/.part.csv");
}

TEST(InputNames, Patterns) {
  EXPECT_EQ(find("t/**/*.csv"), "t: t/day=1/part-1.csv t/day=2/part-2.csv t/day=2/part-10.csv");
  EXPECT_EQ(find("t/*/*-1*.csv"), "t: t/day=1/part-1.csv t/day=2/part-10.csv");
  EXPECT_EQ(find("t/day=[1]/part*"), "t: t/day=1/part-1.csv");
  EXPECT_EQ(find("*.csv"), ": a[1].csv top.csv") << "not in folders";
  EXPECT_EQ(find("t?/*"), ": t2/part.csv");
  EXPECT_EQ(find("t/day=1/_*"), "t/day=1: t/day=1/_SUCCESS") << "who says so is given it";
}

TEST(InputNames, WhatIsNotThere) {
  EXPECT_EQ(find("none.csv"),
            "no_table: there is no file 'none.csv'; check its name and its directory");
  EXPECT_TRUE(find("t/*.csv").starts_with("no_table: there is no file that")) << find("t/*.csv");
  const auto empty = find_names("x", {"x/readme.txt"});
  ASSERT_FALSE(empty);
  EXPECT_TRUE(empty.error().message.starts_with("the folder 'x' has no file"));
}

TEST(Shards, AreCountedByTheirFolders) {
  const auto count = count_shards(
      "out.csv", {"out.csv", "out.csv.shard-1-of-3.parts", "other.csv.shard-1-of-9.parts",
                  "out.csv.shard-3-of-3.parts", "out.csv.shard-1-of-x.parts"});
  ASSERT_TRUE(count) << count.error().message;
  EXPECT_EQ(*count, 3U);
  const auto none = count_shards("out.csv", {"out.csv"});
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().reason, "no_shards");
  const auto several =
      count_shards("out.csv", {"out.csv.shard-1-of-3.parts", "out.csv.shard-1-of-2.parts"});
  ASSERT_FALSE(several);
  EXPECT_EQ(several.error().reason, "other_run");
}

}  // namespace
}  // namespace sluice::tools::batch
