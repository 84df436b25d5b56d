// AWS Signature Version 4: what S3 and all that speak its language want requests signed with.
//
// Our own and not libcurl's, whose query strings are signed unsorted before 8.2
// (docs/decisions/0027).
//
// Thread-safety: functions without state.
#pragma once

#include <ctime>
#include <string>
#include <utility>
#include <vector>

#include "clients/http.h"

namespace sluice::sources {

struct SigningKey {
  std::string access_key;
  std::string secret_key;
  std::string session_token;  // of temporary credentials; else empty
  std::string region;
  std::string service = "s3";
};

struct ToSign {
  std::string method = "GET";
  std::string host;                                        // as the Host header has it
  std::string path;                                        // percent-encoded
  std::vector<std::pair<std::string, std::string>> query;  // not encoded, any order
  clients::HttpHeaders headers;                            // others that are signed as well
  std::string payload{};  // the body's SHA-256 in hexadecimal digits; empty: there is no body
};

// The query string in the form that is signed: encoded and sorted.
std::string canonical_query(std::vector<std::pair<std::string, std::string>> query);

// The headers to add to a request: Authorization, X-Amz-Date, X-Amz-Content-Sha256 and
// X-Amz-Security-Token.
clients::HttpHeaders sign_v4(const ToSign& request, const SigningKey& key, std::time_t now);

}  // namespace sluice::sources
