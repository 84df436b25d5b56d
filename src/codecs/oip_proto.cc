#include "codecs/oip_proto.h"

#include <algorithm>
#include <bit>
#include <optional>

#include "base/protowire.h"
#include "base/text.h"
#include "codecs/oip_call.h"
#include "codecs/raw_tensor.h"
#include "codecs/typed_contents.h"

namespace sluice::codecs {
namespace {

constexpr std::size_t kMaxTensors = 256;

Failure broken() { return invalid("not_protobuf", "the message is not a valid ModelInferRequest"); }

// ModelInferRequest's fields.
enum Field : std::uint32_t {
  kModelName = 1,
  kModelVersion = 2,
  kId = 3,
  kParameters = 4,
  kInputs = 5,
  kOutputs = 6,
  kRaw = 7,
};

// One entry of a map<string, InferParameter>.
Result<OipParameter> read_parameter(std::string_view entry) {
  OipParameter out{{}, false};
  std::string_view value;
  WireReader reader(entry);
  while (reader.next()) {
    if (reader.field() == 1) out.key = reader.bytes();
    if (reader.field() == 2) value = reader.bytes();
  }
  WireReader choice(value);
  while (choice.next()) {
    switch (choice.field()) {
      case 1: out.value = choice.number() != 0; break;
      case 2: out.value = static_cast<std::int64_t>(choice.number()); break;
      case 3: out.value = choice.bytes(); break;
      case 4: out.value = std::bit_cast<double>(choice.number()); break;
      case 5: out.value = choice.number(); break;
      default: break;
    }
  }
  if (!reader.ok() || !choice.ok()) return broken();
  return out;
}

class Decoder {
 public:
  Decoder(const Signature& signature, OipCall& call, Request& request)
      : call_(call),
        request_(request),
        inputs_(signature, request),
        outputs_(signature, request.arena),
        raw_(request.arena.array<std::string_view>(kMaxTensors)) {}

  Result<void> run(std::string_view message) {
    SLUICE_CHECK(collect_raw(message));
    WireReader reader(message);
    while (reader.next()) {
      switch (reader.field()) {
        case kId: SLUICE_CHECK(read_id(reader.bytes())); break;
        case kParameters: {
          SLUICE_CHECK(count_parameter());
          SLUICE_TRY(const auto parameter, read_parameter(reader.bytes()));
          SLUICE_CHECK(apply_parameter(parameter, call_, request_));
          break;
        }
        case kInputs: SLUICE_CHECK(read_input(reader.bytes())); break;
        case kOutputs: SLUICE_CHECK(read_output(reader.bytes())); break;
        default: break;
      }
    }
    if (!reader.ok()) return broken();
    SLUICE_CHECK(inputs_.finish());
    if (next_raw_ != raw_count_) {
      return invalid("wrong_size", "raw_input_contents has " + std::to_string(raw_count_) +
                                       " entries; the inputs want " + std::to_string(next_raw_));
    }
    call_.outputs = outputs_.take();
    return {};
  }

 private:
  // They stand behind the inputs that they belong to.
  Result<void> collect_raw(std::string_view message) {
    WireReader reader(message);
    while (reader.next()) {
      if (reader.field() != kRaw) continue;
      if (raw_count_ == kMaxTensors) {
        return invalid("too_many", "raw_input_contents has more than 256 entries");
      }
      raw_[raw_count_++] = reader.bytes();
    }
    return reader.ok() ? Result<void>() : broken();
  }

  Result<void> read_id(std::string_view id) {
    if (id.size() > kMaxOipId) return invalid("too_long", "'id' has more than 1024 bytes");
    if (!is_utf8(id)) return invalid("not_utf8", "'id' is not valid UTF-8");
    call_.id = request_.request_id = id;
    return {};
  }

  Result<void> count_parameter() {
    if (++parameters_ <= kMaxParameters) return {};
    return invalid("bad_parameter", "there are more than 64 parameters");
  }

  struct Draft {
    std::string_view name;
    std::string_view datatype;
    Shape shape;
    std::optional<std::string_view> contents;
    OipTensorOptions options;
  };

