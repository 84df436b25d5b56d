#include "app/batch_shard.h"

#include "base/text.h"

namespace sluice::app {
namespace {

using tools::batch::Shard;

constexpr std::uint64_t kMostShards = 1'000'000;

Failure usage(std::string message) { return invalid("usage", std::move(message)); }

Result<Shard> checked(std::uint64_t index, std::uint64_t count, const std::string& who) {
  if (count >= 1 && count <= kMostShards && index < count) {
    return Shard{static_cast<std::size_t>(index), static_cast<std::size_t>(count)};
  }
  return usage(who + " names a shard that is not there: of " + std::to_string(count) +
               " shards number " + std::to_string(index + 1));
}

Result<Shard> read_shard(const std::string& text) {
  const auto pieces = split(text, '/');
  const auto index = pieces.size() == 2 ? parse_uint(pieces[0]) : std::nullopt;
  const auto count = pieces.size() == 2 ? parse_uint(pieces[1]) : std::nullopt;
  if (!index || !count || *index < 1) {
    return usage("--shard takes i/n, counted from 1: 1/8 is the first of eight, 8/8 the last");
  }
  return checked(*index - 1, *count, "--shard");
}

Result<std::uint64_t> number(const Variable& variable, const char* name,
                             std::optional<std::uint64_t> otherwise = std::nullopt) {
  const auto text = variable(name);
  if (!text && otherwise) return *otherwise;
  const auto value = text ? parse_uint(*text) : std::nullopt;
  if (value) return *value;
  return usage(std::string(name) + (text ? " is not a number" : " is not set") +
               "; say which shard this is with --shard i/n");
}

}  // namespace

Result<Shard> find_shard(const std::string& text, std::size_t shards, const Variable& variable) {
  if (!text.empty()) {
    SLUICE_TRY(const auto shard, read_shard(text));
    if (shards == 0 || shards == shard.count) return shard;
    return usage("--shard " + text + " and --shards " + std::to_string(shards) +
                 " contradict each other");
  }
  if (variable("JOB_COMPLETION_INDEX")) {
    SLUICE_TRY(const auto index, number(variable, "JOB_COMPLETION_INDEX"));
    if (shards > 0) return checked(index, shards, "JOB_COMPLETION_INDEX");
    if (!variable("JOB_COMPLETIONS")) {
      return usage(
          "this is one pod of an Indexed Job, and nobody says of how many; give --shards, "
          "or set JOB_COMPLETIONS to the Job's completions");
    }
    SLUICE_TRY(const auto count, number(variable, "JOB_COMPLETIONS"));
    return checked(index, count, "JOB_COMPLETION_INDEX");
  }
  if (variable("SLURM_ARRAY_TASK_ID")) {
    SLUICE_TRY(const auto task, number(variable, "SLURM_ARRAY_TASK_ID"));
    SLUICE_TRY(const auto least, number(variable, "SLURM_ARRAY_TASK_MIN", 0));
    SLUICE_TRY(const auto step, number(variable, "SLURM_ARRAY_TASK_STEP", 1));
    SLUICE_TRY(const auto count, number(variable, "SLURM_ARRAY_TASK_COUNT"));
    if (step == 0 || task < least || (task - least) % step != 0) {
      return usage("SLURM_ARRAY_TASK_ID is none of the array's tasks; use an array such as 0-7");
    }
    return checked((task - least) / step, count, "SLURM_ARRAY_TASK_ID");
  }
  if (variable("OMPI_COMM_WORLD_RANK")) {
    SLUICE_TRY(const auto rank, number(variable, "OMPI_COMM_WORLD_RANK"));
    SLUICE_TRY(const auto size, number(variable, "OMPI_COMM_WORLD_SIZE"));
    return checked(rank, size, "OMPI_COMM_WORLD_RANK");
  }
  if (shards > 1) return usage("--shards says how many there are; say which is this with --shard");
  return Shard{};
}

}  // namespace sluice::app
