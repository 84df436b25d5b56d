// sluice serve

#include <pthread.h>
#include <signal.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <future>
#include <memory>

#include "app/commands.h"
#include "app/options.h"
#include "app/reload.h"
#include "app/stack.h"
#include "app/tracing.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/processors.h"
#include "base/text.h"
#include "config/yaml.h"
#include "engines/builtin.h"
#include "frontends/builtin.h"
#include "frontends/grpc_health.h"
#include "sources/builtin.h"
#include "transport/server.h"

namespace sluice::app {
namespace {

using transport::Origin;
using transport::Server;

struct Arguments {
  std::string path;
  std::string config;
  // Flags that were given, as if they had been lines of the file.
  Node flags;
};

sigset_t stop_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGHUP);
  return set;
}

// The signal that came within `limit`, or 0.
int signal_within(std::chrono::milliseconds limit) {
  const sigset_t set = stop_signals();
  const timespec wait{limit.count() / 1000, limit.count() % 1000 * 1'000'000};
  return std::max(0, sigtimedwait(&set, nullptr, &wait));
}

bool stops(int signal) { return signal == SIGTERM || signal == SIGINT; }

// Whoever presses Ctrl-C once more does not want to wait.
void let_interrupt() {
  sigset_t again;
  sigemptyset(&again);
  sigaddset(&again, SIGINT);
  pthread_sigmask(SIG_UNBLOCK, &again, nullptr);
}

bool explicit_control(const ServeOptions& options) { return options.model_control == "explicit"; }

int io_threads(const ServeOptions& options) {
  const auto cores = static_cast<std::int64_t>(usable_processors());
  return static_cast<int>(
      std::max<std::int64_t>(1, options.io_threads > 0 ? options.io_threads : cores));
}

repository::RepositoryOptions repository_options(const ServeOptions& options) {
  repository::RepositoryOptions out;
  out.live = live_options_of(options);
  out.parallel = io_threads(options);
  out.on_request = explicit_control(options);
  for (const auto name : split(options.load_model, ',')) {
    if (!trim(name).empty()) out.load_first.emplace_back(trim(name));
  }
  return out;
}

sources::RemoteOptions remote_options(const ServeOptions& options,
                                      const std::optional<Millis>& poll) {
  sources::RemoteOptions out = cache_options(options);
  // As for a local directory: less than a poll, so that two looks are enough.
  if (poll) out.settle = std::clamp(*poll - Millis(50), Millis(0), out.settle);
  // Whoever looks only when asked wants to see what there is then.
  out.only_when_asked = !poll;
  return out;
}

// Beside the models, unless it is said; a repository elsewhere has no beside.
StateOptions state_options(const ServeOptions& options) {
  namespace fs = std::filesystem;
  if (!options.state_dir.empty()) return {options.state_dir, true, options.state};
  if (options.models.find("://") != std::string::npos) return {".sluice", false, options.state};
  std::error_code ignored;
  const fs::path models(options.models);
  const fs::path beside = fs::is_directory(models, ignored) ? models : models.parent_path();
  return {(beside / ".sluice").string(), false, options.state};
}

observers::PredictionLogOptions log_options(const ServeOptions& options) {
  return {options.prediction_log, options.log_rotate.value, options.log_keep, options.log_interval};
}

// How long the end waits for a model that is being loaded, which nothing can break off.
constexpr Millis kLoadingGrace{3000};

// Everything that answers, from listeners to the pipeline.
class Frontends {
 public:
  Frontends(Stack& stack, const ServeOptions& options)
      : settings_(std::make_shared<const frontends::Settings>(settings_of(options))),
        shared_memory_(options.allow_client_shm),
        router_({options.max_body.value, explicit_control(options)}, settings_) {
    frontends::add_builtin(router_, methods_,
                           {stack.pipeline(), stack.tables(), stack.repository(), stack.releases(),
                            stack.trace(), shared_memory_, settings_, stack.shadows(),
                            stack.watch(), stack.features(), explicit_control(options)});
    transport::Services services;
    services.http = &router_;
    services.grpc = &methods_;
    services.limits.body = options.max_body.value;
    services.on_tick = [this, &stack] {
      settings_.refresh();
      stack.tables().refresh();
      stack.pipeline().sweep();
      frontends::tick_grpc_health();
    };
    server_ = std::make_unique<Server>(std::move(services), io_threads(options));
  }

