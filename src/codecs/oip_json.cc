#include "codecs/oip_json.h"

#include <algorithm>
#include <array>
#include <vector>

#include "base/text.h"
#include "codecs/json_object.h"
#include "codecs/nested_reader.h"
#include "codecs/oip_call.h"
#include "codecs/raw_tensor.h"

namespace sluice::codecs {
namespace {

// The codec's own of a request.
struct JsonCall : OipCall {
  std::optional<std::size_t> header_length;
};

Result<Shape> read_shape(od::value value) {
  od::array list;
  if (value.get_array().get(list)) return invalid("wrong_type", "'shape' must be a list");
  Shape out;
  for (auto element : list) {
    std::int64_t dim = 0;
    if (element.get_int64().get(dim) || dim < 0) {
      return invalid("wrong_shape", "'shape' must have whole numbers of at least 0");
    }
    if (!out.push(dim)) return invalid("wrong_shape", "'shape' has more than 16 dimensions");
  }
  return out;
}

Result<OipParameter> read_parameter(std::string_view key, od::value value) {
  OipParameter out{key, false};
  bool flag = false;
  std::int64_t number = 0;
  std::uint64_t large = 0;
  double real = 0;
  std::string_view text;
  if (value.get_bool().get(flag) == simdjson::SUCCESS) {
    out.value = flag;
  } else if (value.get_int64().get(number) == simdjson::SUCCESS) {
    out.value = number;
  } else if (value.get_uint64().get(large) == simdjson::SUCCESS) {
    out.value = large;
  } else if (value.get_double().get(real) == simdjson::SUCCESS) {
    out.value = real;
  } else if (value.get_string().get(text) == simdjson::SUCCESS) {
    out.value = text;
  } else {
    SLUICE_CHECK(visit(value));
    return invalid("bad_parameter",
                   "parameter '" + printable(key) + "' must be a text, a number, true or false");
  }
  return out;
}

template <class... To>
Result<void> read_parameters(od::value value, Arena& arena, To&... to) {
  std::size_t count = 0;
  return for_each_field(value, "parameters", [&](std::string_view key, od::value item) {
    if (++count > kMaxParameters) {
      return Result<void>(invalid("bad_parameter", "there are more than 64 parameters"));
    }
    // A copy: texts share the parser's buffer with the key.
    const auto parameter = read_parameter(arena.copy(key), item);
    if (!parameter) return Result<void>(Failure(parameter.error()));
    return apply_parameter(*parameter, to...);
  });
}

class Decoder {
 public:
  Decoder(std::string_view json, std::string_view raw, const Signature& signature, JsonCall& call,
          Request& request)
      : json_(json),
        raw_(raw),
        call_(call),
        request_(request),
        inputs_(signature, request),
        outputs_(signature, request.arena) {}

  Result<void> run() {
    SLUICE_CHECK(read_document(
        json_, "the key 'inputs'",
        [&](std::string_view key, od::value value) { return read_field(key, value); }));
    SLUICE_CHECK(inputs_.finish());
    if (!raw_.empty()) {
      return invalid("wrong_size", "the body has " + std::to_string(raw_.size()) +
                                       " bytes more than its inputs say");
    }
    call_.outputs = outputs_.take();
    return {};
  }

 private:
  Result<void> read_field(std::string_view key, od::value value) {
    if (key == "id") return read_id(value);
    if (key == "inputs") {
      return for_each_element(value, "inputs", [&](od::value input) { return read_input(input); });
    }
    if (key == "outputs") {
      return for_each_element(value, "outputs",
                              [&](od::value output) { return read_output(output); });
    }
    if (key == "parameters") return read_parameters(value, request_.arena, call_, request_);
    return visit(value, 1);
  }

  Result<void> read_id(od::value value) {
    SLUICE_TRY(const auto id, read_string(value, "id"));
    if (id.size() > kMaxOipId) return invalid("too_long", "'id' has more than 1024 bytes");
    call_.id = request_.request_id = request_.arena.copy(id);
    return {};
  }

  // A tensor as far as it has been read; its members may come in any order.
  struct Draft {
    std::string_view name;
    std::string_view datatype;
    std::optional<Shape> shape;
    std::string_view later;  // the JSON of `data` that came before the rest
    bool has_data = false;
    TensorView tensor;
    const TensorSpec* spec = nullptr;
    OipTensorOptions options;
  };

