// The simple REST API's wire form (docs/rest-api.md).
//
// Thread-safety: functions without state.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "core/request.h"
#include "core/signature.h"

namespace sluice::codecs {

// Bytes that must be readable after the end of a body handed to `decode_simple_json`.
std::size_t json_padding();

// Reads `body` into `out`, features as inputs for `signature`. `body` must outlive the request and
// be followed by `json_padding()` readable bytes. With `strict` an unknown key is an error,
// otherwise a warning. Errors: kInvalidArgument with a reason (`not_json`, `wrong_type`, …).
Result<void> decode_simple_json(std::string_view body, const Signature& signature, bool strict,
                                Request& out);

// Appends the answer to a request that was not refused.
void encode_simple_json(const Request& request, std::string_view model, std::string_view version,
                        std::string& out);

// Appends `{"error":{"code":…,"message":…,"details":[…]}}`.
void encode_simple_error(const Error& error, std::string& out);

}  // namespace sluice::codecs