  // Binds all three; prints where they listen.
  Result<void> listen(const ServeOptions& options) {
    struct Listener {
      const char* name;
      const std::string& address;
      Origin origin;
    };
    const Listener listeners[] = {{"http", options.http, {false, true}},
                                  {"grpc", options.grpc, {false, false}},
                                  {"management", options.management, {true, true}}};
    std::string line = "listening";
    for (const auto& listener : listeners) {
      SLUICE_TRY(const auto address, transport::parse_address(listener.address));
      SLUICE_TRY(const auto bound, server_->listen(address, listener.origin, listener.name));
      line += std::string("  ") + listener.name + " " + bound.show();
    }
    std::printf("%s\n", line.c_str());
    std::fflush(stdout);
    return {};
  }

  void start() { server_->start(); }
  frontends::LiveSettings& settings() { return settings_; }
  // Everybody is answered, or dropped after `grace`; then the models end, and last what they still
  // had to say to those who are gone. False: something still runs or is being loaded, which nothing
  // can break off but the end of the process.
  bool stop(Stack& stack, Millis grace) {
    if (!server_->drain_and_stop(grace) || !stack.close(kLoadingGrace)) return false;
    server_->finish_posted();
    return true;
  }
  // The first part of it alone, where models are still being loaded.
  void drain(Millis grace) { server_->drain_and_stop(grace); }

 private:
  frontends::LiveSettings settings_;
  clients::SharedMemory shared_memory_;
  frontends::Router router_;
  transport::GrpcMethods methods_;
  std::unique_ptr<Server> server_;
};

// A single file that does not load is the whole job failed; in a repository others go on.
Result<void> check_single(const Stack& stack) {
  const auto table = stack.tables().get();
  for (const auto& [name, entry] : table->models) {
    if (entry->can_serve()) return {};
    Error error = stack.why_not(*entry);
    error.message = "model " + name + " cannot be served: " + error.message;
    return Failure(std::move(error));
  }
  return {};
}

void tell_what_serves(const Stack& stack) {
  const auto table = stack.tables().get();
  const auto serving = std::ranges::count_if(
      table->models, [](const auto& model) { return model.second->can_serve(); });
  log::info("serving " + std::to_string(serving) + " of " + std::to_string(table->models.size()) +
            (table->models.size() == 1 ? " model" : " models"));
  if (table->models.empty())
    log::warn("there are no models here yet; every prediction answers 404");
}

// A load cannot be broken off but by the end of the process.
[[noreturn]] void end_while_loading(Stack& stack, Frontends& frontends, Millis drain_timeout) {
  let_interrupt();
  log::info("stopped, while models were still being loaded: what is in flight is answered");
  stack.announce_drain();
  frontends.drain(drain_timeout);
  stack.keep_log();
  std::_Exit(kSuccess);
}

