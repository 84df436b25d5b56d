#include <algorithm>
#include <cmath>

#include "app/commands.h"
#include "app/release.h"
#include "base/text.h"
#include "clients/http.h"

namespace sluice::app {
namespace {

using Kind = ReleaseOption::Kind;

struct ActionRule {
  const char* name;
  std::size_t least;  // values that must follow
  std::size_t most;
  const char* values;  // what they are, for messages
  bool changes;
};

constexpr std::size_t kMany = 64;
constexpr ActionRule kActions[] = {
    {"status", 0, 0, "nothing", false},
    {"split", 1, kMany, "versions with their shares: v1=0.9 v2=0.1", true},
    {"canary", 0, 0, "only options: --stable v1 --canary v2", true},
    {"bandit", 2, kMany, "two versions or more: v1 v2", true},
    {"shadow", 0, kMany, "versions, or --off, or nothing to show what they did", true},
    {"promote", 0, 1, "a version, or nothing", true},
    {"rollback", 0, 0, "nothing", true},
    {"pause", 0, 0, "nothing", true},
    {"resume", 0, 0, "nothing", true},
    {"remove", 0, 0, "nothing", true},
};

Failure usage(std::string message) {
  return invalid("usage", std::move(message) + "; see sluice release --help");
}

const ActionRule* rule_of(std::string_view action) {
  const auto* found = std::ranges::find(kActions, action, &ActionRule::name);
  return found == std::end(kActions) ? nullptr : found;
}

const ReleaseOption* option_of(std::string_view key) {
  const auto found = std::ranges::find(release_options(), key, &ReleaseOption::key);
  return found == release_options().end() ? nullptr : &*found;
}

Result<ReleaseJson> number_of(std::string_view text, const std::string& what) {
  if (const auto whole = parse_int(text)) return *whole;
  const auto value = parse_double(text);
  if (value && std::isfinite(*value)) return *value;
  return usage(what + " must be a number, not '" + printable(text) + "'");
}

// What does not belong to the action would be left out without a word.
Result<void> check(const ReleaseArguments& arguments) {
  const auto* rule = rule_of(arguments.action);
  if (!rule) {
    return usage("there is no action '" + printable(arguments.action) + "'; there are " +
                 join_and(release_actions()));
  }
  const std::string name = rule->name;
  if (arguments.model.empty()) return usage("name a model");
  if (arguments.values.size() < rule->least || arguments.values.size() > rule->most) {
    return usage(name + " takes " + rule->values);
  }
  for (const auto& [key, value] : arguments.options) {
    const auto* option = option_of(key);
    if (!option || name != option->action) {
      return usage(std::string(option ? option->flag : key) + " does not belong to " + name);
    }
  }
  if (arguments.off && name != "shadow") return usage("--off belongs to shadow");
  if (arguments.off && !arguments.values.empty()) return usage("give --off or versions, not both");
  if (arguments.watch && name != "status") return usage("--watch belongs to status");
  const bool changes = name == "shadow" ? changes_shadow(arguments) : rule->changes;
  if (arguments.revision && !changes) return usage("--revision belongs to what changes a release");
  return {};
}

Result<ReleaseJson> weights_of(const std::vector<std::string>& values) {
  auto out = ReleaseJson::object();
  for (const auto& value : values) {
    const auto at = value.rfind('=');
    if (at == std::string::npos || at == 0) {
      return usage("'" + printable(value) + "' is not VERSION=SHARE, like v1=0.9");
    }
    const auto version = value.substr(0, at);
    if (out.contains(version)) return usage("'" + printable(version) + "' is given twice");
    SLUICE_TRY(auto share, number_of(value.substr(at + 1), "the share of " + printable(version)));
    out[version] = std::move(share);
  }
  return out;
}

Result<void> add_options(const ReleaseArguments& arguments, ReleaseJson& body) {
  for (const auto& [key, text] : arguments.options) {
    const auto* option = option_of(key);
    if (option->kind == Kind::kFlag) {
      body[key] = true;
    } else if (option->kind == Kind::kText) {
      body[key] = text;
    } else {
      SLUICE_TRY(body[key], number_of(text, option->flag));
    }
  }
  return {};
}

Result<ReleaseJson> spec_of(const ReleaseArguments& arguments) {
  ReleaseJson body = {{"policy", arguments.action}};
  if (arguments.action == "split") {
    SLUICE_TRY(body["weights"], weights_of(arguments.values));
  } else if (arguments.action == "bandit") {
    body["arms"] = arguments.values;
  }
  SLUICE_CHECK(add_options(arguments, body));
  if (arguments.action == "canary" && !(body.contains("stable") && body.contains("canary"))) {
    return usage("a canary needs --stable VERSION and --canary VERSION");
  }
  return body;
}

std::string release_path(const ReleaseArguments& arguments) {
  return "/api/models/" + clients::percent_encode(arguments.model, false) + "/release";
}

// Without what is not UTF-8 on the command line, of which no JSON can be made.
std::string text_of(const ReleaseJson& body) {
  return body.dump(-1, ' ', false, ReleaseJson::error_handler_t::replace);
}

ReleaseCall with_revision(std::string method, std::string path, ReleaseJson body,
                          std::optional<std::uint64_t> revision) {
  if (revision) body["revision"] = *revision;
  return {std::move(method), std::move(path), body.empty() ? "" : text_of(body)};
}

std::uint64_t revision_of(const ReleaseJson& release) {
  const auto found = release.find("revision");
  return found != release.end() && found->is_number_unsigned() ? found->get<std::uint64_t>() : 0;
}

}  // namespace

const std::vector<ReleaseOption>& release_options() {
  static const std::vector<ReleaseOption> kOptions = {
      {"--assignment", "assignment", Kind::kText, "split",
       "who gets which version: hash (a user stays with one), or seed"},
      {"--stable", "stable", Kind::kText, "canary", "the version that everybody has"},
      {"--canary", "canary", Kind::kText, "canary", "the version that is tried"},
      {"--start", "start", Kind::kNumber, "canary", "percent of the traffic to begin with"},
      {"--step", "step", Kind::kNumber, "canary", "percent more after each interval"},
      {"--target", "target", Kind::kNumber, "canary", "percent at which it is promoted"},
      {"--interval", "interval", Kind::kText, "canary", "how long it stays at each step: 60s"},
      {"--analysis", "analysis", Kind::kText, "canary", "how it is judged: sequential or seed"},
      {"--alpha", "alpha", Kind::kNumber, "canary",
       "how often a healthy canary may be taken back: 0.01"},
      {"--max-error-ratio", "max_error_ratio", Kind::kNumber, "canary",
       "how many times stable's error rate is too bad"},
      {"--max-p95-ratio", "max_p95_ratio", Kind::kNumber, "canary",
       "how many times slower is too slow"},
      {"--latency-slack", "latency_slack", Kind::kText, "canary",
       "so much slower is nothing, whatever the ratio: 1ms"},
      {"--min-requests", "min_requests", Kind::kNumber, "canary",
       "requests of the canary before it can be promoted"},
      {"--max-duration", "max_duration", Kind::kText, "canary",
       "after which it is inconclusive; else a day more than the steps take"},
      {"--algorithm", "algorithm", Kind::kText, "bandit", "thompson, ucb1 or epsilon_greedy"},
      {"--epsilon", "epsilon", Kind::kNumber, "bandit",
       "of epsilon_greedy: how much goes to any version"},
      {"--reward-ttl", "reward_ttl", Kind::kText, "bandit", "how long a reward may take: 24h"},
      {"--rewards", "rewards", Kind::kText, "bandit",
       "bernoulli (0 to 1) or gaussian (any number)"},
      {"--sticky", "sticky", Kind::kFlag, "bandit", "a user stays with a version"},
      {"--discount", "discount", Kind::kNumber, "bandit", "what a reward is worth a day later"},
      {"--min-share", "min_share", Kind::kNumber, "bandit", "what every version gets at least"},
  };
  return kOptions;
}

const std::vector<std::string>& release_actions() {
  static const auto kNames = [] {
    std::vector<std::string> out;
    for (const auto& rule : kActions) out.emplace_back(rule.name);
    return out;
  }();
  return kNames;
}

bool changes_shadow(const ReleaseArguments& arguments) {
  return arguments.action == "shadow" && (arguments.off || !arguments.values.empty());
}

Result<ReleaseCall> release_call(const ReleaseArguments& arguments) {
  SLUICE_CHECK(check(arguments));
  const auto path = release_path(arguments);
  const auto& action = arguments.action;
  if (action == "status" || changes_shadow(arguments)) return ReleaseCall{"GET", path, ""};
  if (action == "shadow") {
    return ReleaseCall{
        "GET", "/api/models/" + clients::percent_encode(arguments.model, false) + "/shadow", ""};
  }
  auto body = ReleaseJson::object();
  if (action == "remove") return with_revision("DELETE", path, body, arguments.revision);
  if (action == "split" || action == "canary" || action == "bandit") {
    SLUICE_TRY(auto spec, spec_of(arguments));
    return with_revision("PUT", path, std::move(spec), arguments.revision);
  }
  if (!arguments.values.empty()) body["version"] = arguments.values.front();
  return with_revision("POST", path + "/" + action, std::move(body), arguments.revision);
}

std::optional<ReleaseCall> shadow_call(const ReleaseArguments& arguments,
                                       const ReleaseJson& release) {
  const auto path = release_path(arguments);
  const auto there = revision_of(release);
  auto spec = ReleaseJson::object();
  if (there > 0 && release.contains("spec") && release["spec"].is_object()) spec = release["spec"];
  // So that nobody's change in between is lost.
  auto revision = arguments.revision;
  if (!revision && there > 0) revision = there;
  if (!arguments.off) {
    spec["shadow"] = arguments.values;
    return with_revision("PUT", path, std::move(spec), revision);
  }
  if (spec.erase("shadow") == 0) return std::nullopt;
  // It was there for its shadows alone.
  if (spec.empty()) return with_revision("DELETE", path, std::move(spec), revision);
  return with_revision("PUT", path, std::move(spec), revision);
}

std::string release_error_message(int status, std::string_view body) {
  constexpr std::size_t kLongest = 2000;
  const auto parsed = ReleaseJson::parse(body, nullptr, false);
  if (parsed.is_object() && parsed.contains("error")) {
    const auto& error = parsed["error"];
    if (error.is_string()) return printable(error.get<std::string>(), kLongest);
    if (error.is_object() && error.contains("message") && error["message"].is_string()) {
      return printable(error["message"].get<std::string>(), kLongest);
    }
  }
  return "the server answered " + std::to_string(status) +
         "; use the address of its management listener";
}

int release_error_exit(int status) {
  if (status == 502 || status == 503 || status == 504) return kUnavailable;
  return status >= 400 && status < 500 ? kBadData : kInternal;
}

std::optional<int> watch_exit(const ReleaseJson& release) {
  const auto is = [&](const char* key, std::string_view word) {
    const auto found = release.find(key);
    return found != release.end() && found->is_string() && found->get<std::string>() == word;
  };
  if (is("state", "promoted")) return kSuccess;
  if (is("state", "rolled_back") || is("state", "inconclusive") || is("policy", "none")) return 1;
  return std::nullopt;
}

}  // namespace sluice::app
