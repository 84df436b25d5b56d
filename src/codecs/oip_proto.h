// The Open Inference Protocol's gRPC form: ModelInferRequest and ModelInferResponse, read and
// written from and to the wire without protobuf's classes, which would copy every tensor.
//
// A raw tensor reaches the engine where it was received, if it lies aligned; so do packed floats.
// Answers always have raw_output_contents, as Triton's.
//
// Thread-safety: functions without state.
#pragma once

#include <string>
#include <string_view>

#include "clients/shared_memory.h"
#include "core/request.h"

namespace sluice::codecs {

struct OipTarget {
  std::string_view model;
  std::string_view version;
  std::string_view id;
};

// Which model a message is for. Errors: kInvalidArgument/`not_protobuf`.
Result<OipTarget> read_oip_target(std::string_view message);

// Reads `message` into `out`, inputs for `signature`; `message` and `memory` must outlive the
// request. Errors: kInvalidArgument with a reason.
Result<void> decode_oip_proto(std::string_view message, const Signature& signature,
                              const clients::SharedMemory& memory, Request& out);

// A ModelInferResponse. Errors: as of encode_oip_json.
Result<std::string> encode_oip_proto(Request& request);

// A ModelStreamInferResponse with that response, or with an error for the request with this id.
std::string encode_oip_stream(std::string_view response);
std::string encode_oip_stream_error(std::string_view message, const OipTarget& target);

}  // namespace sluice::codecs
