#include "app/compress_trial.h"

#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>

#include "base/file.h"
#include "base/time_text.h"
#include "sources/model_yaml.h"
#include "tools/batch/journal.h"
#include "tools/compress/synthesise.h"

namespace sluice::app {
namespace {

namespace fs = std::filesystem;
using namespace tools::compress;

constexpr std::size_t kMadeUp = 2000;  // rows, where nobody gave any
constexpr std::uint64_t kSeed = 17;
constexpr double kMegabyte = 1e6;

std::string now_text() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  std::string out;
  append_time(std::chrono::duration_cast<std::chrono::seconds>(now).count() * 1'000'000'000, out);
  return out;
}

Result<std::shared_ptr<const Fd>> open_file(const fs::path& file) {
  auto fd = std::make_shared<Fd>(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (*fd) return fd;
  return unavailable("unreadable", "the model's file cannot be read");
}

std::optional<double> monthly_cost(const std::string& yaml, std::uint64_t bytes) {
  const auto read = sources::read_model_yaml(yaml);
  if (!read.problems.empty() || !read.config.cost) return std::nullopt;
  return read.config.cost->storage_per_mb_month * static_cast<double>(bytes) / kMegabyte;
}

std::vector<InputColumn> columns_of(const std::string& yaml) {
  const auto read = sources::read_model_yaml(yaml);
  return read.problems.empty() ? read.config.inputs : std::vector<InputColumn>();
}

}  // namespace

Result<std::unique_ptr<Model>> EngineLab::load(const fs::path& file) const {
  SLUICE_TRY(const auto fd, open_file(file));
  ModelFile given;
  given.name = file.filename().string();
  SLUICE_TRY(given.contents, FileBytes::copy(*fd, "the model's file"));
  SLUICE_TRY(auto directory, open_directory(file.parent_path()));
  given.directory = std::make_shared<const Fd>(std::move(directory));
  LoadOptions options;
  options.allow_code = allow_code_;
  options.name = "compress";
  for (const auto& [name, engine] : engines_.items()) {
    if (engine->accepts(given)) return engine->load(given, options);
  }
  return invalid("unknown_format", "no engine knows files of this kind");
}

Result<CompressTrial> CompressTrial::open(const CompressArguments& arguments,
                                          const std::atomic<bool>& stop) {
  SLUICE_TRY(auto scratch, Scratch::make());
  CompressTrial out(arguments, stop, std::move(scratch));
  SLUICE_CHECK(out.prepare());
  return out;
}

Result<void> CompressTrial::prepare() {
  SLUICE_TRY(original_, find_model(arguments_.model, arguments_.models, arguments_.version));
  SLUICE_TRY(const auto fd, open_file(original_.file));
  SLUICE_TRY(sha256_, tools::batch::sha256_of(*fd));
  SLUICE_TRY(opened_, open_alone(original_.file, original_, scratch_, arguments_.load_flags));
  SLUICE_CHECK(read_tables());
  show("asking the original", 0);
  SLUICE_TRY(answers_, answer_all(opened_.servable, *evaluation_, stop_));
  memory_ = peak_of_loading(original_.file, arguments_.load_flags);
  return {};
}

Result<void> CompressTrial::read_tables() {
  const auto& signature = opened_.servable->signature();
  DatasetOptions options;
  options.label = arguments_.label.empty() ? "label" : arguments_.label;
  options.label_given = !arguments_.label.empty();
  options.model = original_.model;
  if (!arguments_.evaluate.empty()) {
    options.file = arguments_.evaluate;
    SLUICE_TRY(evaluation_, read_dataset(signature, options));
  }
  if (!arguments_.calibration.empty()) {
    options.file = arguments_.calibration;
    options.label_given = options.label_given && arguments_.evaluate.empty();
    SLUICE_TRY(calibration_, read_dataset(signature, options));
  }
  std::error_code error;
  const bool same = evaluation_ && calibration_ &&
                    fs::equivalent(arguments_.evaluate, arguments_.calibration, error);
  if (evaluation_ && !same) return {};
  if (calibration_) {
    // What it was fitted to is a mild judge, and better than none.
    if (!same) {
      SLUICE_TRY(evaluation_, read_dataset(signature, options));
    }
    evaluation_->note(
        "it was tried on the rows that it was calibrated on; give others with "
        "--evaluate");
    return {};
  }
  SLUICE_TRY(evaluation_, synthesise(signature, columns_of(original_.yaml), kMadeUp, kSeed));
  synthesised_ = true;
  evaluation_->note("nobody gave rows, so that this proves little: give some with --evaluate");
  return {};
}

Result<CompressTrial::Candidate> CompressTrial::attempt(const Chain& chain) {
  SLUICE_TRY(const auto folder, scratch_.folder());
  const EngineLab lab(opened_.stack->engines(), arguments_.load_flags.allow_pickle);
  const auto began = std::chrono::steady_clock::now();
  auto ran =
      run_chain(chain, {original_.file, folder, calibration_ ? &*calibration_ : nullptr, lab, stop_,
                        [this](std::string_view what, double done) { show(what, done); }});
  if (!ran && ran.error().reason == "unwritable") {
    return unavailable("unwritable", ran.error().message +
                                         "; it is made in the folder of temporary files (TMPDIR)");
  }
  SLUICE_TRY(auto made, std::move(ran));
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
  Candidate out;
  SLUICE_TRY(out.report, held_against(made.file));
  out.file = made.file;
  out.report.method = tools::compress::show(chain);
  out.report.seconds = took.count();
  out.report.notes.insert(out.report.notes.begin(), made.notes.begin(), made.notes.end());
  out.report.details = std::move(made.details);
  return out;
}

Result<Report> CompressTrial::held_against(const fs::path& file) {
  Report out;
  out.model = original_.model + "/" + original_.version;
  out.sha256 = sha256_;
  out.created = now_text();
  out.max_drop = arguments_.max_drop;
  out.synthesised = synthesised_;
  const auto& rows_from =
      arguments_.evaluate.empty() ? arguments_.calibration : arguments_.evaluate;
  out.rows_from = fs::path(rows_from).filename().string();
  out.notes = evaluation_->notes();
  SLUICE_TRY(const auto candidate, open_alone(file, original_, scratch_, arguments_.load_flags));
  show("asking the new one", 0);
  SLUICE_TRY(const auto answers, answer_all(candidate.servable, *evaluation_, stop_));
  SLUICE_TRY(out.comparison, compare(answers_, answers, evaluation_->labels()));
  show("measuring both", 0);
  const std::chrono::milliseconds budget(static_cast<std::int64_t>(1000 * arguments_.seconds));
  SLUICE_TRY(out.timing, time_both(opened_.servable->loaded(), candidate.servable->loaded(),
                                   *evaluation_, budget, stop_));
  if (original_p50_ == 0) original_p50_ = out.timing.before.p50_us;
  if (auto note = slower_note(out.timing); !note.empty()) out.notes.push_back(std::move(note));
  out.before = {original_.bytes, memory_, monthly_cost(original_.yaml, original_.bytes)};
  const auto bytes = bytes_of(file);
  out.after = {bytes, peak_of_loading(file, arguments_.load_flags),
               monthly_cost(original_.yaml, bytes)};
  return out;
}

// A line that is written over, where somebody looks.
void CompressTrial::show(std::string_view what, double done) const {
  if (arguments_.json || ::isatty(STDERR_FILENO) == 0) return;
  if (done > 0) {
    std::fprintf(stderr, "\r\x1b[K%.*s %3.0f %%", static_cast<int>(what.size()), what.data(),
                 100 * done);
  } else {
    std::fprintf(stderr, "\r\x1b[K%.*s", static_cast<int>(what.size()), what.data());
  }
}

}  // namespace sluice::app
