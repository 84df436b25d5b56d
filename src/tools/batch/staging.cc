#include "tools/batch/staging.h"

#include <fcntl.h>

#include <algorithm>
#include <optional>

#include <nlohmann/json.hpp>

#include "base/text.h"
#include "sources/builtin.h"
#include "sources/retry.h"
#include "tools/batch/journal.h"
#include "tools/batch/shards.h"
#include "tools/batch/staged_input.h"
#include "tools/batch/staged_output.h"

namespace sluice::tools::batch {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using sources::Object;

constexpr std::size_t kMostNote = std::size_t{256} << 20;

Result<bool> is_in_store(const std::string& path, const char* option) {
  // Two slashes become one where a path is tidied up.
  const bool mistyped = path.starts_with("s3:/") || path.starts_with("gs:/");
  if (!sources::is_url(path) && !mistyped) return false;
  if (sources::is_bucket_url(path)) return true;
  return invalid("usage", std::string(option) + " begins with '" +
                              printable(path.substr(0, path.find(':') + 1)) +
                              "', and tables are in s3://bucket/, in gs://bucket/ or on this disk");
}

// Messages of stores say what they say of any bucket: this one is `option`'s.
template <class T>
Result<T> of_option(const char* option, Result<T> result) {
  if (result || result.error().reason == "usage") return result;
  auto error = std::move(result).error();
  error.message = std::string(option) + ": " + error.message;
  return Failure(std::move(error));
}

// An object that is written.
struct Target {
  sources::OpenBucket bucket;
  std::string key;
  std::string name;  // its last part

