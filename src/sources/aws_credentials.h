// Where AWS's own tools look for credentials, in their order: the environment, the shared
// credentials and config files, the container's endpoint, the machine's (IMDSv2). Where there are
// none, requests are anonymous. Temporary ones are renewed (held_credentials.h).
//
// Thread-safety: any number of threads.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "clients/http.h"
#include "sources/held_credentials.h"

namespace sluice::sources {

// A variable, or nothing where it is not set or empty. Tests give their own.
using Environment = std::function<std::optional<std::string>(const char* name)>;
std::optional<std::string> process_environment(const char* name);

struct AwsCredentials {
  std::string access_key;
  std::string secret_key;
  std::string session_token;
  std::optional<std::chrono::system_clock::time_point> expires;

  std::optional<std::chrono::nanoseconds> left() const;
};

// Sections of an INI file, as ~/.aws/config has them; "profile x" is section x.
using IniFile = std::map<std::string, std::map<std::string, std::string>>;
IniFile read_ini(std::string_view text);

// "2013-05-24T00:00:00Z"
std::optional<std::chrono::system_clock::time_point> parse_utc(std::string_view text);

class AwsCredentialChain {
 public:
  explicit AwsCredentialChain(Environment environment = process_environment);

  // Nothing: anonymous. Errors: some are named, but cannot be had; kUnavailable/`bad_credentials`
  // where those that there were have expired.
  Result<std::optional<AwsCredentials>> get() {
    return held_.get([this] { return look(); });
  }
  // From the environment or the profile; empty where neither says.
  std::string region() const;
  // AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL, or the profile's; empty for Amazon's own.
  std::string endpoint() const;

 private:
  using Found = Result<std::optional<AwsCredentials>>;
  std::string setting(std::string_view key) const;
  Found from_environment() const;
  Found from_files() const;
  Found from_container() const;
  Found from_machine() const;
  Found look() const;

  const Environment environment_;
  std::map<std::string, std::string> profile_;  // both files' settings of the profile
  const clients::HttpClient client_;
  HeldCredentials<AwsCredentials> held_;
};

}  // namespace sluice::sources
