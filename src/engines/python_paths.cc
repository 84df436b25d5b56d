#include "engines/python_paths.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "base/text.h"

namespace sluice::engines {

std::string absolute_path(std::string_view path) {
  std::error_code error;
  auto out = std::filesystem::absolute(path.empty() ? "." : path, error);
  return error ? std::string(path) : out.string();
}

std::optional<std::string> find_program(const std::string& name) {
  if (name.find('/') != std::string::npos) return absolute_path(name);
  const char* path = std::getenv("PATH");
  for (const auto directory : split(path == nullptr ? "/usr/bin:/bin" : path, ':')) {
    auto candidate = absolute_path(directory) + "/" + name;
    if (!directory.empty() && ::access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return std::nullopt;
}

std::string absolute_variable(std::string_view variable) {
  constexpr std::string_view kName = "PYTHONPATH=";
  if (!variable.starts_with(kName) || variable == kName) return std::string(variable);
  std::string out;
  for (const auto entry : split(variable.substr(kName.size()), ':')) {
    out += (out.empty() ? std::string(kName) : ":") + absolute_path(entry);
  }
  return out;
}

}  // namespace sluice::engines
