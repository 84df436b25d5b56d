// sluice release

#include "app/release.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <thread>

#include "app/commands.h"
#include "app/http_client.h"
#include "base/text.h"

namespace sluice::app {
namespace {

constexpr std::chrono::seconds kTimeout{10};
// A server that is being started anew is waited for.
constexpr int kPatience = 30;

// A success and its body, or the exit code of what has been complained about.
std::expected<std::string, int> ask(const ReleaseArguments& arguments, const ReleaseCall& call) {
  auto url = parse_url(arguments.url);
  if (!url) return std::unexpected(complain(kUsage, url.error().message));
  url->path = call.path;
  auto answer = http_request(*url, call.method, call.body, kTimeout);
  if (!answer) return std::unexpected(complain(answer.error()));
  if (answer->status >= 200 && answer->status < 300) return std::move(answer->body);
  return std::unexpected(complain(release_error_exit(answer->status),
                                  release_error_message(answer->status, answer->body)));
}

int complain_of_strange_answer() {
  return complain(kUnavailable,
                  "the server does not speak of releases there; use the address of its management "
                  "listener");
}

void print(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

int show(const ReleaseArguments& arguments, const std::string& body) {
  if (arguments.json) {
    print(body + "\n");
    return kSuccess;
  }
  const auto parsed = ReleaseJson::parse(body, nullptr, false);
  if (arguments.action == "remove" && !parsed.contains("policy")) {
    print(printable(arguments.model) + " has no release any more\n");
    return kSuccess;
  }
  if (!parsed.is_object()) return complain_of_strange_answer();
  // What shadows did is another answer than a release.
  print(parsed.contains("policy") ? release_view(parsed) : outline(parsed));
  return kSuccess;
}

int change_shadow(const ReleaseArguments& arguments, const ReleaseCall& question) {
  const auto there = ask(arguments, question);
  if (!there) return there.error();
  const auto release = ReleaseJson::parse(*there, nullptr, false);
  if (!release.is_object()) return complain_of_strange_answer();
  const auto call = shadow_call(arguments, release);
  if (!call) return show(arguments, *there);
  const auto answer = ask(arguments, *call);
  return answer ? show(arguments, *answer) : answer.error();
}

// Over the frame before, without a moment of an empty screen.
void paint(const std::string& frame, bool first) {
  if (::isatty(STDOUT_FILENO) == 0) return print(frame + "\n");
  std::string out = first ? "\x1b[2J\x1b[H" : "\x1b[H";
  for (const auto line : split(frame, '\n')) out += std::string(line) + "\x1b[K\n";
  print(out + "\x1b[J");
}

// Ctrl-C ends it as it ends any program.
int watch(const ReleaseArguments& arguments, const ReleaseCall& call) {
  int silent = 0;
  for (bool first = true;; first = false) {
    const auto body = ask(arguments, call);
    if (!body) {
      const bool may_return = !first && body.error() == kUnavailable;
      if (!may_return || ++silent > kPatience) return body.error();
    } else {
      silent = 0;
      const auto release = ReleaseJson::parse(*body, nullptr, false);
      if (!release.is_object()) return complain_of_strange_answer();
      arguments.json ? print(*body + "\n") : paint(release_view(release), first);
      if (const auto exit = watch_exit(release)) return *exit;
    }
    std::this_thread::sleep_for(std::chrono::seconds(1));
  }
}

int release(const ReleaseArguments& arguments) {
  const auto call = release_call(arguments);
  if (!call) return complain(call.error());
  if (arguments.watch) return watch(arguments, *call);
  if (changes_shadow(arguments)) return change_shadow(arguments, *call);
  const auto answer = ask(arguments, *call);
  return answer ? show(arguments, *answer) : answer.error();
}

void declare(CLI::App& app, const ReleaseOption& option,
             const std::shared_ptr<ReleaseArguments>& arguments) {
  const auto group = std::string("Options of ") + option.action;
  if (option.kind == ReleaseOption::Kind::kFlag) {
    app.add_flag_callback(
           option.flag,
           [arguments, key = option.key] { arguments->options.emplace_back(key, "true"); },
           option.help)
        ->group(group);
    return;
  }
  app.add_option_function<std::string>(
         option.flag,
         [arguments, key = option.key](const std::string& value) {
           arguments->options.emplace_back(key, value);
         },
         option.help)
      ->type_name(option.kind == ReleaseOption::Kind::kNumber ? "NUMBER" : "TEXT")
      ->group(group);
}

}  // namespace

Action add_release(CLI::App& app) {
  auto arguments = std::make_shared<ReleaseArguments>();
  app.add_option("model", arguments->model, "the model's name")->required();
  app.add_option("action", arguments->action, "what to do")
      ->check(CLI::IsMember(release_actions()))
      ->capture_default_str();
  app.add_option("values", arguments->values, "versions; with split each with its share: v1=0.9");
  app.add_option("--url", arguments->url, "management address of a server")->capture_default_str();
  app.add_option("--revision", arguments->revision,
                 "change it only if it is still at this revision");
  app.add_flag("--json", arguments->json, "print the server's answer");
  app.add_flag("--watch", arguments->watch,
               "status: again every second until it has ended; exit code 0 for promoted, 1 for "
               "rolled back, inconclusive or no release");
  app.add_flag("--off", arguments->off, "shadow: no more shadows");
  for (const auto& option : release_options()) declare(app, option, arguments);
  return [arguments] { return release(*arguments); };
}

}  // namespace sluice::app
