#include "app/commands.h"

#include <csignal>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

#include "base/text.h"

namespace sluice::app {
namespace {

struct Command {
  const char* name;
  const char* help;
  const char* example;
  Action (*add)(CLI::App& app);
};

constexpr Command kCommands[] = {
    {"serve", "Serve a model file, a model directory or a repository",
     "sluice serve fraud.onnx\n  sluice serve models/ --http 127.0.0.1:8000", add_serve},
    {"predict", "One prediction, without a server or from a running one",
     "sluice predict fraud.onnx --data '[1, 2, 3]'\n"
     "  sluice predict fraud --url http://127.0.0.1:8000 --input row.json",
     add_predict},
    {"explain", "Why a model answers rows of a file as it does",
     "sluice explain fraud.onnx --input rows.csv --background ordinary.csv --plot why.html",
     add_explain},
    {"inspect", "What a model takes and gives", "sluice inspect fraud.onnx", add_inspect},
    {"models", "What a running server has", "sluice models --url http://127.0.0.1:8002",
     add_models},
    {"release", "Decide which version of a model gets how much of its traffic",
     "sluice release fraud canary --stable v1 --canary v2 --step 10 --interval 60s\n"
     "  sluice release fraud status --watch\n"
     "  sluice release fraud split v1=0.9 v2=0.1\n"
     "  sluice release fraud shadow v3\n"
     "  sluice release fraud rollback",
     add_release},
    {"features", "Fill and read the embedded feature store",
     "sluice features import users.parquet --entity user_id\n"
     "  sluice features get user_42",
     add_features},
    {"batch", "Predictions for a whole table: Parquet, CSV or JSON lines, on one machine or many",
     "sluice batch --model fraud --input in.parquet --output out.parquet --workers 8\n"
     "  sluice batch --model fraud --input 'days/*.csv' --output out.csv --resume",
     add_batch},
    {"compress", "Make a smaller or faster version of a model, if it is still right",
     "sluice compress fraud/v1 --method dynamic-int8 --evaluate holdout.parquet \\\n"
     "      --output models/fraud/v2-int8\n"
     "  sluice compress fraud/v1 --search --calibration usual.parquet --evaluate holdout.parquet",
     add_compress},
    {"config", "Work on configuration files", "sluice config check model.yaml", add_config},
    {"bench", "Load a server, or measure a model here: in this process, or served in three ways",
     "sluice bench http://127.0.0.1:8000/models/fraud/predict --data '[1, 2, 3]' --concurrency 64\n"
     "  sluice bench fraud.onnx\n"
     "  sluice bench fraud.onnx --sweep",
     add_bench},
    {"completion", "Completion for a shell", "source <(sluice completion bash)", add_completion},
    {"man", "The manual page", "sluice man | man -l -", add_man},
};

int exit_of(const Error& error) {
  if (error.reason == "usage") return kUsage;
  if (error.reason == "busy") return kTryAgain;
  switch (error.code) {
    case Code::kNotFound: return kNoInput;
    case Code::kUnavailable: return kUnavailable;
    case Code::kInternal:
    case Code::kUnknown: return kInternal;
    default: return kBadData;
  }
}

// What is wrong with the command line, and where the right one stands.
std::string explained(const CLI::App& app, const CLI::ParseError& error, std::string_view first) {
  if (const auto subs = app.get_subcommands(); !subs.empty()) {
    return std::string(error.what()) + "; see sluice " + subs[0]->get_name() + " --help";
  }
  if (first.empty() || first.starts_with('-')) {
    return std::string(error.what()) + "; see sluice --help";
  }
  std::vector<std::string_view> names;
  for (const Command& command : kCommands) names.emplace_back(command.name);
  return "there is no command '" + printable(first) + "'" + did_you_mean(first, names) +
         "; see sluice --help";
}

}  // namespace

void add_pickle_flags(CLI::App& app, LoadFlags& load_flags) {
  app.add_flag("--allow-pickle", load_flags.allow_pickle, "run .pkl and .joblib files");
  app.add_option("--python", load_flags.python, "the Python that runs them");
}

void add_load_flags(CLI::App& app, LoadFlags& load_flags) {
  add_pickle_flags(app, load_flags);
  app.add_option("--cache-dir", load_flags.cache_dir, "where downloaded models are kept");
  app.add_option("--cache-size", load_flags.cache_size,
                 "most bytes of downloaded models on the disk");
}

int complain(int exit, std::string_view message) {
  std::fprintf(stderr, "sluice: %.*s\n", static_cast<int>(message.size()), message.data());
  return exit;
}

int complain(const Error& error) { return complain(exit_of(error), error.message); }

int run(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);  // a file that is too large is an error of write(2), too
  CLI::App app("One binary from model file to safe rollout.", "sluice");
  app.set_version_flag("--version", "sluice " SLUICE_VERSION);
  app.require_subcommand(1);
  app.footer("Every command: sluice COMMAND --help");
  std::vector<std::pair<CLI::App*, Action>> actions;
  for (const Command& command : kCommands) {
    CLI::App* sub = app.add_subcommand(command.name, command.help);
    sub->footer(std::string("Example:\n  ") + command.example);
    actions.emplace_back(sub, command.add(*sub));
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& help) {
    return app.exit(help);
  } catch (const CLI::CallForVersion& version) {
    return app.exit(version);
  } catch (const CLI::Success& success) {
    return app.exit(success);
  } catch (const CLI::ParseError& error) {
    return complain(kUsage, explained(app, error, argc > 1 ? argv[1] : ""));
  }
  for (const auto& [sub, action] : actions) {
    if (sub->parsed()) return action();
  }
  return kUsage;
}

}  // namespace sluice::app
