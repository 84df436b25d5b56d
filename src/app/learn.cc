#include "app/learn.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>

#include "app/learn_predictions.h"
#include "app/learn_table.h"
#include "app/learn_yaml.h"
#include "app/stack.h"
#include "base/file.h"
#include "base/json_writer.h"
#include "base/log.h"
#include "base/text.h"
#include "sources/layout.h"

namespace sluice::app {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxConfig = 1 << 20;
constexpr std::size_t kQuantiles = 41;
constexpr std::size_t kFewQuantiles = 11;
// Of fewer rows quantiles say little of a distribution; the first traffic says more.
constexpr std::uint64_t kLeastRows = 100;

struct Opened {
  std::unique_ptr<Stack> stack;
  std::shared_ptr<const Servable> servable;
  fs::path yaml;  // where the repository reads it; empty where that is not clear
};

// The model file of a version's directory.
Result<fs::path> file_of_version(const fs::path& directory) {
  std::vector<fs::path> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(directory, error)) {
    if (entry.path().stem() == "model") found.push_back(entry.path());
  }
  if (found.size() == 1) return found[0];
  return invalid("usage", found.empty()
                              ? "there is no model.* in that directory; name the model's file"
                              : "there are several model.* in that directory; name the one");
}

// Where the repository would read the model.yaml of this path.
fs::path yaml_of(const fs::path& path) {
  std::error_code ignored;
  if (fs::is_directory(path, ignored)) return path / "model.yaml";
  const fs::path directory = path.parent_path();
  if (sources::looks_like_version(directory.filename().string())) {
    return directory.parent_path() / "model.yaml";
  }
  return path.stem() == "model" ? directory / "model.yaml" : fs::path();
}

Result<Opened> open_model(const std::string& given, const LoadFlags& load_flags) {
  fs::path path = given;
  Opened out;
  std::error_code ignored;
  const bool remote = given.find("://") != std::string::npos;
  if (!remote) {
    path = fs::absolute(path, ignored).lexically_normal();
    if (path.filename().empty()) path = path.parent_path();
    if (fs::is_directory(path, ignored) && sources::looks_like_version(path.filename().string())) {
      SLUICE_TRY(path, file_of_version(path));
    }
    out.yaml = yaml_of(path);
  }
  SLUICE_TRY(out.stack, Stack::open(remote ? given : path.string(), load_flags));
  SLUICE_CHECK(out.stack->load());
  const auto table = out.stack->tables().get();
  if (table->models.size() != 1) {
    return invalid("usage", "bounds are learned for one model: name its file, or its directory");
  }
  const auto& entry = *table->models.begin()->second;
  if (entry.ready.empty()) {
    return Failure(out.stack->why_not(entry));
  }
  out.servable = entry.ready.back();
  return out;
}

// ---- what is learned ---------------------------------------------------------------------------

struct Learned {
  std::vector<InputColumn> columns;
  std::optional<PredictionTraining> predictions;
  std::uint64_t predicted = 0;
  std::vector<std::string> notes;  // sentences
};

std::optional<double> finite(double value) {
  return std::isfinite(value) ? std::optional(value) : std::nullopt;
}

std::optional<Bounds> bounds_of(const statistics::ColumnSummary& summary, double margin) {
  if (summary.finite() < 2 || summary.constant()) return std::nullopt;
  const double more = margin == 0 ? 0 : margin * (summary.greatest() - summary.least());
  return Bounds{finite(summary.least() - more), finite(summary.greatest() + more)};
}

std::optional<Training> training_of(const LearnedColumn& column, std::size_t quantiles) {
  const auto& summary = column.summary;
  // The schema takes no more, and nothing usual has it.
  const bool sound = std::isfinite(summary.mean()) && summary.deviation() <= 1e300;
  if (summary.finite() == 0 || !sound) return std::nullopt;
  Training out;
  out.mean = summary.mean();
  out.std = summary.deviation();
  out.missing = static_cast<double>(summary.missing()) / static_cast<double>(summary.rows());
  if (summary.finite() < kLeastRows) return out;
  out.quantiles = statistics::evenly_spaced_quantiles(column.numbers, quantiles);
  if (out.quantiles.empty()) return out;
  // The sample may not have them.
  out.quantiles.front() = summary.least();
  out.quantiles.back() = summary.greatest();
  return out;
}

