#include "tools/batch/shards.h"

#include "base/text.h"

namespace sluice::tools::batch {

namespace fs = std::filesystem;

fs::path folder_of(const fs::path& output, const Shard& shard) {
  if (shard.count == 1) return output.native() + ".parts";
  return output.native() + ".shard-" + std::to_string(shard.index + 1) + "-of-" +
         std::to_string(shard.count) + ".parts";
}

fs::path bad_rows_file(const fs::path& output) { return output.native() + ".bad_rows.jsonl"; }

PartRange range_of(const Shard& shard, std::size_t parts) {
  return {parts * shard.index / shard.count, parts * (shard.index + 1) / shard.count};
}

std::string shard_name(const Shard& shard) {
  return "shard " + std::to_string(shard.index + 1) + " of " + std::to_string(shard.count);
}

Result<std::size_t> count_shards(const std::string& output, const std::vector<std::string>& names) {
  const std::string start = output + ".shard-";
  constexpr std::string_view kEnd = ".parts";
  std::size_t count = 0;
  for (const auto& name : names) {
    const auto of = name.rfind("-of-");
    if (!name.starts_with(start) || of == std::string::npos || !name.ends_with(kEnd)) continue;
    const auto number = parse_uint(name.substr(of + 4, name.size() - of - 4 - kEnd.size()));
    if (!number || *number == 0 || *number > 1'000'000) continue;
    if (count != 0 && count != *number) {
      return fail(Code::kFailedPrecondition, "other_run",
                  "beside this output lie shards of several runs: of " + std::to_string(count) +
                      " and of " + std::to_string(*number) + "; remove the old ones");
    }
    count = *number;
  }
  if (count > 0) return count;
  return not_found("no_shards",
                   "no shards lie beside this output; give the --output that they were "
                   "given, in the folder where their own folders are");
}

Failure shard_missing(const Shard& shard) {
  return fail(Code::kFailedPrecondition, "shard_missing",
              shard_name(shard) + " is not there; run it, or copy its folder here");
}

Failure other_run(const std::string& what, const std::string& where) {
  return fail(
      Code::kFailedPrecondition, "other_run",
      where + " is of another run: " + what +
          " is not the same; give what was given then, or leave out --resume to begin anew");
}

}  // namespace sluice::tools::batch
