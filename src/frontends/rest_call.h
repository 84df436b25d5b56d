// What predictions over HTTP have in common, whatever their bodies look like: names in the path,
// the deadline, who asks.
//
// Thread-safety: functions without state.
#pragma once

#include "core/request.h"
#include "frontends/parts.h"
#include "serving/pipeline.h"
#include "transport/http.h"

namespace sluice::frontends {

// A name that cannot be a name is told apart from one that does not exist; empty is none. `what` is
// for the message: "model", "version".
Result<void> check_name(std::string_view name, std::string_view what);

// Checks the names in the path and reads what the headers say. Errors: of the names, of
// X-Request-Timeout-Ms.
Result<void> begin_rest(transport::Exchange& exchange, Request& request);

// Who asks, by the header or metadata X-User-Id, where it is there. Errors: `bad_user_id`.
Result<void> read_user(const transport::RequestHead& head, Request& request);

// The version that is to answer: `named`, by the path or message, or that of X-Sluice-Version, by
// which testers choose. Errors: kPermissionDenied where the header is not allowed; of the name.
Result<std::string_view> asked_version(const transport::RequestHead& head, std::string_view named,
                                       const Settings& settings);

// Whether the request is traced, by what the call says of its trace; where tracing is off nothing
// is looked at.
void read_trace(const transport::RequestHead& head, const observers::Tracer& tracer,
                Request& request);
inline void begin_trace(const transport::RequestHead& head, const observers::Tracer& tracer,
                        Request& request) {
  if (tracer.on()) read_trace(head, tracer, request);
}

// Sends a request on its way to the model and version that the path names; its continuation holds
// the exchange. Decode: Result<void>(Request&).
template <class Decode>
void enter_rest(const Parts& parts, transport::Exchange& exchange, RequestPtr request,
                Decode decode) {
  begin_trace(exchange.head(), parts.watch.tracer, *request);
  if (auto begun = begin_rest(exchange, *request); !begun) {
    return finish(std::move(request), std::move(begun).error());
  }
  const auto& names = exchange.admission().parameters;
  const auto version = asked_version(exchange.head(), names[1], *parts.settings.read());
  if (!version) return finish(std::move(request), version.error());
  parts.pipeline.enter(std::move(request), names[0], *version, std::move(decode));
}

}  // namespace sluice::frontends