  Result<void> read_input(od::value value) {
    Draft draft;
    SLUICE_CHECK(for_each_field(value, "inputs", [&](std::string_view key, od::value item) {
      return read_input_field(draft, key, item);
    }));
    if (draft.spec == nullptr) SLUICE_CHECK(begin(draft));
    if (!draft.shape) return missing(draft, "shape");
    SLUICE_CHECK(place(draft));
    inputs_.put(draft.spec, draft.tensor);
    return {};
  }

  Result<void> read_input_field(Draft& draft, std::string_view key, od::value value) {
    if (key == "name") {
      SLUICE_TRY(const auto name, read_string(value, key));
      draft.name = request_.arena.copy(name);
    } else if (key == "datatype") {
      SLUICE_TRY(const auto datatype, read_string(value, key));
      draft.datatype = request_.arena.copy(datatype);
    } else if (key == "shape") {
      SLUICE_TRY(draft.shape, read_shape(value));
    } else if (key == "parameters") {
      return read_parameters(value, request_.arena, draft.options);
    } else if (key == "data") {
      return read_data(draft, value);
    } else {
      return visit(value, 3);
    }
    return {};
  }

  Result<void> begin(Draft& draft) {
    if (draft.name.empty()) return invalid("wrong_type", "an input has no 'name'");
    if (draft.datatype.empty()) return missing(draft, "datatype");
    SLUICE_TRY(draft.spec, inputs_.begin(draft.name, draft.datatype));
    return {};
  }

  Result<void> read_data(Draft& draft, od::value value) {
    draft.has_data = true;
    if (draft.name.empty() || draft.datatype.empty() || !draft.shape) {
      od::array array;
      if (value.get_array().get(array)) return invalid("wrong_type", "'data' must be a list");
      if (array.raw_json().get(draft.later)) return not_json("'data' is not valid JSON");
      return {};
    }
    SLUICE_CHECK(begin(draft));
    return read_elements(draft, value);
  }

  Result<void> read_elements(Draft& draft, od::value value) {
    SLUICE_TRY(const auto count, element_count(draft.shape->dims()));
    // No more room than the body can have values for, whatever the shape declares.
    const auto expected = std::min(count, json_.size() / 2);
    NestedReader reader(draft.spec->dtype, expected, request_.arena, draft.name);
    SLUICE_CHECK(reader.read(value));
    const bool flat = reader.dims().rank() <= 1;
    if (reader.count() != count || !(flat || reader.dims() == *draft.shape)) {
      return invalid("wrong_shape", "'data' of input '" + printable(draft.name) + "' has " +
                                        std::to_string(reader.count()) + " values in " +
                                        show_shape(reader.dims().dims()) + "; its shape is " +
                                        show_shape(draft.shape->dims()));
    }
    draft.tensor = reader.tensor(*draft.shape);
    return {};
  }

  // Where the values are: read already, read later, behind the JSON, or in shared memory.
  Result<void> place(Draft& draft) {
    const bool shared = !draft.options.memory.region.empty();
    const int places =
        int{draft.has_data} + int{draft.options.binary_size.has_value()} + int{shared};
    if (places == 0) return missing(draft, "data");
    if (places > 1) {
      return invalid("wrong_size",
                     "input '" + printable(draft.name) + "' has its values in more than one place");
    }
    if (!draft.later.empty()) return read_later(draft);
    if (draft.has_data) return {};
    std::string_view bytes;
    if (shared) {
      SLUICE_TRY(const auto copy, call_.memory->read(draft.options.memory, request_.arena));
      bytes = {reinterpret_cast<const char*>(copy.data()), copy.size()};
    } else {
      const auto size = *draft.options.binary_size;
      if (size > raw_.size()) {
        return invalid("wrong_size", "input '" + printable(draft.name) + "' wants " +
                                         std::to_string(size) + " bytes; the body has " +
                                         std::to_string(raw_.size()) + " left");
      }
      bytes = raw_.substr(0, size);
      raw_.remove_prefix(size);
    }
    SLUICE_TRY(draft.tensor,
               read_raw(draft.spec->dtype, *draft.shape, bytes, draft.name, request_.arena));
    return {};
  }

