// sluice batch

#include <CLI/CLI.hpp>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "app/batch_model.h"
#include "app/batch_progress.h"
#include "app/batch_shard.h"
#include "app/commands.h"
#include "app/options.h"
#include "app/until_stopped.h"
#include "base/file.h"
#include "base/log.h"
#include "base/processors.h"
#include "base/text.h"
#include "config/yaml.h"
#include "sources/builtin.h"
#include "tools/batch/staging.h"

namespace sluice::app {
namespace {

using tools::batch::Counts;
using tools::batch::JobOptions;
using tools::batch::OnError;
using tools::batch::Summary;
using tools::batch::Transfer;

constexpr std::size_t kMostMapping = std::size_t{16} << 20;

struct Arguments {
  LoadFlags load_flags;
  std::string model;
  std::string models = "models";
  std::string version;
  std::string columns;
  std::string mapping;
  std::string on_error = "fail";
  std::string shard;
  std::size_t shards = 0;
  std::string output;
  std::string staging;
  JobOptions job;
  bool merge = false;
  bool json = false;
};

Result<std::map<std::string, std::string>> read_mapping(const std::string& file) {
  std::map<std::string, std::string> out;
  if (file.empty()) return out;
  SLUICE_TRY(const auto text, read_text(file, kMostMapping, "the mapping file"));
  Problems problems;
  const auto root = config::parse_yaml(text, problems);
  const bool map = root && problems.empty() && root->kind == Node::Kind::kMap;
  if (!map) {
    return invalid("usage",
                   "the mapping file is no list of features and columns; write a line "
                   "feature: column for each, or the same as a JSON object");
  }
  for (const auto& entry : root->entries) {
    if (entry.value.kind != Node::Kind::kScalar) {
      return invalid("usage", "the mapping file gives '" + printable(entry.key) +
                                  "' no column; write feature: column");
    }
    out[entry.key] = entry.value.scalar;
  }
  return out;
}

Result<JobOptions> job_of(const Arguments& arguments) {
  JobOptions out = arguments.job;
  out.output = arguments.output;
  if (!arguments.columns.empty()) {
    for (const auto name : split(arguments.columns, ',')) out.columns.emplace_back(trim(name));
  }
  SLUICE_TRY(out.mapping, read_mapping(arguments.mapping));
  out.on_error = arguments.on_error == "null"   ? OnError::kNull
                 : arguments.on_error == "skip" ? OnError::kSkip
                                                : OnError::kFail;
  if (out.workers == 0) out.workers = usable_processors();
  SLUICE_TRY(out.shard, find_shard(arguments.shard, arguments.shards,
                                   [](const char* name) -> std::optional<std::string> {
                                     const char* const value = std::getenv(name);
                                     return value ? std::optional<std::string>(value)
                                                  : std::nullopt;
                                   }));
  return out;
}

// Not in TMPDIR: that is often in memory, and empty after a crash.
Result<std::filesystem::path> staging_folder(const Arguments& arguments) {
  if (!arguments.staging.empty()) return arguments.staging;
  SLUICE_TRY(const auto cache, cache_options(arguments.load_flags));
  return cache.cache_directory / "batch";
}

// What is finished is on the disk, whenever it ends.
template <class Work>
Result<Summary> run_watched(Work work, BatchProgress& progress, std::atomic<bool>& stop) {
  Watching watching;
  watching.look = [&] { progress.show(); };
  watching.ending = [&] { progress.end(); };
  watching.stopping = [&] {
    progress.end();
    std::fprintf(stderr, "sluice: stopping after the parts in hand; once more stops at once\n");
  };
  auto out = until_stopped(std::move(work), stop, watching);
  progress.end();
  return out;
}

std::string what_next(const Summary& summary, const JobOptions& job) {
  if (summary.stopped) {
    return "stopped; the same command with --resume goes on where it was";
  }
  if (job.shard.count > 1) {
    const std::string nothing =
        summary.parts > 0 ? ""
                          : ": it has none of the input's " + std::to_string(summary.all_parts) +
                                (summary.all_parts == 1 ? " part" : " parts");
    return "shard " + std::to_string(job.shard.index + 1) + " of " +
           std::to_string(job.shard.count) + " is done" + nothing +
           "; when all are, sluice batch --merge --output makes one file of them";
  }
  return {};
}

int finish(const Result<Summary>& done, const BatchProgress& progress, const Arguments& arguments,
           const JobOptions& job, bool stop) {
  if (!done) {
    const bool stopped = stop && done.error().code == Code::kCancelled;
    return stopped ? complain(kStopped, done.error().message) : complain(done.error());
  }
  print_summary(*done, progress.seconds(), arguments.json,
                arguments.merge ? std::string() : what_next(*done, job));
  return done->stopped ? kStopped : kSuccess;
}

int run_with_model(const Arguments& arguments) {
  const auto staging = staging_folder(arguments);
  if (!staging) return complain(staging.error());
  auto job = job_of(arguments);
  if (!job) return complain(job.error());
  auto model = open_batch_model(arguments.model, arguments.models, arguments.version,
                                arguments.load_flags, static_cast<int>(job->workers));
  if (!model) return complain(model.error());
  job->model = model->identity;
  Counts counts;
  Transfer transfer;
  std::atomic<bool> stop = false;
  BatchProgress progress(counts, transfer, arguments.json);
  const auto result = run_watched(
      [&] {
        return tools::batch::run_staged(model->servable, *job, *staging, counts, transfer, stop);
      },
      progress, stop);
  return finish(result, progress, arguments, *job, stop);
}

int merge(const Arguments& arguments) {
  const auto staging = staging_folder(arguments);
  if (!staging) return complain(staging.error());
  Counts counts;
  Transfer transfer;
  std::atomic<bool> stop = false;
  BatchProgress progress(counts, transfer, arguments.json);
  const auto result = run_watched(
      [&] {
        return tools::batch::merge_staged(arguments.output, *staging, counts, transfer, stop);
      },
      progress, stop);
  return finish(result, progress, arguments, {}, stop);
}

int batch(const Arguments& arguments) {
  log::set_level(log::Level::kOff);
  if (!arguments.merge && (arguments.model.empty() || arguments.job.input.empty())) {
    return complain(kUsage,
                    "sluice batch takes --model, --input and --output, or --merge and "
                    "--output; see sluice batch --help");
  }
  block_stop_signals();
  return arguments.merge ? merge(arguments) : run_with_model(arguments);
}

void add_shard_options(CLI::App& app, Arguments& arguments) {
  app.add_flag("--resume", arguments.job.resume,
               "go on after a crash or Ctrl-C with the parts that are finished");
  app.add_option("--shard", arguments.shard,
                 "this machine's share, counted from 1: 2/8; else what Kubernetes, Slurm or Open "
                 "MPI say");
  app.add_option("--shards", arguments.shards, "how many there are, for Kubernetes' Indexed Jobs")
      ->check(CLI::Range(1, 1'000'000));
  app.add_flag("--merge", arguments.merge, "join the shards that lie beside --output");
}

// A shell's variable that is not set would otherwise mean "all rows".
const CLI::Validator kNotEmpty(
    [](const std::string& text) { return text.empty() ? std::string("is empty") : std::string(); },
    "");

void add_reading_options(CLI::App& app, Arguments& arguments) {
  auto* columns = app.add_option("--columns", arguments.columns,
                                 "the input's columns that the model takes, in its order: a,b,c");
  auto* mapping = app.add_option("--map", arguments.mapping,
                                 "file with a line feature: column for each that is called "
                                 "otherwise, or the same as a JSON object");
  auto* where = app.add_option("--where", arguments.job.where,
                               "only rows that this SQL condition holds for: \"age > 30 AND "
                               "country = 'AT'\"");
  for (auto* option : {columns, mapping, where}) option->check(kNotEmpty);
  columns->excludes(mapping);
}

void add_answer_options(CLI::App& app, Arguments& arguments) {
  app.add_flag("--all-outputs", arguments.job.answers.all_outputs,
               "a column for each output of the model as well");
  app.add_flag("--explain", arguments.job.answers.explain, "a column that says why");
  app.add_flag("--guard", arguments.job.answers.guard,
               "a column with what the model's guard says of the row");
}

}  // namespace

Action add_batch(CLI::App& app) {
  auto arguments = std::make_shared<Arguments>();
  app.add_option("--model", arguments->model,
                 "model file, directory or URL, or a name in --models");
  app.add_option("--models", arguments->models, "where models are looked for by name")
      ->capture_default_str();
  app.add_option("--version", arguments->version, "version of the model");
  app.add_option(
      "--input", arguments->job.input,
      ".parquet, .csv, .jsonl or .ndjson: a file, a pattern ('days/*.csv', 'days/**/*.csv'), "
      "or a folder; also in s3:// or gs://");
  app.add_option(
         "--output", arguments->output,
         "file of any of these kinds, which replaces one that is there; also in s3:// or gs://")
      ->required();
  app.add_option("--staging", arguments->staging,
                 "where tables of s3:// and gs:// lie meanwhile; default: batch in the folder of "
                 "downloaded models (see --cache-dir)");
  app.add_option("--batch-size", arguments->job.batch_size, "rows that the model gets at a time")
      ->check(CLI::Range(1, 10'000'000))
      ->capture_default_str();
  app.add_option("--workers", arguments->job.workers,
                 "parts at a time; 0, the default: one for each processor")
      ->check(CLI::Range(0, 1024));
  arguments->job.workers = 0;
  add_reading_options(app, *arguments);
  app.add_option(
         "--on-error", arguments->on_error,
         "rows that the model cannot take: fail, null (no prediction) or skip; with the last "
         "two they are listed in OUTPUT.bad_rows.jsonl")
      ->check(CLI::IsMember({"fail", "null", "skip"}))
      ->capture_default_str();
  add_answer_options(app, *arguments);
  add_shard_options(app, *arguments);
  add_load_flags(app, arguments->load_flags);
  app.add_flag("--json", arguments->json, "progress and summary as JSON, one object a line");
  return [arguments] { return batch(*arguments); };
}

}  // namespace sluice::app