std::string note_of(const LearnedColumn& column) {
  const std::string name = "'" + printable(column.name) + "'";
  const auto& summary = column.summary;
  if (column.is_text()) return name + " is text: it has no bounds and no statistics";
  if (summary.finite() == 0) return name + " has no finite value: nothing is written for it";
  if (!std::isfinite(summary.mean()) || !(summary.deviation() <= 1e300)) {
    return name + " has values too large for statistics: only its bounds are written";
  }
  std::string out;
  if (summary.constant() && summary.rows() > 1) {
    out = fmt::format("{} is {} in every row, so a model cannot have learned from it: no bounds",
                      name, summary.least());
  }
  if (summary.infinite() > 0) {
    out += out.empty() ? name + ": " : "; ";
    out += fmt::format("{} infinite values were left out", summary.infinite());
  }
  return out;
}

void note_table(const LearnedTable& table, std::vector<std::string>& notes) {
  if (table.in_order) {
    notes.emplace_back(
        "the table's columns were taken in order: none has the name of a column of the model");
  }
  if (table.rows == 1) {
    notes.emplace_back("of one row there are no bounds: the next request would be outside of them");
  }
  if (table.rows < kLeastRows) {
    notes.push_back(fmt::format(
        "of fewer than {} rows no quantiles are written: drift is measured against the first {} "
        "rows of traffic instead",
        kLeastRows, observers::DriftWatch::kBaselineRows));
  }
  for (const auto& column : table.columns) {
    auto note = note_of(column);
    if (!note.empty()) notes.push_back(std::move(note));
  }
}

std::vector<InputColumn> columns_of(const LearnedTable& table, double margin,
                                    std::size_t quantiles) {
  std::vector<InputColumn> out;
  for (const auto& column : table.columns) {
    InputColumn one;
    one.name = column.name;
    if (!column.is_text()) {
      one.bounds = bounds_of(column.summary, margin);
      one.training = training_of(column, quantiles);
    }
    out.push_back(std::move(one));
  }
  return out;
}

// True: whatever is asked, the answer is the same.
bool one_answer(const PredictionTraining& training) {
  if (training.classes.empty()) return training.quantiles.front() == training.quantiles.back();
  return training.classes.size() > 1 && std::ranges::count(training.classes, 0.0) + 1 ==
                                            static_cast<std::ptrdiff_t>(training.classes.size());
}

Learned learn(const Servable& servable, const LearnedTable& table, double margin) {
  Learned out;
  note_table(table, out.notes);
  out.columns = columns_of(table, margin, kQuantiles);
  auto predictions = learn_predictions(servable, table);
  if (!predictions) {
    out.notes.push_back("nothing was learned of predictions: " + predictions.error().message);
    return out;
  }
  out.predicted = predictions->rows;
  if (predictions->skipped > 0) {
    out.notes.push_back(fmt::format("the model cannot take {} of the {} sampled rows",
                                    predictions->skipped, table.sampled));
  }
  if (predictions->rows > 1 && one_answer(predictions->training)) {
    out.notes.emplace_back(
        "the model answers the same to every row: has the table the units that it was trained on?");
  }
  if (predictions->rows >= kLeastRows) out.predictions = std::move(predictions->training);
  return out;
}

// ---- where it goes -----------------------------------------------------------------------------

Failure unwritable(int error) {
  return unavailable("unwritable", "the file cannot be written: " + std::string(strerror(error)) +
                                       "; nothing has changed");
}

bool write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const auto wrote = ::write(fd, text.data(), text.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) return false;
    text.remove_prefix(static_cast<std::size_t>(wrote));
  }
  return true;
}

// All or nothing: a file beside it, on the disk, takes its name. Links are followed.
Result<void> replace_file(const fs::path& given, const std::string& text) {
  std::error_code ignored;
  fs::path path = fs::weakly_canonical(given, ignored);
  if (ignored) path = given;
  struct stat before {};
  const bool there = ::stat(path.c_str(), &before) == 0;
  if (there && !S_ISREG(before.st_mode)) {
    return invalid("unwritable", "the output is no regular file; nothing has changed");
  }
  // A name that repositories do not look at.
  std::string draft = (path.parent_path() / ("." + path.filename().string() + ".XXXXXX")).string();
  const Fd fd(::mkostemp(draft.data(), O_CLOEXEC));
  if (!fd) return unwritable(errno);
  const mode_t mask = ::umask(0);
  ::umask(mask);
  const mode_t mode = there ? before.st_mode & 07777 : 0666 & ~mask;
  const bool written = write_all(fd.get(), text) && ::fchmod(fd.get(), mode) == 0 &&
                       ::fsync(fd.get()) == 0 && ::rename(draft.c_str(), path.c_str()) == 0;
  if (written) return {};
  const int error = errno;
  ::unlink(draft.c_str());
  return unwritable(error);
}