  sources::WritableStore& store() const { return *bucket.store; }
  std::string identity() const { return bucket.identity + key; }
};

Result<Target> open_target(const std::string& url) {
  Target out;
  SLUICE_TRY(out.bucket, sources::open_bucket(url, true));
  out.key = out.bucket.path;
  if (out.key.empty()) {
    return invalid("usage",
                   "--output names a bucket and no object in it; write s3://bucket/name with an "
                   "ending of .parquet, .csv, .jsonl or .ndjson");
  }
  out.name = fs::path(out.key).filename();
  SLUICE_CHECK(clients::table_format(out.name));
  return out;
}

std::string shard_words(const Shard& shard) {
  return "\nshard " + std::to_string(shard.index) + " of " + std::to_string(shard.count);
}

// What is stopped between two parts of the work.
template <class T>
Result<T> told(Result<T> result, std::string_view next) {
  if (result || result.error().code != Code::kCancelled) return result;
  return fail(Code::kCancelled, "stopped", "stopped; " + std::string(next));
}

// ---- merging -----------------------------------------------------------------------------------

// The shards' objects, where all shards are there as far as a listing can tell.
Result<std::vector<Object>> find_shards(const Target& target, const std::atomic<bool>& stop) {
  SLUICE_TRY(auto objects, target.store().list_below(target.key + ".shard-", stop));
  const auto before = target.key.size() - target.name.size();
  std::vector<std::string> folders;
  std::vector<std::string> whole;
  std::erase_if(objects, [&](const Object& object) {
    const fs::path path = object.key.substr(before);
    const bool is_part = std::distance(path.begin(), path.end()) == 2;
    if (!is_part) return true;
    folders.push_back(*path.begin());
    if (path.filename() == "manifest.json") whole.push_back(folders.back());
    return false;
  });
  SLUICE_TRY(const auto count, count_shards(target.name, folders));
  for (std::size_t index = 0; index < count; ++index) {
    const Shard shard{index, count};
    if (std::ranges::find(whole, folder_of(target.name, shard).native()) == whole.end()) {
      return shard_missing(shard);
    }
  }
  return objects;
}

json summary_note(const Summary& summary) {
  return {{"rows", summary.rows},         {"written", summary.written},
          {"bad", summary.bad},           {"not_finite", summary.not_finite},
          {"parts", summary.parts},       {"bytes", summary.bytes},
          {"bad_rows", summary.bad_rows}, {"first_bad", summary.first_bad}};
}

Summary read_summary(const json& note) {
  Summary out;
  out.rows = note.value("rows", std::uint64_t{0});
  out.written = note.value("written", std::uint64_t{0});
  out.bad = note.value("bad", std::uint64_t{0});
  out.not_finite = note.value("not_finite", std::uint64_t{0});
  out.parts = note.value("parts", std::size_t{0});
  out.bytes = note.value("bytes", std::uint64_t{0});
  out.first_bad = note.value("first_bad", std::vector<std::string>());
  out.bad_rows = note.value("bad_rows", std::string());
  out.joined = true;
  return out;
}

// Written when the output is in the store and before the shards leave it: a merge that was ended in
// between has only to take away the rest of them.
Result<void> write_merged(const fs::path& file, const Summary& summary,
                          const std::vector<Object>& shards) {
  json note = summary_note(summary);
  for (const auto& object : shards) note["shards"][object.key] = object.etag;
  const Fd fd(::open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!fd) return unavailable("unwritable", "the staging folder cannot be written");
  return write_all(fd, note.dump());
}

// What an earlier merge has made, where nothing lies beside the output but the rest of its shards.
Result<std::optional<Summary>> finish_merged(const fs::path& file, const Target& target,
                                             const std::atomic<bool>& stop) {
  const auto text = read_text(file, kMostNote, "the note of a merge");
  const auto note = text ? json::parse(*text, nullptr, false) : json();
  if (!note.is_object() || !note.contains("shards")) return std::optional<Summary>();
  SLUICE_TRY(const auto left, target.store().list_below(target.key + ".shard-", stop));
  std::vector<std::string> keys;
  for (const auto& object : left) {
    if (note["shards"].value(object.key, std::string("none")) != object.etag) {
      return std::optional<Summary>();
    }
    keys.push_back(object.key);
  }
  SLUICE_CHECK(remove_objects(target.store(), keys));
  return std::optional(read_summary(note));
}

Result<Summary> run(std::shared_ptr<const Servable> servable, JobOptions options,
                    const fs::path& directory, Counts& counts, Transfer& transfer,
                    const std::atomic<bool>& stop) {
  SLUICE_TRY(const bool from, is_in_store(options.input, "--input"));
  SLUICE_TRY(const bool to, is_in_store(options.output, "--output"));
  if (!from && !to) return run_job(std::move(servable), options, counts, stop);
  std::optional<Target> target;
  std::string job = fs::absolute(options.output).lexically_normal().native();
  if (to) {
    SLUICE_TRY(target, of_option("--output", open_target(options.output)));
    job = target->identity();
  }
  SLUICE_TRY(auto folder, StagingFolder::open(directory, job + shard_words(options.shard)));
  if (to) {
    SLUICE_CHECK(of_option("--output",
                           check_writable(target->store(), target->key, folder, options.resume)));
    SLUICE_TRY(const auto out, folder.folder("out"));
    options.output = out / target->name;
    options.keep_parts = true;
  }
  const auto parts = folder_of(options.output, options.shard);
  std::uint64_t fetched = 0;
  if (from) {
    const StageRequest request{options.input, options.shard, options.resume ? parts : fs::path(),
                               to ? target->identity() : std::string()};
    SLUICE_TRY(auto staged, of_option("--input", stage_input(request, folder, transfer, stop)));
    options.found = std::move(staged.input);
    fetched = staged.bytes;
  }
  SLUICE_TRY(auto summary, run_job(std::move(servable), options, counts, stop));
  summary.downloaded = fetched;
  if (summary.stopped) return summary;
  if (to && options.shard.count > 1) {
    const auto key = folder_of(target->key, options.shard).native();
    SLUICE_TRY(summary.uploaded, upload_shard(target->store(), key, parts, folder, transfer, stop));
  } else if (to) {
    SLUICE_TRY(summary.uploaded,
               upload_output(target->store(), target->key, options.output, folder, transfer, stop));
  }
  folder.remove();
  return summary;
}

Result<Summary> merge(const fs::path& output, const fs::path& directory, Counts& counts,
                      Transfer& transfer, const std::atomic<bool>& stop) {
  SLUICE_TRY(const bool in_store, is_in_store(output, "--output"));
  if (!in_store) return merge_shards(output, false, counts);
  SLUICE_TRY(const auto target, open_target(output));
  SLUICE_TRY(auto folder, StagingFolder::open(directory, target.identity() + "\nmerge"));
  const auto merged = folder.path() / "merged";
  SLUICE_TRY(auto earlier, finish_merged(merged, target, stop));
  if (earlier) return folder.remove(), *std::move(earlier);
  SLUICE_TRY(const auto shards, find_shards(target, stop));
  SLUICE_CHECK(check_writable(target.store(), target.key, folder, true));
  SLUICE_TRY(const auto copies, copies_folder(shards, folder));
  SLUICE_CHECK(fetch_objects(target.store(), shards, copies, folder, transfer, stop));
  transfer.phase = Transfer::Phase::kNone;
  const auto whole = copies / target.key;
  SLUICE_TRY(auto summary, merge_shards(whole, true, counts));
  for (const auto& object : shards) summary.downloaded += object.size;
  SLUICE_TRY(summary.uploaded,
             upload_output(target.store(), target.key, whole, folder, transfer, stop));
  SLUICE_CHECK(write_merged(merged, summary, shards));
  std::vector<std::string> keys;
  for (const auto& object : shards) keys.push_back(object.key);
  SLUICE_CHECK(remove_objects(target.store(), keys));
  folder.remove();
  return summary;
}

}  // namespace

Result<Summary> run_staged(std::shared_ptr<const Servable> servable, JobOptions options,
                           const fs::path& directory, Counts& counts, Transfer& transfer,
                           const std::atomic<bool>& stop) {
  return told(run(std::move(servable), std::move(options), directory, counts, transfer, stop),
              "the same command with --resume goes on where it was");
}

Result<Summary> merge_staged(const fs::path& output, const fs::path& directory, Counts& counts,
                             Transfer& transfer, const std::atomic<bool>& stop) {
  return told(merge(output, directory, counts, transfer, stop),
              "the same command goes on where it was");
}

}  // namespace sluice::tools::batch
