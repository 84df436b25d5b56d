#include "codecs/proto_json.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <string>

namespace sluice::codecs {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

// One value: of a single field (`index` -1) or an element of a repeated one.
void write_value(const Message& message, const FieldDescriptor* field, int index,
                 JsonWriter& json) {
  const Reflection& reflection = *message.GetReflection();
  const bool one = index < 0;
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      json.value(one ? reflection.GetInt32(message, field)
                     : reflection.GetRepeatedInt32(message, field, index));
      break;
    case FieldDescriptor::CPPTYPE_INT64:
      json.value(one ? reflection.GetInt64(message, field)
                     : reflection.GetRepeatedInt64(message, field, index));
      break;
    case FieldDescriptor::CPPTYPE_UINT32:
      json.value(one ? reflection.GetUInt32(message, field)
                     : reflection.GetRepeatedUInt32(message, field, index));
      break;
    case FieldDescriptor::CPPTYPE_UINT64:
      json.value(one ? reflection.GetUInt64(message, field)
                     : reflection.GetRepeatedUInt64(message, field, index));
      break;
    case FieldDescriptor::CPPTYPE_BOOL:
      json.value(one ? reflection.GetBool(message, field)
                     : reflection.GetRepeatedBool(message, field, index));
      break;
    case FieldDescriptor::CPPTYPE_ENUM:
      json.value(std::string_view((one ? reflection.GetEnum(message, field)
                                       : reflection.GetRepeatedEnum(message, field, index))
                                      ->name()));
      break;
    case FieldDescriptor::CPPTYPE_STRING:
      json.value(std::string_view(one ? reflection.GetString(message, field)
                                      : reflection.GetRepeatedString(message, field, index)));
      break;
    case FieldDescriptor::CPPTYPE_MESSAGE:
      write_proto_json(one ? reflection.GetMessage(message, field)
                           : reflection.GetRepeatedMessage(message, field, index),
                       json);
      break;
    default: json.null();  // no message of ours has floats
  }
}

void write_map(const Message& message, const FieldDescriptor* field, JsonWriter& json) {
  const Reflection& reflection = *message.GetReflection();
  json.begin_object();
  for (int i = 0; i < reflection.FieldSize(message, field); ++i) {
    const Message& entry = reflection.GetRepeatedMessage(message, field, i);
    const auto* key = entry.GetDescriptor()->map_key();
    json.key(entry.GetReflection()->GetString(entry, key));
    write_value(entry, entry.GetDescriptor()->map_value(), -1, json);
  }
  json.end_object();
}

}  // namespace

void write_proto_json(const Message& message, JsonWriter& json) {
  const Reflection& reflection = *message.GetReflection();
  const auto* type = message.GetDescriptor();
  json.begin_object();
  for (int i = 0; i < type->field_count(); ++i) {
    const FieldDescriptor* field = type->field(i);
    if (field->has_presence() && !reflection.HasField(message, field)) continue;
    json.key(field->name());
    if (field->is_map()) {
      write_map(message, field, json);
    } else if (field->is_repeated()) {
      json.begin_array();
      for (int k = 0; k < reflection.FieldSize(message, field); ++k) {
        write_value(message, field, k, json);
      }
      json.end_array();
    } else {
      write_value(message, field, -1, json);
    }
  }
  json.end_object();
}

}  // namespace sluice::codecs
