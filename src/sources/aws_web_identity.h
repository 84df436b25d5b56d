// A role that is taken on with a token of another's: what pods in Kubernetes have (IRSA), by STS's
// AssumeRoleWithWebIdentity.
//
// Thread-safety: functions without state.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "clients/http.h"
#include "sources/aws_credentials.h"

namespace sluice::sources {

struct WebIdentity {
  std::string endpoint;    // of STS
  std::string role;        // its ARN
  std::string session;     // its name in AWS's logs
  std::string token_file;  // read anew each time: it is replaced before it expires
};

// Errors: kInvalidArgument/`bad_credentials` where the token cannot be read;
// kPermissionDenied/`bad_credentials` where STS gives nothing for it; kUnavailable where that may
// pass.
Result<AwsCredentials> assume_role(const clients::HttpClient& client, const WebIdentity& identity);

// Of an AssumeRoleWithWebIdentityResponse. Errors: kUnavailable/`bad_credentials`.
Result<AwsCredentials> read_assumed_role(std::string_view xml);

}  // namespace sluice::sources