  Result<void> read_later(Draft& draft) {
    thread_local od::parser parser;
    od::document document;
    od::value value;
    const simdjson::padded_string_view padded(draft.later.data(), draft.later.size(),
                                              draft.later.size() + kJsonPadding);
    if (parser.iterate(padded).get(document) || document.get_value().get(value)) {
      return not_json("'data' is not valid JSON");
    }
    return read_elements(draft, value);
  }

  Result<void> read_output(od::value value) {
    std::string_view name;
    OipTensorOptions options;
    SLUICE_CHECK(
        for_each_field(value, "outputs", [&](std::string_view key, od::value item) -> Result<void> {
          if (key == "parameters") return read_parameters(item, request_.arena, options);
          if (key != "name") return visit(item, 3);
          SLUICE_TRY(const auto text, read_string(item, key));
          name = request_.arena.copy(text);
          return {};
        }));
    if (name.empty()) return invalid("wrong_type", "a requested output has no 'name'");
    return outputs_.add(name, keep(options));
  }

  // Texts of the parser's buffer, kept with the request.
  OipTensorOptions keep(OipTensorOptions options) {
    options.memory.region = request_.arena.copy(options.memory.region);
    return options;
  }

  static Failure missing(const Draft& draft, std::string_view key) {
    return invalid("missing_key",
                   "input '" + printable(draft.name) + "' has no '" + std::string(key) + "'");
  }

  std::string_view json_;
  std::string_view raw_;
  JsonCall& call_;
  Request& request_;
  OipInputs inputs_;
  OipOutputs outputs_;
};

// The body is the only input, of one row; its free dimension follows from the bytes.
Result<void> read_raw_body(std::string_view body, const Signature& signature, JsonCall& call,
                           Request& request) {
  if (signature.inputs.size() != 1) {
    return invalid("wrong_size", "a raw body needs a model with one input; this one has " +
                                     std::to_string(signature.inputs.size()));
  }
  const TensorSpec& spec = signature.inputs[0];
  Shape shape;
  std::size_t known = spec.dtype == DType::kString ? body.size() : size_of(spec.dtype);
  std::optional<std::size_t> free_dim;
  for (std::size_t i = 0; i < spec.dims.size(); ++i) {
    const bool is_free = spec.dims[i] == -1 && !(i == 0 && signature.batchable());
    if (is_free && free_dim) {
      return invalid("wrong_shape",
                     "a raw body needs a model whose rows have one free dimension at most");
    }
    if (is_free) free_dim = i;
    shape.push(std::max<std::int64_t>(spec.dims[i], 1));
    known *= static_cast<std::size_t>(shape[i]);
  }
  if (free_dim && known > 0) shape[*free_dim] = static_cast<std::int64_t>(body.size() / known);
  OipInputs inputs(signature, request);
  SLUICE_TRY(const auto tensor, read_raw(spec.dtype, shape, body, spec.name, request.arena));
  inputs.put(&spec, tensor);
  call.outputs = OipOutputs(signature, request.arena).take();
  call.binary_outputs = true;
  return {};
}

Result<void> read_body(JsonCall& call, const Signature& signature, Request& request) {
  const auto body = request.body;
  const auto length = call.header_length.value_or(body.size());
  if (call.header_length && length == 0) return read_raw_body(body, signature, call, request);
  return Decoder(body.substr(0, length), body.substr(length), signature, call, request).run();
}

Result<void> rebind(Request& request, const Signature& signature) {
  // The call is the codec's own, made by it in this request's arena.
  auto& call =
      static_cast<JsonCall&>(*const_cast<OipCall*>(static_cast<const OipCall*>(request.payload)));
  return read_body(call, signature, request);
}

}  // namespace

Result<void> decode_oip_json(std::string_view body, std::optional<std::size_t> header_length,
                             const Signature& signature, const clients::SharedMemory& memory,
                             Request& out) {
  if (header_length && *header_length > body.size()) {
    return invalid("bad_header", "Inference-Header-Content-Length is " +
                                     std::to_string(*header_length) + "; the body has " +
                                     std::to_string(body.size()) + " bytes");
  }
  JsonCall* call = new (out.arena.array<JsonCall>(1).data()) JsonCall;
  call->header_length = header_length;
  call->memory = &memory;
  out.body = body;
  out.payload = static_cast<const OipCall*>(call);
  out.rebind = rebind;
  SLUICE_CHECK(read_body(*call, signature, out));
  out.bound_to = signature.fingerprint;
  return {};
}

}  // namespace sluice::codecs