  Result<void> read_input(std::string_view bytes) {
    Draft draft;
    WireReader reader(bytes);
    while (reader.next()) {
      switch (reader.field()) {
        case 1: draft.name = reader.bytes(); break;
        case 2: draft.datatype = reader.bytes(); break;
        case 3: SLUICE_CHECK(read_dims(reader, draft)); break;
        case 4: {
          SLUICE_TRY(const auto parameter, read_parameter(reader.bytes()));
          SLUICE_CHECK(apply_parameter(parameter, draft.options));
          break;
        }
        case 5:
          if (!reader.bytes().empty()) draft.contents = reader.bytes();
          break;
        default: break;
      }
    }
    if (!reader.ok()) return broken();
    SLUICE_TRY(const auto* spec, inputs_.begin(draft.name, draft.datatype));
    SLUICE_TRY(const auto tensor, read_tensor(draft, spec->dtype));
    inputs_.put(spec, tensor);
    return {};
  }

  // Packed or not.
  static Result<void> read_dims(const WireReader& field, Draft& draft) {
    const auto add = [&](std::uint64_t bits) -> Result<void> {
      const auto dim = static_cast<std::int64_t>(bits);
      if (dim < 0) return invalid("wrong_shape", "a shape has a negative dimension");
      if (!draft.shape.push(dim)) {
        return invalid("wrong_shape", "a shape has more than 16 dimensions");
      }
      return {};
    };
    if (field.type() != WireReader::Type::kBytes) return add(field.number());
    WireReader packed(field.bytes());
    while (!packed.at_end()) {
      const auto dim = packed.varint();
      if (!packed.ok()) return broken();
      SLUICE_CHECK(add(dim));
    }
    return {};
  }

  Result<TensorView> read_tensor(const Draft& draft, DType dtype) {
    const bool shared = !draft.options.memory.region.empty();
    if (draft.contents && (raw_count_ > 0 || shared)) {
      return invalid("wrong_size", "input '" + printable(draft.name) +
                                       "' has contents as well as raw bytes or shared memory");
    }
    if (draft.contents) {
      return read_typed_contents(*draft.contents, dtype, draft.shape, draft.name, request_.arena);
    }
    std::string_view bytes;
    if (shared) {
      SLUICE_TRY(const auto copy, call_.memory->read(draft.options.memory, request_.arena));
      bytes = {reinterpret_cast<const char*>(copy.data()), copy.size()};
    } else if (next_raw_ < raw_count_) {
      bytes = raw_[next_raw_++];
    } else if (raw_count_ > 0) {
      return invalid("wrong_size",
                     "raw_input_contents has no entry for input '" + printable(draft.name) + "'");
    } else {
      // Neither form: right for a tensor without elements, told as missing for any other.
      return read_typed_contents({}, dtype, draft.shape, draft.name, request_.arena);
    }
    return read_raw(dtype, draft.shape, bytes, draft.name, request_.arena);
  }

  Result<void> read_output(std::string_view bytes) {
    std::string_view name;
    OipTensorOptions options;
    WireReader reader(bytes);
    while (reader.next()) {
      if (reader.field() == 1) name = reader.bytes();
      if (reader.field() != 2) continue;
      SLUICE_TRY(const auto parameter, read_parameter(reader.bytes()));
      SLUICE_CHECK(apply_parameter(parameter, options));
    }
    if (!reader.ok()) return broken();
    return outputs_.add(name, options);
  }

  OipCall& call_;
  Request& request_;
  OipInputs inputs_;
  OipOutputs outputs_;
  std::span<std::string_view> raw_;
  std::size_t raw_count_ = 0;
  std::size_t next_raw_ = 0;
  std::size_t parameters_ = 0;
};

Result<void> rebind(Request& request, const Signature& signature) {
  // Made by `decode_oip_proto` in this request's arena.
  auto& call = *const_cast<OipCall*>(static_cast<const OipCall*>(request.payload));
  return Decoder(signature, call, request).run(request.body);
}

}  // namespace

Result<OipTarget> read_oip_target(std::string_view message) {
  OipTarget out;
  WireReader reader(message);
  while (reader.next()) {
    if (reader.field() == kModelName) out.model = reader.bytes();
    if (reader.field() == kModelVersion) out.version = reader.bytes();
    if (reader.field() == kId) out.id = reader.bytes();
  }
  if (!reader.ok()) return broken();
  return out;
}

Result<void> decode_oip_proto(std::string_view message, const Signature& signature,
                              const clients::SharedMemory& memory, Request& out) {
  OipCall* call = new (out.arena.array<OipCall>(1).data()) OipCall;
  call->memory = &memory;
  out.body = message;
  out.payload = call;
  out.rebind = rebind;
  SLUICE_CHECK(Decoder(signature, *call, out).run(message));
  out.bound_to = signature.fingerprint;
  return {};
}

}  // namespace sluice::codecs
