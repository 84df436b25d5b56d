// An access token for Google's APIs, from where its own tools look: GOOGLE_OAUTH_ACCESS_TOKEN, the
// file that GOOGLE_APPLICATION_CREDENTIALS names (a service account's key, or a user's), the user's
// own default file, the machine's metadata server. None: anonymous. It is renewed
// (held_credentials.h).
//
// Thread-safety: any number of threads.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "clients/http.h"
#include "sources/aws_credentials.h"
#include "sources/held_credentials.h"

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
  explicit GoogleToken(Environment environment, GoogleScope scope = GoogleScope::kRead);

  // Nothing: anonymous. Errors: one is named, but cannot be had; kUnavailable/`bad_credentials`
  // where the one that there was has expired.
  Result<std::optional<std::string>> get();

 private:
  struct Token {
    std::string text;
    std::optional<std::chrono::steady_clock::time_point> until;

    std::optional<std::chrono::nanoseconds> left() const;
  };
  using Found = Result<std::optional<Token>>;
  Found from_file(const std::string& path) const;
  Found from_machine() const;
  Found exchange(const std::string& url, const std::string& form) const;
  Found look() const;

  const Environment environment_;
  const GoogleScope scope_;
  const clients::HttpClient client_;
  HeldCredentials<Token> held_;
};

}  // namespace sluice::sources