Result<std::string> old_text(const fs::path& path) {
  std::error_code ignored;
  if (path.empty() || !fs::exists(path, ignored)) return std::string();
  return read_text(path, kMaxConfig, "model.yaml");
}

// With fewer quantiles where the file would be too large to be read again.
Result<tools::MergedYaml> merge(const std::string& old, const LearnedTable& table, double margin,
                                Learned& learned) {
  auto out = merge_model_yaml(old, learned.columns, learned.predictions);
  if (!out || out->text.size() <= kMaxConfig) return out;
  learned.columns = columns_of(table, margin, kFewQuantiles);
  learned.notes.push_back(
      fmt::format("model.yaml would be too large: {} quantiles of each column "
                  "are written, not {}",
                  kFewQuantiles, kQuantiles));
  SLUICE_TRY(out, merge_model_yaml(old, learned.columns, learned.predictions));
  if (out->text.size() <= kMaxConfig) return out;
  return invalid("too_large", "what was learned of " + std::to_string(table.columns.size()) +
                                  " columns does not fit into a model.yaml of 1 MiB");
}

// ---- what is said ------------------------------------------------------------------------------

void say(std::FILE* to, const LearnedTable& table, const Learned& learned,
         const std::string& where) {
  const auto bounded = std::ranges::count_if(
      learned.columns, [](const InputColumn& column) { return column.bounds.has_value(); });
  std::fprintf(to, "%-12s %llu rows, %zu columns\n", "learned from",
               static_cast<unsigned long long>(table.rows), table.columns.size());
  std::fprintf(to, "%-12s %td of %zu columns\n", "bounds", bounded, learned.columns.size());
  std::fprintf(
      to, "%-12s %s\n", "predictions",
      learned.predictions ? fmt::format("of {} rows", learned.predicted).c_str() : "not learned");
  for (const auto& note : learned.notes) std::fprintf(to, "%-12s %s\n", "note", note.c_str());
  std::fprintf(to, "%-12s %s\n", "written to", where.c_str());
}

void say_json(std::FILE* to, const LearnedTable& table, const Learned& learned,
              const std::string& where) {
  std::string out;
  JsonWriter json(out);
  json.begin_object().field("rows", table.rows).key("columns").begin_array();
  for (const auto& column : learned.columns) {
    json.begin_object().field("name", std::string_view(column.name));
    json.field("bounds", column.bounds.has_value());
    json.field("training", column.training.has_value()).end_object();
  }
  json.end_array().field("predictions", learned.predictions.has_value());
  json.key("notes").begin_array();
  for (const auto& note : learned.notes) json.value(std::string_view(note));
  json.end_array().field("output", std::string_view(where)).end_object();
  std::fprintf(to, "%s\n", out.c_str());
}

Result<void> run(const LearnArguments& arguments, const LoadFlags& load_flags) {
  if (!(arguments.margin >= 0) || !std::isfinite(arguments.margin)) {
    return invalid("usage", "--margin is a share of the range: 0 or more, such as 0.1");
  }
  SLUICE_TRY(const auto opened, open_model(arguments.model, load_flags));
  const bool to_stdout = arguments.output == "-";
  const fs::path target = arguments.output.empty() ? opened.yaml : fs::path(arguments.output);
  if (target.empty()) {
    return invalid("usage",
                   "a repository reads no model.yaml for this file; put it into MODEL/1/, or say "
                   "with --output where to write");
  }
  // A new file begins as what the repository has.
  std::error_code ignored;
  const bool anew = to_stdout || !fs::exists(target, ignored);
  SLUICE_TRY(const auto old, old_text(anew ? opened.yaml : target));
  SLUICE_TRY(const auto table,
             read_training(opened.servable->signature(), arguments.table, arguments.label));
  auto learned = learn(*opened.servable, table, arguments.margin);
  SLUICE_TRY(const auto merged, merge(old, table, arguments.margin, learned));
  if (merged.comments_lost) {
    learned.notes.emplace_back(
        "the file was written anew, without its comments: its lines cannot be told apart");
  }
  if (to_stdout) {
    std::fwrite(merged.text.data(), 1, merged.text.size(), stdout);
  } else {
    SLUICE_CHECK(replace_file(target, merged.text));
  }
  const auto tell = arguments.json ? say_json : say;
  tell(to_stdout ? stderr : stdout, table, learned,
       to_stdout ? "standard output" : target.lexically_proximate(fs::current_path()).string());
  return {};
}

}  // namespace

int learn_bounds(const LearnArguments& arguments, const LoadFlags& load_flags) {
  log::set_level(log::Level::kOff);
  const auto done = run(arguments, load_flags);
  return done ? kSuccess : complain(done.error());
}

}  // namespace sluice::app
