// Where AWS's own tools look for credentials, in their order: the environment, a web identity
// (IRSA), the shared credentials and config files, the container's endpoint, the machine's
// (IMDSv2). Where there are none, requests are anonymous; where some are named that cannot be had,
// that is an error, and nobody else's are used. Temporary ones are renewed (held_credentials.h),
// and the files read anew when they are written.
//
// Thread-safety: any number of threads.
#pragma once

#include <chrono>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "clients/http.h"
#include "sources/aws_profile.h"
#include "sources/held_credentials.h"

namespace sluice::sources {

struct AwsCredentials {
  std::string access_key;
  std::string secret_key;
  std::string session_token;
  std::optional<std::chrono::system_clock::time_point> expires;

  std::optional<std::chrono::nanoseconds> left() const;
};

// "2013-05-24T00:00:00Z"
std::optional<std::chrono::system_clock::time_point> parse_utc(std::string_view text);

// "s3.eu-west-1.amazonaws.com"; China's regions have a domain of their own.
std::string amazon_host(std::string_view service, std::string_view region);

class AwsCredentialChain {
 public:
  explicit AwsCredentialChain(Environment environment = process_environment);

  // Nothing: anonymous. Errors: some are named, but cannot be had; kUnavailable/`bad_credentials`
  // where those that there were have expired.
  Result<std::optional<AwsCredentials>> get();
  // From the environment or the profile; empty where neither says.
  std::string region() const;
  // AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL, or the profile's; empty for Amazon's own.
  std::string endpoint() const;
  // For where nothing was found: a sentence that says where it was looked.
  std::string nothing_found() const;

 private:
  using Found = Result<std::optional<AwsCredentials>>;
  Found from_environment() const;
  Found from_web_identity(const std::string& role, const std::string& file,
                          const std::string& session) const;
  Found from_variables_of_web_identity() const;
  Found from_files() const;
  Found from_container() const;
  Found from_machine() const;
  Found look() const;

  const Environment environment_;
  const AwsProfile profile_;  // as it was at first: of the region and the endpoint
  const clients::HttpClient client_;
  HeldCredentials<AwsCredentials> held_;
  std::mutex mutex_;
  std::string stamp_;  // of the files when they were last read; guarded by mutex_
};

}  // namespace sluice::sources
