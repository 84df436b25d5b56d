// TensorFlow Serving's REST form, which KServe v1 shares: `instances` row by row, or `inputs`
// column by column; strings also as {"b64":"…"}.
//
// Thread-safety: functions without state.
#pragma once

#include <string>
#include <string_view>

#include "core/request.h"

namespace sluice::codecs {

// Reads `body` into `out`. `body` must outlive the request and be followed by `json_padding()`
// readable bytes. Errors: kInvalidArgument with a reason.
Result<void> decode_tfserving_json(std::string_view body, const Signature& signature, Request& out);

// Appends `predictions` to a request with `instances`, `outputs` to one with `inputs`: the bare
// tensor of a model with one output, else objects by output name. Errors: an output that has no row
// for each instance.
Result<void> encode_tfserving_json(const Request& request, std::string& out);

}  // namespace sluice::codecs
