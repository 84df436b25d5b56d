// The Open Inference Protocol's REST form: JSON, alone or followed by raw tensors.
//
// A tensor that follows the JSON reaches the engine where it was received, if it lies aligned.
//
// Thread-safety: functions without state.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "clients/shared_memory.h"
#include "core/request.h"

namespace sluice::codecs {

// Reads `body` into `out`, inputs for `signature`. `header_length` is what
// Inference-Header-Content-Length says: the JSON's bytes, where 0 means that the body is the only
// input itself. `body` must outlive the request and be followed by `json_padding()` readable bytes;
// so must `memory`. Errors: kInvalidArgument with a reason.
Result<void> decode_oip_json(std::string_view body, std::optional<std::size_t> header_length,
                             const Signature& signature, const clients::SharedMemory& memory,
                             Request& out);

// Appends the answer. The result is the length of its JSON where raw tensors follow it. Errors:
// shared memory that is gone, a classification that is not possible.
Result<std::optional<std::size_t>> encode_oip_json(Request& request, std::string& out);

}  // namespace sluice::codecs
