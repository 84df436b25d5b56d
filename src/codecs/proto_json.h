// A protobuf message as JSON, by its own field names: every field without a presence is written,
// 64-bit integers as numbers, enumerations by name. That is how Triton writes configurations and
// statistics; protobuf's own printer would quote 64-bit integers.
//
// Thread-safety: a function without state.
#pragma once

#include "base/json_writer.h"

namespace google::protobuf {
class Message;
}

namespace sluice::codecs {

void write_proto_json(const google::protobuf::Message& message, JsonWriter& json);

}  // namespace sluice::codecs
