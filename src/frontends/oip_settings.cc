#include "frontends/oip_settings.h"

#include <array>
#include <optional>
#include <utility>
#include <vector>

#include "base/log.h"
#include "base/text.h"

namespace sluice::frontends {
namespace {

constexpr std::array<std::pair<std::string_view, log::Level>, 3> kLevels = {
    {{"log_info", log::Level::kInfo},
     {"log_warning", log::Level::kWarn},
     {"log_error", log::Level::kError}}};

struct Change {
  log::Level level;
  bool on;
};

Failure bad(const std::string& key, std::string_view expected) {
  return invalid("bad_setting",
                 "setting '" + printable(key) + "' must be " + std::string(expected));
}

Result<std::optional<Change>> read_change(const std::string& key, const LogValue& value) {
  for (const auto& [name, level] : kLevels) {
    if (key != name) continue;
    const bool* on = std::get_if<bool>(&value);
    if (on == nullptr) return bad(key, "true or false");
    return Change{level, *on};
  }
  if (key == "log_verbose_level") {
    const auto* level = std::get_if<std::uint64_t>(&value);
    if (level == nullptr) return bad(key, "a whole number");
    return Change{log::Level::kDebug, *level > 0};
  }
  if (key == "log_format") {
    const auto* format = std::get_if<std::string>(&value);
    if (format == nullptr || *format != "ISO8601") return bad(key, "ISO8601");
    return std::nullopt;
  }
  if (key == "log_file") return bad(key, "left out: the log goes to the server's stderr");
  return bad(key, "one of log_info, log_warning, log_error, log_verbose_level and log_format");
}

}  // namespace

LogSettings log_settings() {
  LogSettings out;
  for (const auto& [name, level] : kLevels) out[std::string(name)] = log::enabled(level);
  out["log_verbose_level"] = std::uint64_t{log::enabled(log::Level::kDebug)};
  out["log_format"] = "ISO8601";
  out["log_file"] = "";
  return out;
}

Result<void> change_log_settings(const LogSettings& changes) {
  std::vector<Change> wanted;
  for (const auto& [key, value] : changes) {
    SLUICE_TRY(const auto change, read_change(key, value));
    if (change) wanted.push_back(*change);
  }
  for (const auto& change : wanted) log::enable(change.level, change.on);
  return {};
}

}  // namespace sluice::frontends
