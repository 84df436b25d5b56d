// sluice compress

#include <CLI/CLI.hpp>
#include <atomic>
#include <cstdio>
#include <memory>

#include "app/commands.h"
#include "app/compress_run.h"
#include "app/until_stopped.h"
#include "base/log.h"
#include "base/text.h"

namespace sluice::app {
namespace {

constexpr int kRefused = 1;  // it loses more than is allowed

std::string methods_help() {
  std::string out =
      "one, or several with + between them, each with its settings behind it "
      "(prune:sparsity=0.3+dynamic-int8):";
  for (const auto& method : tools::compress::methods()) {
    out += "\n" + std::string(method->name()) + ": " + std::string(method->help());
    std::string settings;
    for (const auto& one : method->settings()) {
      settings +=
          (settings.empty() ? "" : "; ") + one.key + " (" + one.default_value + "): " + one.help;
    }
    if (!settings.empty()) out += ". Settings: " + settings;
  }
  return out;
}

int compress(const CompressArguments& arguments) {
  log::set_level(log::Level::kOff);
  block_stop_signals();
  std::atomic<bool> stop = false;
  const auto done = until_stopped(
      [&] { return run_compress(arguments, stop); }, stop,
      {[] {}, [] { std::fputs("\nsluice: stopping; once more stops at once\n", stderr); }, [] {}});
  if (!done) {
    const bool stopped = done.error().code == Code::kCancelled;
    return stopped ? complain(kStopped, done.error().message) : complain(done.error());
  }
  std::fwrite(done->text.data(), 1, done->text.size(), stdout);
  return done->kept ? kSuccess : kRefused;
}

}  // namespace

Action add_compress(CLI::App& app) {
  auto arguments = std::make_shared<CompressArguments>();
  app.add_option("model", arguments->model,
                 "a model's file, a version's folder, or a name such as fraud/v1 in --models")
      ->required();
  app.add_option("--models", arguments->models, "where models are looked for by name")
      ->capture_default_str();
  app.add_option("--version", arguments->version, "of a model's folder; else the newest");
  app.add_option("--method", arguments->method, methods_help());
  app.add_option("--calibration", arguments->calibration,
                 "rows that the model usually gets: Parquet, CSV, JSON lines, .npy, or its "
                 "prediction log");
  app.add_option("--evaluate", arguments->evaluate, "rows that it is tried on; the same kinds");
  app.add_option("--label", arguments->label,
                 "the column of these that is true (default: label, where there is one); of .npy "
                 "another .npy");
  app.add_option("--max-accuracy-drop", arguments->max_drop,
                 "what it may lose, as a share: of accuracy or R² with labels, of agreement with "
                 "the original without")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  app.add_option("--output", arguments->output,
                 "the new version's folder, such as models/fraud/v2-int8");
  app.add_option("--seconds", arguments->seconds, "how long both are measured")
      ->check(CLI::Range(0.1, 600.0))
      ->capture_default_str();
  app.add_flag("--search", arguments->search,
               "try methods and settings, and show those that no other is better than in "
               "everything: size, latency and what is lost");
  app.add_option("--budget", arguments->budget, "seconds that a search takes")
      ->check(CLI::Range(1.0, 86'400.0))
      ->capture_default_str();
  app.add_option("--pick", arguments->pick,
                 "which of those that a search found is written: smallest, fastest, closest, or a "
                 "method as it is shown");
  add_pickle_flags(app, arguments->load_flags);
  app.add_flag("--json", arguments->json, "the report as JSON");
  return [arguments] { return compress(*arguments); };
}

}  // namespace sluice::app
