// What a bucket's refusal means, and what to do about it: by the words of S3's interface, which are
// a closed list, and never by the texts beside them, which may have names of others in them.
//
// Thread-safety: functions without state.
#pragma once

#include <string_view>

#include "base/error.h"
#include "clients/http.h"

namespace sluice::sources {

// Nothing for a 2xx. `what` begins the message ("the S3 bucket"). `not_signed`: why the request had
// no signature; empty where it had one. Errors: those of check_status; kPermissionDenied/`refused`
// also for what S3 tells with status 400 of keys that are not valid (any more).
Result<void> check_bucket(const clients::HttpAnswer& answer, std::string_view what,
                          std::string_view not_signed = "");

}  // namespace sluice::sources
