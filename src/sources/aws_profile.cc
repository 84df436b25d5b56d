#include "sources/aws_profile.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "base/file.h"
#include "base/text.h"

namespace sluice::sources {
namespace {

constexpr std::size_t kMaxFile = 1 << 20;
constexpr const char* kCredentialsFile = "AWS_SHARED_CREDENTIALS_FILE";
constexpr const char* kConfigFile = "AWS_CONFIG_FILE";

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  });
  return out;
}

// What a variable names, where "~" is the home directory as in a shell; else a file of ~/.aws.
std::string path_of(const Environment& environment, const char* variable, const char* usual) {
  const auto home = environment("HOME").value_or("");
  const auto named = environment(variable);
  if (!named) return home + "/.aws/" + usual;
  return named->starts_with("~/") ? home + named->substr(1) : *named;
}

}  // namespace

std::optional<std::string> process_environment(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr || *value == '\0') return std::nullopt;
  return value;
}

Result<std::optional<std::string>> secret_of(const Environment& environment, const char* name) {
  const auto value = environment(name);
  if (!value) return std::nullopt;
  auto text = value->substr(0, value->find_last_not_of("\r\n") + 1);
  if (text.empty()) return std::nullopt;
  const auto is_control = [](char c) { return (c >= 0 && c < ' ') || c == 0x7f; };
  if (std::ranges::none_of(text, is_control)) return text;
  const bool line = text.find_first_of("\r\n") != std::string::npos;
  return invalid("bad_credentials", std::string(name) + " has a " +
                                        (line ? "line break" : "control character") + " in it");
}

IniFile read_ini(std::string_view text) {
  constexpr std::string_view kProfile = "profile ";
  constexpr std::string_view kMark = "\xef\xbb\xbf";  // of UTF-8, which some editors write
  IniFile out;
  std::string section;
  if (text.starts_with(kMark)) text.remove_prefix(kMark.size());
  for (auto line : split(text, '\n')) {
    const bool nested = line.starts_with(' ') || line.starts_with('\t');
    if (line.ends_with('\r')) line.remove_suffix(1);
    line = trim(line);
    if (line.empty() || line[0] == '#' || line[0] == ';') continue;
    if (line.front() == '[' && line.back() == ']') {
      line = trim(line.substr(1, line.size() - 2));
      if (line.starts_with(kProfile)) line = trim(line.substr(kProfile.size()));
      section = line;
      continue;
    }
    const auto equals = line.find('=');
    if (nested || equals == std::string_view::npos) continue;
    out[section][lower(trim(line.substr(0, equals)))] = trim(line.substr(equals + 1));
  }
  return out;
}

AwsProfile AwsProfile::read(const Environment& environment) {
  AwsProfile out;
  const auto other = environment("AWS_DEFAULT_PROFILE");
  const auto named = environment("AWS_PROFILE") ? environment("AWS_PROFILE") : other;
  out.name_ = named.value_or("default");
  out.add(path_of(environment, kCredentialsFile, "credentials"), kCredentialsFile,
          environment(kCredentialsFile).has_value());
  out.add(path_of(environment, kConfigFile, "config"), kConfigFile,
          environment(kConfigFile).has_value());
  if (named && out.settings_.empty() && out.problem_.empty()) {
    out.problem_ = "AWS_PROFILE names the profile '" + printable(*named) +
                   "', which is in neither the credentials nor the config file";
  }
  return out;
}

void AwsProfile::add(const std::string& path, const char* variable, bool named) {
  struct stat found {};
  if (!named && ::stat(path.c_str(), &found) != 0) return;  // most have none
  auto text = read_text(path, kMaxFile, "it");
  if (text) {
    settings_.merge(read_ini(*text)[name_]);
  } else if (problem_.empty()) {
    problem_ = named ? std::string(variable) + " names a file that is not there or cannot be read"
                     : "'" + printable(std::filesystem::path(path).filename().string()) +
                           "' in ~/.aws cannot be read";
  }
}

std::string AwsProfile::setting(std::string_view key) const {
  const auto found = settings_.find(std::string(key));
  return found == settings_.end() ? std::string() : found->second;
}

Result<void> AwsProfile::check() const {
  if (problem_.empty()) return {};
  return invalid("bad_credentials", problem_);
}

std::string aws_files_stamp(const Environment& environment) {
  std::string out;
  for (const auto& path : {path_of(environment, kCredentialsFile, "credentials"),
                           path_of(environment, kConfigFile, "config")}) {
    struct stat found {};
    if (::stat(path.c_str(), &found) != 0) continue;
    for (const auto number :
         {static_cast<std::int64_t>(found.st_ino), static_cast<std::int64_t>(found.st_size),
          static_cast<std::int64_t>(found.st_mtim.tv_sec),
          static_cast<std::int64_t>(found.st_mtim.tv_nsec)}) {
      out += std::to_string(number) + ' ';
    }
    out += ';';
  }
  return out;
}

}  // namespace sluice::sources
