// The simple gRPC API's messages (proto/prediction.proto).
//
// Where the model takes 32-bit floats, `features` is not copied: protobuf keeps it as the engine
// wants it, and the tensor is a view on the message, which lives in the request's payload.
//
// Thread-safety: functions without state.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"
#include "core/request.h"
#include "core/signature.h"

namespace sluice::codecs {

// A parsed PredictRequest, kept as long as the request that views it.
class SimpleProtoMessage {
 public:
  virtual ~SimpleProtoMessage() = default;
  virtual std::string_view model() const = 0;
  virtual std::string_view version() const = 0;
};

// Errors: kInvalidArgument/`not_protobuf`.
Result<std::unique_ptr<SimpleProtoMessage>> parse_simple_proto(std::string_view bytes);

// Reads a parsed message into `out`, features as inputs for `signature`. `message` must outlive
// the request.
Result<void> decode_simple_proto(const SimpleProtoMessage& message, const Signature& signature,
                                 Request& out);

// The serialized PredictResponse.
std::string encode_simple_proto(const Request& request, std::string_view model,
                                std::string_view version);

}  // namespace sluice::codecs
