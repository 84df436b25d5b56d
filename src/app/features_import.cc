// sluice features import

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <memory>

#include "app/features.h"
#include "app/features_table.h"
#include "base/json_writer.h"
#include "base/log.h"
#include "features/builtin.h"
#include "features/sqlite_writer.h"

namespace sluice::app {
namespace {

using Clock = std::chrono::system_clock;

struct Arguments {
  std::string file;
  FeatureColumns columns;
  std::string store = "default";
  std::string state_dir;
  bool json = false;
};

struct Imported {
  std::uint64_t rows = 0;
  std::uint64_t entities = 0;
  std::size_t features = 0;
  double seconds = 0;
};

// "1,000,000".
std::string grouped(std::uint64_t number) {
  std::string out = std::to_string(number);
  for (std::size_t at = out.size(); at > 3; at -= 3) out.insert(at - 3, ",");
  return out;
}

std::string counted(std::uint64_t number, std::string_view one, std::string_view many) {
  return grouped(number) + " " + std::string(number == 1 ? one : many);
}

// How far it is, for people who wait.
class Progress {
 public:
  void rows(std::uint64_t count) const {
    if (shown_ && count % 50'000 == 0) show("read " + grouped(count) + " rows");
  }
  void writing() const {
    if (shown_) show("writing");
  }
  ~Progress() {
    if (shown_) std::fprintf(stderr, "\r\033[K");
  }

 private:
  static void show(const std::string& what) {
    std::fprintf(stderr, "\r\033[K%s", what.c_str());
    std::fflush(stderr);
  }

  const bool shown_ = ::isatty(STDERR_FILENO) == 1;
};

std::int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now().time_since_epoch())
      .count();
}

std::vector<EntityKey> keys_of(const std::vector<std::string>& names) {
  std::vector<EntityKey> out;
  for (const auto& name : names) out.push_back({name, KeyType::kText});
  return out;
}

// `bad_row`: which row an error is about, where it is about one.
Result<Imported> import_file(const Arguments& arguments, const std::string& directory,
                             std::uint64_t& bad_row) {
  const auto start = std::chrono::steady_clock::now();
  const std::int64_t now = now_ns();
  SLUICE_TRY(auto table, FeatureTable::open(arguments.file, arguments.columns));
  SLUICE_TRY(auto writer,
             features::SqliteWriter::open(features::embedded_file(directory), arguments.store,
                                          keys_of(arguments.columns.entity), table.features()));
  const Progress progress;
  FeatureTable::Row row;
  while (true) {
    const auto before = table.row();
    const auto there = table.next(row);
    if (!there) {
      bad_row = table.row() == before ? 0 : table.row();
      return Failure(there.error());
    }
    if (!*there) break;
    SLUICE_CHECK(writer.put(row.entity, row.values, row.time_ns.value_or(now)));
    progress.rows(table.row());
  }
  progress.writing();
  SLUICE_TRY(const auto entities, writer.finish());
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  return Imported{table.row(), entities, table.features().size(), took.count()};
}

void print_json(const Arguments& arguments, const std::string& directory, const Imported& done) {
  std::string out;
  JsonWriter json(out);
  json.begin_object().field("store", std::string_view(arguments.store));
  json.field("state_dir", std::string_view(directory));
  json.field("rows", done.rows).field("entities", done.entities);
  json.field("features", done.features).field("seconds", done.seconds).end_object();
  std::printf("%s\n", out.c_str());
}

void print_error(const Error& error, std::uint64_t bad_row) {
  std::string out;
  JsonWriter json(out);
  json.begin_object().key("error").begin_object();
  json.field("code", error.reason).field("message", std::string_view(error.message));
  if (bad_row != 0) json.field("row", bad_row);
  json.end_object().end_object();
  std::printf("%s\n", out.c_str());
}

int run_import(const Arguments& arguments) {
  log::set_level(log::Level::kOff);
  if (const auto fault = features_fault(arguments.store, arguments.state_dir)) {
    return complain(kUsage, *fault);
  }
  const auto directory = features_directory(arguments.state_dir);
  std::uint64_t bad_row = 0;
  const auto done = import_file(arguments, directory, bad_row);
  if (!done) {
    if (arguments.json) print_error(done.error(), bad_row);
    return complain(done.error());
  }
  if (arguments.json) {
    print_json(arguments, directory, *done);
    return kSuccess;
  }
  std::printf("imported %s with %s into store '%s' in %.1f s\nthey are kept in %s\n",
              counted(done->entities, "entity", "entities").c_str(),
              counted(done->features, "feature", "features").c_str(), arguments.store.c_str(),
              done->seconds, directory.c_str());
  return kSuccess;
}

}  // namespace

Action add_features_import(CLI::App& app) {
  auto arguments = std::make_shared<Arguments>();
  app.add_option("file", arguments->file, "table: .parquet, .csv or .jsonl")->required();
  app.add_option("--entity", arguments->columns.entity,
                 "column that says whose features they are, or several with commas between")
      ->required()
      ->delimiter(',')
      ->allow_extra_args(false);
  app.add_option("--store", arguments->store, "name of the store, as model.yaml calls it")
      ->capture_default_str();
  app.add_option("--state-dir", arguments->state_dir,
                 "where the server keeps its state; else .sluice in models/, or here");
  app.add_option("--time", arguments->columns.time,
                 "column that says when they were true: a timestamp, or seconds since 1970; else "
                 "it is now");
  app.add_option("--columns", arguments->columns.features,
                 "columns that are features, with commas between; else all others")
      ->delimiter(',')
      ->allow_extra_args(false);
  app.add_flag("--json", arguments->json, "print JSON");
  return [arguments] { return run_import(*arguments); };
}

}  // namespace sluice::app
