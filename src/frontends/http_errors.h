// Errors as HTTP answers: one table from (code, reason) to a status, and the bodies that protocols
// have for them.
//
// Thread-safety: functions without state.
#pragma once

#include "base/error.h"
#include "transport/http.h"

namespace sluice::frontends {

// The status for every HTTP API (docs/rest-api.md).
int http_status(const Error& error);

using ErrorForm = transport::Response (*)(const Error&);

// {"error":{"code":…,"message":…,"details":[…]}}: the simple API and the management API.
transport::Response simple_error(const Error& error);
// {"error":"…"}: the Open Inference Protocol, TensorFlow Serving and KServe.
transport::Response plain_error(const Error& error);

}  // namespace sluice::frontends
