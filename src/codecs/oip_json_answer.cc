// The answer's half of oip_json.h.
#include "codecs/oip_json.h"

#include "base/json_writer.h"
#include "codecs/asides.h"
#include "codecs/oip_call.h"
#include "codecs/raw_tensor.h"
#include "codecs/tensor_json.h"
#include "core/servable.h"

namespace sluice::codecs {
namespace {

void write_memory(const clients::MemoryRef& memory, std::size_t size, JsonWriter& json) {
  json.key("parameters").begin_object();
  json.field("shared_memory_region", memory.region);
  json.field("shared_memory_offset", memory.offset);
  json.field("shared_memory_byte_size", size).end_object();
}

}  // namespace

Result<std::optional<std::size_t>> encode_oip_json(Request& request, std::string& out) {
  const auto& call = *static_cast<const OipCall*>(request.payload);
  const Servable& servable = *request.servable;
  std::string raw;
  const std::size_t begin = out.size();
  JsonWriter json(out);
  json.begin_object();
  json.field("model_name", std::string_view(servable.model().str()));
  json.field("model_version", std::string_view(servable.version().str()));
  if (!call.id.empty()) json.field("id", call.id);
  if (const auto asides = asides_of(request); !asides.empty()) {
    json.key("parameters").begin_object();
    for (const auto& [name, text] : asides) json.field(name, std::string_view(text));
    json.end_object();
  }
  json.key("outputs").begin_array();
  bool binary = false;
  for (const OipOutput& output : call.outputs) {
    SLUICE_TRY(const auto tensor, output_tensor(request, output, request.arena));
    json.begin_object();
    json.field("name", std::string_view(servable.signature().outputs[output.index].name));
    json.field("datatype", name_of(tensor.dtype));
    json.key("shape").begin_array();
    for (const auto dim : tensor.shape.dims()) json.value(dim);
    json.end_array();
    if (!output.options.memory.region.empty()) {
      std::string bytes;
      append_raw(tensor, bytes);
      SLUICE_CHECK(call.memory->write(output.options.memory, bytes));
      write_memory(output.options.memory, bytes.size(), json);
    } else if (output.options.binary.value_or(call.binary_outputs)) {
      binary = true;
      json.key("parameters").begin_object();
      json.field("binary_data_size", raw_size(tensor)).end_object();
      append_raw(tensor, raw);
    } else {
      json.key("data");
      write_flat(tensor, json);
    }
    json.end_object();
  }
  json.end_array().end_object();
  if (!binary) return std::nullopt;
  const std::size_t length = out.size() - begin;
  out += raw;
  return length;
}

}  // namespace sluice::codecs
