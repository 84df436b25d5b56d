// The answer's half of oip_proto.h.
#include "base/protowire.h"
#include "codecs/asides.h"
#include "codecs/oip_call.h"
#include "codecs/oip_proto.h"
#include "codecs/raw_tensor.h"
#include "core/servable.h"

namespace sluice::codecs {
namespace {

// A map entry from a key to an InferParameter with one field.
template <class Write>
void write_parameter(std::uint32_t field, std::string_view key, std::string& out, Write write) {
  std::string value;
  WireWriter choice(value);
  write(choice);
  std::string entry;
  WireWriter pair(entry);
  pair.bytes(1, key);
  pair.bytes(2, value);
  WireWriter(out).bytes(field, entry);
}

void write_memory(const clients::MemoryRef& memory, std::size_t size, std::string& out) {
  constexpr std::uint32_t kParameters = 4;
  write_parameter(kParameters, "shared_memory_region", out,
                  [&](WireWriter& choice) { choice.bytes(3, memory.region); });
  write_parameter(kParameters, "shared_memory_offset", out,
                  [&](WireWriter& choice) { choice.number(2, memory.offset); });
  write_parameter(kParameters, "shared_memory_byte_size", out,
                  [&](WireWriter& choice) { choice.number(2, size); });
}

// Name, type and shape.
void describe(std::string_view name, const TensorView& tensor, std::string& out) {
  WireWriter writer(out);
  writer.bytes(1, name);
  writer.bytes(2, name_of(tensor.dtype));
  std::string dims;
  for (const auto dim : tensor.shape.dims())
    WireWriter(dims).varint(static_cast<std::uint64_t>(dim));
  writer.bytes(3, dims);
}

}  // namespace

Result<std::string> encode_oip_proto(Request& request) {
  const auto& call = *static_cast<const OipCall*>(request.payload);
  const Servable& servable = *request.servable;
  auto tensors = request.arena.array<TensorView>(call.outputs.size());
  std::size_t size = 128;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    SLUICE_TRY(tensors[i], output_tensor(request, call.outputs[i], request.arena));
    size += raw_size(tensors[i]) + 64;
  }
  std::string out;
  out.reserve(size);
  WireWriter writer(out);
  writer.bytes(1, servable.model().str());
  writer.bytes(2, servable.version().str());
  if (!call.id.empty()) writer.bytes(3, call.id);
  if (call.final_marker) {
    write_parameter(4, "triton_final_response", out,
                    [](WireWriter& choice) { choice.number(1, 1); });
  }
  for (const auto& [name, text] : asides_of(request)) {
    write_parameter(4, name, out, [&](WireWriter& choice) { choice.bytes(3, text); });
  }
  std::string described;
  std::string bytes;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const OipOutput& output = call.outputs[i];
    described.clear();
    describe(servable.signature().outputs[output.index].name, tensors[i], described);
    if (!output.options.memory.region.empty()) {
      bytes.clear();
      append_raw(tensors[i], bytes);
      SLUICE_CHECK(call.memory->write(output.options.memory, bytes));
      write_memory(output.options.memory, bytes.size(), described);
    }
    writer.bytes(5, described);
  }
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const bool shared = !call.outputs[i].options.memory.region.empty();
    writer.begin_bytes(6, shared ? 0 : raw_size(tensors[i]));
    if (!shared) append_raw(tensors[i], out);
  }
  return out;
}

std::string encode_oip_stream(std::string_view response) {
  std::string out;
  out.reserve(response.size() + 8);
  WireWriter(out).bytes(2, response);
  return out;
}

std::string encode_oip_stream_error(std::string_view message, const OipTarget& target) {
  std::string response;
  WireWriter inner(response);
  inner.bytes(1, target.model);
  inner.bytes(2, target.version);
  inner.bytes(3, target.id);
  std::string out;
  WireWriter writer(out);
  writer.bytes(1, message);
  writer.bytes(2, response);
  return out;
}

}  // namespace sluice::codecs
