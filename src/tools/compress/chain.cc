#include "tools/compress/chain.h"

#include <algorithm>
#include <chrono>

#include "base/text.h"

namespace sluice::tools::compress {
namespace {

namespace fs = std::filesystem;

std::string known_settings(const Method& method) {
  std::vector<std::string> out;
  for (const auto& setting : method.settings()) out.push_back(setting.key);
  return out.empty() ? "it has no settings" : "it has " + join_and(out);
}

Result<Node> parse_settings(const Method& method, std::string_view text) {
  Node out;
  out.kind = Node::Kind::kMap;
  if (text.empty()) return out;
  for (const auto piece : split(text, ',')) {
    const auto equals = piece.find('=');
    if (equals == std::string_view::npos) {
      return invalid("bad_settings", "settings of " + std::string(method.name()) +
                                         " are written key=value, with commas between them; " +
                                         known_settings(method));
    }
    out.entries.push_back({std::string(trim(piece.substr(0, equals))),
                           {},
                           Node::text(std::string(trim(piece.substr(equals + 1))))});
  }
  return out;
}

bool takes(const Method& method, const fs::path& file) {
  const std::string name = file.filename().string();
  return std::ranges::any_of(method.takes(),
                             [&](std::string_view end) { return name.ends_with(end); });
}

Failure wrong_format(const Method& method, const fs::path& file) {
  std::vector<std::string> ends;
  for (const auto end : method.takes()) ends.emplace_back(end);
  std::vector<std::string> others;
  for (const auto& other : methods()) {
    if (takes(*other, file)) others.emplace_back(other->name());
  }
  return invalid("wrong_format",
                 std::string(method.name()) + " takes " + join_and(ends) +
                     " files, and this one is called '" + printable(file.filename().string()) +
                     "'" + (others.empty() ? "" : "; for those there are " + join_and(others)));
}

// With the setting that is wrong in front.
Result<void> check_settings(const Link& link) {
  auto checked = link.method->check(link.settings);
  if (checked) return checked;
  std::string where(link.method->name());
  for (const auto& entry : link.settings.entries) {
    Node one;
    one.kind = Node::Kind::kMap;
    one.entries = {entry};
    auto alone = link.method->check(one);
    if (alone) continue;
    where += ":" + printable(entry.key) + "=" + printable(entry.value.scalar);
    checked = std::move(alone);
    break;
  }
  return invalid("bad_settings", where + ": " + checked.error().message);
}

nlohmann::json settings_json(const Link& link) {
  nlohmann::json out = nlohmann::json::object();
  for (const auto& entry : link.settings.entries) out[entry.key] = entry.value.scalar;
  return out;
}

}  // namespace

Result<Chain> parse_chain(std::string_view text) {
  Chain out;
  for (const auto piece : split(text, '+')) {
    const auto colon = piece.find(':');
    Link link;
    SLUICE_TRY(link.method, find_method(trim(piece.substr(0, colon))));
    const auto settings =
        colon == std::string_view::npos ? std::string_view() : piece.substr(colon + 1);
    SLUICE_TRY(link.settings, parse_settings(*link.method, settings));
    SLUICE_CHECK(check_settings(link));
    out.push_back(std::move(link));
  }
  return out;
}

std::string show(const Chain& chain) {
  std::string out;
  for (const auto& link : chain) {
    out += (out.empty() ? "" : "+") + std::string(link.method->name());
    char before = ':';
    for (const auto& entry : link.settings.entries) {
      out += std::exchange(before, ',') + entry.key + "=" + entry.value.scalar;
    }
  }
  return out;
}

bool needs_calibration(const Chain& chain) {
  return std::ranges::any_of(chain,
                             [](const Link& link) { return link.method->needs_calibration(); });
}

Result<Made> run_chain(const Chain& chain, const ChainTask& task) {
  Made out;
  out.file = task.from;
  nlohmann::json methods = nlohmann::json::array();
  for (std::size_t i = 0; i < chain.size(); ++i) {
    const Link& link = chain[i];
    if (!takes(*link.method, out.file)) return wrong_format(*link.method, out.file);
    const fs::path folder = task.scratch / ("step-" + std::to_string(i + 1));
    std::error_code error;
    if (!fs::create_directory(folder, error)) {
      return unavailable("unwritable",
                         "the folder of temporary files cannot be written; check "
                         "TMPDIR and its disk");
    }
    const auto began = std::chrono::steady_clock::now();
    SLUICE_TRY(auto made, link.method->make({out.file, folder, link.settings, task.calibration,
                                             task.lab, task.stop, task.progress}));
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
    // What the step before made is not wanted any more.
    if (i > 0) fs::remove_all(out.file.parent_path(), error);
    out.file = made.file;
    out.notes.insert(out.notes.end(), made.notes.begin(), made.notes.end());
    made.details["method"] = link.method->name();
    made.details["settings"] = settings_json(link);
    made.details["seconds"] = took.count();
    methods.push_back(std::move(made.details));
  }
  out.details["methods"] = std::move(methods);
  return out;
}

}  // namespace sluice::tools::compress
