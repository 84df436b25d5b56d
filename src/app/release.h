// `sluice release`: what is asked of the management listener, and how its answers are shown.
//
// Thread-safety: plain values and functions without state.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"

namespace sluice::app {

// In the order of what was written, as people look for it.
using ReleaseJson = nlohmann::ordered_json;

struct ReleaseArguments {
  std::string url = "http://127.0.0.1:8002";
  std::string model;
  std::string action = "status";
  std::vector<std::string> values;                           // what follows the action
  std::vector<std::pair<std::string, std::string>> options;  // by kReleaseOptions' key, as written
  std::optional<std::uint64_t> revision;
  bool off = false;
  bool watch = false;
  bool json = false;
};

// An option that is sent under its key, and only when it is given.
struct ReleaseOption {
  enum class Kind : std::uint8_t { kNumber, kText, kFlag };
  const char* flag;
  const char* key;
  Kind kind;
  const char* action;  // the one that has it
  const char* help;
};
const std::vector<ReleaseOption>& release_options();
const std::vector<std::string>& release_actions();

struct ReleaseCall {
  std::string method;
  std::string path;
  std::string body;  // JSON, or empty
};

// What the arguments ask for. `shadow` with versions or --off needs to know the release first
// (shadow_call); here it is the question for it.
// Errors: kInvalidArgument/`usage`.
Result<ReleaseCall> release_call(const ReleaseArguments& arguments);
bool changes_shadow(const ReleaseArguments& arguments);
// The release that there is with other shadows; nothing when there is nothing to change.
std::optional<ReleaseCall> shadow_call(const ReleaseArguments& arguments,
                                       const ReleaseJson& release);

// The server's own words for an answer that is no success, made safe for a terminal.
std::string release_error_message(int status, std::string_view body);
// The exit code for its status.
int release_error_exit(int status);

// Many lines for people. Whatever the server sent, it never fails, and no control character of it
// is shown.
std::string release_view(const ReleaseJson& release);
// Any other answer: a line for each value, indented by depth.
std::string outline(const ReleaseJson& value);

// Whether watching this release has come to its end, and with which exit code: 0 for promoted, 1
// for rolled back, inconclusive or no release.
std::optional<int> watch_exit(const ReleaseJson& release);

}  // namespace sluice::app