int serve(Reloader& reloader) {
  const ServeOptions options = reloader.now();
  set_up_memory();
  // Signals are waited for by this thread alone; threads started from here on block them.
  const sigset_t signals = stop_signals();
  // Before there is any other thread.
  const engines::EngineOptions engine_options{options.python};
  auto probe = repository::Probe::start([&engine_options](Registry<Engine>& registry) {
    engines::register_builtin(registry, engine_options);
  });
  if (!probe) return complain(probe.error());
  // After it: what tries models keeps the limit that it was started with.
  transport::raise_descriptor_limit();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  auto repository = repository_options(options);
  auto remote = remote_options(options, repository.live.poll);
  auto faults = serving::FaultTable::parse(options.inject_faults);
  if (!faults) return complain(faults.error());
  if (!faults->empty()) {
    log::warn("inject_faults is set: versions fail on purpose; never where answers matter");
  }
  auto stack = Stack::open(
      options.models, std::move(repository), engine_options, probe->get(), std::move(remote),
      {state_options(options), *std::move(faults), log_options(options), options.log_key,
       tracer_options(options), options.feature_stores, options.model_name});
  if (!stack) return complain(stack.error());
  Frontends frontends(**stack, options);
  if (auto ok = frontends.listen(options); !ok) return complain(ok.error());
  frontends.start();
  std::error_code ignored;
  const bool single =
      std::filesystem::is_regular_file(options.models, ignored) && !explicit_control(options);
  // The one sentence about a single broken file is the command's, not the log's as well.
  const auto teller = single ? Teller::kCommand : Teller::kLog;
  auto loading = std::async(std::launch::async, [&] { return (*stack)->load(teller); });
  int signal = 0;  // SIGHUP: to be seen to when models are loaded
  while (loading.wait_for(Millis(0)) != std::future_status::ready) {
    signal = std::max(signal, signal_within(Millis(20)));
    if (!stops(signal)) continue;
    if (!(*stack)->tables().get()->loading) break;  // just now: it ends as one that is ready
    end_while_loading(**stack, frontends, reloader.now().drain_timeout);
  }
  auto loaded = loading.get();
  if (loaded && single) loaded = check_single(**stack);
  if (!loaded) {
    const int code = complain(loaded.error());
    if (frontends.stop(**stack, Millis(0))) return code;
    (*stack)->keep_log();
    std::_Exit(code);
  }
  tell_what_serves(**stack);
  for (; !stops(signal); signal = signal_within(std::chrono::hours(1))) {
    if (signal == SIGHUP) reloader.reload(**stack, frontends.settings());
  }
  let_interrupt();
  log::info("draining: what is in flight is answered, then the server ends");
  (*stack)->announce_drain();
  const bool ended = frontends.stop(**stack, reloader.now().drain_timeout);
  log::info(ended ? "stopped" : "stopped; what still ran is dropped");
  if (ended) return kSuccess;
  (*stack)->keep_log();
  std::_Exit(kSuccess);
}

int serve_arguments(Arguments arguments) {
  if (!arguments.path.empty()) {
    arguments.flags.entries.push_back({"models", {}, Node::text(arguments.path)});
  }
  arguments.flags.kind = Node::Kind::kMap;
  std::error_code ignored;
  if (!arguments.config.empty() && !std::filesystem::exists(arguments.config, ignored)) {
    return complain(kNoInput, "there is no configuration file '" + arguments.config + "'");
  }
  Problems problems;
  std::vector<std::string> warnings;
  const auto options = read_options(arguments.config, arguments.flags, problems, warnings);
  bool in_file = false;
  for (const auto& problem : problems) {
    const bool has_place = problem.place.line > 0;
    in_file = in_file || has_place;
    complain(kBadData,
             has_place ? config::show_problem(arguments.config, problem) : problem.message);
  }
  if (!problems.empty()) return in_file ? kBadData : kUsage;
  log::set_level(log_level_of(options));
  for (const auto& warning : warnings) log::warn(warning);
  Reloader reloader(arguments.config, arguments.flags, options);
  return serve(reloader);
}

}  // namespace

Action add_serve(CLI::App& app) {
  auto arguments = std::make_shared<Arguments>();
  app.add_option("path", arguments->path,
                 "model file, model directory or repository, or a URL of one (models/)");
  app.add_option("--config", arguments->config, "YAML file with any of these options");
  for (const auto& info : ServeOptions::schema().describe()) {
    if (info.key == "models" || info.key.find('.') != std::string::npos) continue;
    std::string flag = "--" + info.key;
    std::ranges::replace(flag, '_', '-');
    const auto set = [arguments, key = info.key](const std::string& value) {
      arguments->flags.entries.push_back({key, {}, Node::text(value)});
    };
    if (info.type == "true | false") {
      app.add_flag_callback(
          flag, [set] { set("true"); }, info.help);
    } else {
      app.add_option_function<std::string>(flag, set, info.help + " (" + info.default_value + ")");
    }
  }
  return [arguments] { return serve_arguments(*arguments); };
}

}  // namespace sluice::app
