// Whoever starts the shards, each is told apart, counted from the first.
#include "app/batch_shard.h"

#include <gtest/gtest.h>

#include <map>

namespace sluice::app {
namespace {

using Variables = std::map<std::string, std::string>;

std::string shard(const std::string& text, std::size_t shards, const Variables& variables = {}) {
  const auto found = find_shard(text, shards, [&](const char* name) {
    const auto at = variables.find(name);
    return at == variables.end() ? std::nullopt : std::optional(at->second);
  });
  if (!found) return found.error().reason == "usage" ? found.error().message : "another error";
  return std::to_string(found->index) + " of " + std::to_string(found->count);
}

TEST(BatchShard, IsSaidOnTheCommandLine) {
  EXPECT_EQ(shard("", 0), "0 of 1");
  EXPECT_EQ(shard("1/8", 0), "0 of 8");
  EXPECT_EQ(shard("8/8", 0), "7 of 8");
  EXPECT_EQ(shard("2/8", 0, {{"JOB_COMPLETION_INDEX", "5"}}), "1 of 8");
  for (const char* wrong : {"0/8", "9/8", "8", "1/0", "a/b", "1/8/2", "-1/8", "1/"}) {
    EXPECT_NE(shard(wrong, 0).find("--shard"), std::string::npos) << wrong;
  }
}

TEST(BatchShard, IsSaidByKubernetes) {
  EXPECT_EQ(shard("", 4, {{"JOB_COMPLETION_INDEX", "3"}}), "3 of 4");
  EXPECT_EQ(shard("", 0, {{"JOB_COMPLETION_INDEX", "0"}, {"JOB_COMPLETIONS", "2"}}), "0 of 2");
  EXPECT_NE(shard("", 0, {{"JOB_COMPLETION_INDEX", "0"}}).find("--shards"), std::string::npos);
  EXPECT_NE(shard("", 4, {{"JOB_COMPLETION_INDEX", "4"}}).find("not there"), std::string::npos);
}

TEST(BatchShard, IsSaidBySlurmAndOpenMpi) {
  EXPECT_EQ(shard("", 0, {{"SLURM_ARRAY_TASK_ID", "3"}, {"SLURM_ARRAY_TASK_COUNT", "4"}}),
            "3 of 4");
  EXPECT_EQ(shard("", 0,
                  {{"SLURM_ARRAY_TASK_ID", "15"},
                   {"SLURM_ARRAY_TASK_MIN", "5"},
                   {"SLURM_ARRAY_TASK_STEP", "5"},
                   {"SLURM_ARRAY_TASK_COUNT", "3"}}),
            "2 of 3");
  EXPECT_NE(shard("", 0, {{"SLURM_ARRAY_TASK_ID", "3"}}).find("SLURM_ARRAY_TASK_COUNT"),
            std::string::npos);
  EXPECT_EQ(shard("", 0, {{"OMPI_COMM_WORLD_RANK", "1"}, {"OMPI_COMM_WORLD_SIZE", "2"}}), "1 of 2");
}

TEST(BatchShard, ManyOfThemAndNobodySaysWhich) {
  EXPECT_NE(shard("", 3).find("--shard"), std::string::npos);
}

}  // namespace
}  // namespace sluice::app
