// A profile of AWS's shared credentials and config files.
//
// Thread-safety: plain values, and functions without state.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace sluice::sources {

// A variable, or nothing where it is not set or empty. Tests give their own.
using Environment = std::function<std::optional<std::string>(const char* name)>;
std::optional<std::string> process_environment(const char* name);

// What goes into the head of requests: without the line break that many a secret of Kubernetes ends
// in; nothing where that is all. Errors:
// kInvalidArgument/`bad_credentials`, which names the variable, for a control character within.
Result<std::optional<std::string>> secret_of(const Environment& environment, const char* name);

// Sections of an INI file, as ~/.aws/config has them; "profile x" is section x. Keys are in lower
// case.
using IniFile = std::map<std::string, std::map<std::string, std::string>>;
IniFile read_ini(std::string_view text);

class AwsProfile {
 public:
  // Of AWS_PROFILE, AWS_DEFAULT_PROFILE or "default", in the files that
  // AWS_SHARED_CREDENTIALS_FILE and AWS_CONFIG_FILE name, or in ~/.aws. Of a key in both the
  // credentials file's counts.
  static AwsProfile read(const Environment& environment);

  // Empty where it is not set.
  std::string setting(std::string_view key) const;
  const std::string& name() const { return name_; }
  // Errors: kInvalidArgument/`bad_credentials` where a profile or a file is named that is not
  // there, or a file cannot be read.
  Result<void> check() const;

 private:
  void add(const std::string& path, const char* variable, bool named);

  std::string name_;
  std::map<std::string, std::string> settings_;
  std::string problem_;
};

// Of the files as they are now: another after one of them was written or replaced.
std::string aws_files_stamp(const Environment& environment);

}  // namespace sluice::sources
