#include "tools/batch/job.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "tools/batch/in_order.h"
#include "tools/batch/output_rows.h"
#include "tools/batch/shards.h"
#include "tools/batch/side_by_side.h"

namespace sluice::tools::batch {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kShownBad = 10;
constexpr std::size_t kMostBad = std::size_t{1} << 30;  // bytes of a part's bad rows
constexpr std::uint64_t kBaseMemory = std::uint64_t{192} << 20;
constexpr std::uint64_t kWorkerMemory = std::uint64_t{192} << 20;

Result<Journal> open_journal(const Plan& plan) {
  const auto folder = folder_of(plan.options.output, plan.options.shard);
  const auto manifest = plan.manifest();
  std::error_code ignored;
  const bool there = fs::exists(folder / "manifest.json", ignored);
  // The first start of a job that always resumes has nothing to go on with.
  if (!plan.options.resume || !there) return Journal::begin(folder, manifest);
  SLUICE_TRY(auto journal, Journal::open(folder));
  const auto differs = difference(journal.manifest(), manifest, true);
  if (!differs.empty()) return other_run(differs, "what is to be gone on with");
  return journal;
}

// Lines of all parts' bad rows: into one file, and the first of them into the summary.
Result<void> collect_bad(const std::vector<const Journal*>& journals, std::size_t parts,
                         const fs::path& output, Summary& summary) {
  const auto file = bad_rows_file(output);
  const fs::path draft = file.native() + ".tmp";
  std::error_code ignored;
  if (summary.bad == 0) return fs::remove(file, ignored), Result<void>();
  const Fd to(::open(draft.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
  if (!to) return unavailable("unwritable", "the list of bad rows cannot be written");
  for (std::size_t index = 0; index < parts; ++index) {
    for (const auto* journal : journals) {
      const auto done = journal->done().find(index);
      if (done == journal->done().end() || done->second.bad_sha256.empty()) continue;
      SLUICE_TRY(const auto lines, read_text(journal->bad_rows(index), kMostBad, "the bad rows"));
      SLUICE_CHECK(write_all(to, lines));
      for (const auto line : split(lines, '\n')) {
        if (summary.first_bad.size() < kShownBad && !line.empty()) {
          summary.first_bad.emplace_back(line);
        }
      }
    }
  }
  fs::rename(draft, file, ignored);
  if (ignored) return unavailable("unwritable", "the list of bad rows cannot be written");
  summary.bad_rows = file.filename().string();
  return {};
}

void add_up(const Journal& journal, Summary& summary) {
  for (const auto& [index, done] : journal.done()) {
    summary.rows += done.rows;
    summary.written += done.written;
    summary.bad += done.bad;
    summary.not_finite += done.not_finite;
    ++summary.parts;
  }
}

Result<void> check_output(const fs::path& output) {
  std::error_code ignored;
  if (fs::is_directory(output, ignored)) {
    return invalid("usage",
                   "--output is a folder; name a file that ends with .parquet, .csv, "
                   ".jsonl or .ndjson");
  }
  const auto parent = output.parent_path();
  if (parent.empty() || fs::is_directory(parent, ignored)) return {};
  return not_found("no_directory", "the folder of --output does not exist; make it first");
}

void count_found(const Journal& journal, Counts& counts, Summary& summary) {
  for (const auto& [index, done] : journal.done()) {
    summary.found += done.rows;
    counts.rows_done += done.rows;
    counts.rows_found += done.rows;
    counts.written += done.written;
    counts.bad += done.bad;
    ++counts.parts_done;
  }
}

Result<void> run_parts(const clients::Duckdb& engine, const Plan& plan, Journal& journal,
                       OutputRows& rows, Counts& counts, const std::atomic<bool>& stop,
                       Summary& summary) {
  const PartRange range = range_of(plan.options.shard, plan.parts.parts.size());
  for (std::size_t index = range.first; index < range.last; ++index) {
    counts.rows += plan.parts.parts[index].rows;
  }
  count_found(journal, counts, summary);
  counts.parts = range.last - range.first;
  const std::size_t found = journal.done().size();
  PartFiles files;
  InOrder in_order(plan.options.workers, journal, rows, counts);
  const auto work = [&](clients::DuckdbSession& session, std::size_t place) -> Result<void> {
    const std::size_t index = range.first + found + place;
    auto part = run_part(plan, index, session, files, counts);
    if (part) return in_order.write(place, index, *std::move(part));
    in_order.give_up(place);
    return Failure(std::move(part).error());
  };
  SLUICE_CHECK(side_by_side(engine, counts.parts - found, plan.options.workers, stop, work));
  summary.stopped = counts.parts_done < counts.parts;
  return {};
}

// What a run that failed leaves: nothing, or what another can go on with.
Failure leave(Journal& journal, Error error) {
  if (journal.done().empty()) {
    journal.remove();
  } else if (error.code != Code::kCancelled) {
    error.message += "; the parts that are finished are kept for --resume";
  }
  return Failure(std::move(error));
}

// ---- shards ------------------------------------------------------------------------------------

std::vector<std::string> names_beside(const fs::path& output) {
  std::vector<std::string> out;
  const auto parent = output.parent_path();
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(parent.empty() ? "." : parent, error)) {
    out.push_back(entry.path().filename());
  }
  return out;
}

Result<std::uint64_t> join_all(const std::vector<const Journal*>& shards,
                               clients::TableFormat format, const fs::path& output) {
  const fs::path draft = output.native() + ".tmp";
  const Fd to(::open(draft.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
  if (!to) return unavailable("unwritable", "the output cannot be written; check its directory");
  const auto join = [&]() -> Result<std::uint64_t> {
    OutputRows rows(format, to);
    for (const auto* shard : shards) SLUICE_CHECK(rows.add(*shard));
    SLUICE_CHECK(rows.finish());
    return put_in_place(draft, output, false);
  };
  auto bytes = join();
  if (!bytes) ::unlink(draft.c_str());
  return bytes;
}

Result<Journal> open_shard(const fs::path& output, const Shard& shard) {
  const auto folder = folder_of(output, shard);
  std::error_code ignored;
  if (!fs::exists(folder / "manifest.json", ignored)) return shard_missing(shard);
  const std::string name = shard_name(shard);
  SLUICE_TRY(auto journal, Journal::open(folder));
  const auto parts = journal.manifest().value("parts", std::size_t{0});
  const PartRange range = range_of(shard, parts);
  for (std::size_t index = range.first; index < range.last; ++index) {
    if (journal.done().contains(index)) continue;
    return fail(Code::kFailedPrecondition, "shard_unfinished",
                name + " is not finished or is damaged: " +
                    std::to_string(range.last - range.first - journal.done().size()) + " of its " +
                    std::to_string(range.last - range.first) +
                    " parts are missing; run it again "
                    "with --resume");
  }
  return journal;
}

}  // namespace

Result<Summary> run_job(std::shared_ptr<const Servable> servable, const JobOptions& options,
                        Counts& counts, const std::atomic<bool>& stop) {
  SLUICE_CHECK(check_output(options.output));
  // The sessions' own threads do the work: the engine needs none.
  SLUICE_TRY(const auto engine,
             clients::Duckdb::open({kBaseMemory + kWorkerMemory * options.workers, 1}));
  SLUICE_TRY(const auto plan, make_plan(engine, std::move(servable), options, stop));
  SLUICE_TRY(auto journal, open_journal(plan));
  Summary summary;
  summary.pasted = plan.writing != Writing::kWhole;
  summary.in_order = plan.binding.in_order;
  summary.spoilt = journal.spoilt();
  OutputRows rows(plan.output, journal.rows());
  SLUICE_CHECK(rows.recall(journal));
  summary.all_parts = plan.parts.parts.size();
  if (auto ran = run_parts(engine, plan, journal, rows, counts, stop, summary); !ran) {
    return leave(journal, std::move(ran).error());
  }
  add_up(journal, summary);
  if (summary.stopped) return summary;
  // What other machines build upon.
  if (options.shard.count > 1) {
    SLUICE_CHECK(journal.flush());
    return summary;
  }
  counts.joining = true;
  SLUICE_CHECK(collect_bad({&journal}, plan.parts.parts.size(), options.output, summary));
  SLUICE_CHECK(rows.finish());
  SLUICE_TRY(summary.bytes, put_in_place(journal.rows_file(), options.output, options.keep_parts));
  summary.joined = true;
  if (!options.keep_parts) journal.remove();
  return summary;
}

Result<Summary> merge_shards(const fs::path& output, bool keep_parts, Counts& counts) {
  SLUICE_TRY(const auto format, clients::table_format(output));
  SLUICE_TRY(const auto count, count_shards(output.filename(), names_beside(output)));
  counts.joining = true;
  std::vector<Journal> journals;
  Summary summary;
  for (std::size_t index = 0; index < count; ++index) {
    SLUICE_TRY(auto journal, open_shard(output, {index, count}));
    const auto differs =
        index == 0 ? std::string() : difference(journals[0].manifest(), journal.manifest(), false);
    if (!differs.empty()) return other_run(differs, shard_name({index, count}));
    add_up(journal, summary);
    journals.push_back(std::move(journal));
  }
  std::vector<const Journal*> all;
  for (const auto& journal : journals) all.push_back(&journal);
  const auto parts = journals[0].manifest().value("parts", std::size_t{0});
  SLUICE_CHECK(collect_bad(all, parts, output, summary));
  SLUICE_TRY(summary.bytes, join_all(all, format, output));
  summary.joined = true;
  for (auto& journal : journals) {
    if (!keep_parts) journal.remove();
  }
  return summary;
}

}  // namespace sluice::tools::batch
