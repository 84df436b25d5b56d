#include "app/reload.h"

#include <algorithm>
#include <memory>
#include <vector>

#include "base/text.h"
#include "config/yaml.h"

namespace sluice::app {
namespace {

// Takes over what can change now; the rest stays, and is named.
std::vector<std::string> take_over(const ServeOptions& next, ServeOptions& now) {
  ServeOptions out = now;
  out.strict = next.strict;
  out.version_header = next.version_header;
  out.metrics = next.metrics;
  out.default_model = next.default_model;
  out.poll = next.poll;
  out.max_models_memory = next.max_models_memory;
  out.allow_pickle = next.allow_pickle;
  out.drain_timeout = next.drain_timeout;
  out.log_level = next.log_level;
  // Whatever else differs, by what it would be shown as.
  const auto wanted = ServeOptions::schema().describe(next);
  const auto have = ServeOptions::schema().describe(out);
  std::vector<std::string> fixed;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (wanted[i].default_value != have[i].default_value) fixed.push_back(wanted[i].key);
  }
  now = std::move(out);
  return fixed;
}

}  // namespace

log::Level log_level_of(const ServeOptions& options) {
  const std::string& word = options.log_level;
  if (word == "debug") return log::Level::kDebug;
  if (word == "warn") return log::Level::kWarn;
  if (word == "error") return log::Level::kError;
  return word == "off" ? log::Level::kOff : log::Level::kInfo;
}

frontends::Settings settings_of(const ServeOptions& options) {
  return {.strict = options.strict,
          .version_header = options.version_header,
          .triton_names = options.metrics.triton_names,
          .public_metrics = options.metrics.is_public};
}

repository::LiveOptions live_options_of(const ServeOptions& options) {
  repository::LiveOptions out;
  out.default_model = options.default_model;
  out.max_memory = options.max_models_memory.value;
  out.allow_code = options.allow_pickle;
  if (options.model_control != "explicit" && options.poll != "off") {
    Problems none;  // it was checked when the options were read
    OptionType<Millis>::read(Node::text(options.poll), out.poll.emplace(), none);
  }
  return out;
}

void Reloader::reload(Stack& stack, frontends::LiveSettings& settings) {
  Problems problems;
  std::vector<std::string> warnings;
  const auto next = read_options(file_, flags_, problems, warnings);
  if (!next.default_model.empty() && stack.tables().get()->find(next.default_model) == nullptr) {
    problems.push_back(
        {{},
         "default_model is '" + printable(next.default_model) + "', but there is no such model"});
  }
  for (const auto& problem : problems) {
    log::error("SIGHUP: " + (problem.place.line > 0 ? config::show_problem("configuration", problem)
                                                    : problem.message));
  }
  if (!problems.empty()) return log::error("SIGHUP: the configuration stays as it was");
  for (const auto& warning : warnings) log::warn(warning);
  const auto fixed = take_over(next, now_);
  settings.publish(std::make_shared<const frontends::Settings>(settings_of(now_)));
  stack.repository().change(live_options_of(now_));
  log::set_level(log_level_of(now_));
  log::info("SIGHUP: the configuration has been read again");
  if (!fixed.empty()) log::warn("SIGHUP: " + join_and(fixed) + " will change with the next start");
}

}  // namespace sluice::app
