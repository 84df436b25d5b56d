// What predictions over HTTP have in common, whatever their bodies look like: names in the path,
// the deadline, who asks.
//
// Thread-safety: functions without state.
#pragma once

#include "core/request.h"
#include "serving/pipeline.h"
#include "transport/http.h"

namespace sluice::frontends {

// A name that cannot be a name is told apart from one that does not exist; empty is none. `what` is
// for the message: "model", "version".
Result<void> check_name(std::string_view name, std::string_view what);

// Aims `request` at the model and version that the path names and reads what the headers say.
// Errors: of the names, of X-Request-Timeout-Ms, of Pipeline::aim.
Result<void> begin_rest(const serving::Pipeline& pipeline, transport::Exchange& exchange,
                        Request& request);

}  // namespace sluice::frontends
