// An access token for Google's APIs, from where its own tools look: GOOGLE_OAUTH_ACCESS_TOKEN, the
// file that GOOGLE_APPLICATION_CREDENTIALS names (a service account's key, or a user's), the user's
// own default file, the machine's metadata server. None: anonymous.
//
// Tokens are fetched again five minutes before they expire. Where that fails they go on until they
// do, and it is tried again every ten seconds. A machine that had one is not anonymous afterwards,
// whatever its metadata server says.
//
// Thread-safety: any number of threads.
#pragma once

#include <chrono>
#include <mutex>
#include <optional>
#include <string>

#include "clients/http.h"
#include "sources/aws_credentials.h"

namespace sluice::sources {

// What a token is asked for; `kWrite` is for reading, too.
enum class GoogleScope : std::uint8_t { kRead, kWrite };

// The assertion that a service account exchanges for a token: a JWT signed with its key. Errors:
// kInvalidArgument/`bad_credentials` where the key is none.
Result<std::string> service_account_assertion(const std::string& email, const std::string& key,
                                              const std::string& audience, std::int64_t now,
                                              GoogleScope scope = GoogleScope::kRead);

class GoogleToken {
 public:
  explicit GoogleToken(Environment environment, GoogleScope scope = GoogleScope::kRead)
      : environment_(std::move(environment)), scope_(scope) {}

  // Nothing: anonymous. Errors: one is named, but cannot be had; kUnavailable/`bad_credentials`
  // where the one that there was has expired.
  Result<std::optional<std::string>> get();

 private:
  struct Token {
    std::string text;
    std::chrono::steady_clock::time_point until;
  };
  using Found = Result<std::optional<Token>>;
  Found from_file(const std::string& path) const;
  Found from_machine() const;
  Found exchange(const std::string& url, const std::string& form) const;
  Found look() const;
  bool is_fresh() const;
  bool is_valid() const;
  void renew();

  const Environment environment_;
  const GoogleScope scope_;
  const clients::HttpClient client_;
  std::mutex mutex_;
  bool known_ = false;                                 // guarded by mutex_
  std::optional<Token> held_;                          // guarded by mutex_
  std::optional<Error> failure_;                       // of the last look; guarded by mutex_
  std::chrono::steady_clock::time_point looked_{};     // successfully; guarded by mutex_
  std::chrono::steady_clock::time_point ask_after_{};  // guarded by mutex_
};

}  // namespace sluice::sources
