#include "codecs/tfserving_json.h"

#include <algorithm>
#include <vector>

#include "base/json_writer.h"
#include "base/name_list.h"
#include "base/text.h"
#include "codecs/asides.h"
#include "codecs/json_object.h"
#include "codecs/nested_reader.h"
#include "codecs/row_readers.h"
#include "codecs/row_shape.h"
#include "codecs/tensor_json.h"
#include "core/servable.h"

namespace sluice::codecs {
namespace {

constexpr std::string_view kSignatureName = "serving_default";

// What a request asked in is how it is answered.
struct TfCall {
  bool by_row = true;
};

enum class Form : unsigned char { kValue, kInputs, kColumns, kBroken };

// Whether a value is an object by the names of inputs, or of columns, or a plain value, to which
// {"b64":"…"} belongs. Keys are compared as they are written: the parser has room to unescape each
// text once, and they will be read again.
Form form_of(od::object& object, const Signature& signature) {
  Form out = Form::kInputs;
  for (auto field : object) {
    od::raw_json_string key;
    if (field.key().get(key)) return Form::kBroken;
    const bool is_input = std::ranges::any_of(
        signature.inputs, [&](const TensorSpec& spec) { return key.is_equal(spec.name); });
    if (key.is_equal("b64")) {
      out = Form::kValue;
    } else if (!is_input && !signature.columns.empty()) {
      out = Form::kColumns;
    }
    break;
  }
  return object.reset().error() ? Form::kBroken : out;
}

// A value's dimensions as the model has them: [3] single values are [3,1] where it takes rows of 1.
Shape with_rows_of_one(Shape dims, const TensorSpec& spec) {
  const bool one = spec.dims.size() == 2 && spec.dims[1] == 1 && dims.rank() == 1;
  if (one) dims.push(1);
  return dims;
}

class Decoder {
 public:
  Decoder(const Signature& signature, TfCall& call, Request& out)
      : signature_(signature), call_(call), out_(out) {
    out.inputs = out.arena.array<TensorView>(signature.inputs.size());
  }

  Result<void> run(std::string_view body) {
    SLUICE_CHECK(read_document(
        body, "the key 'instances' or 'inputs'",
        [&](std::string_view key, od::value value) { return read_field(key, value); }));
    if (given_ == 1) return {};
    return invalid("missing_key", given_ == 0 ? "the body needs 'instances' or 'inputs'"
                                              : "the body has 'instances' as well as 'inputs'");
  }

 private:
  Result<void> read_field(std::string_view key, od::value value) {
    if (key == "signature_name") {
      SLUICE_TRY(const auto name, read_string(value, key));
      if (name.empty() || name == kSignatureName) return {};
      return invalid("unknown_signature", "there is no signature '" + printable(name) +
                                              "'; the model has serving_default");
    }
    if (key == "debug") {
      SLUICE_TRY(out_.debug, read_bool(value, key));
      return {};
    }
    if (key != "instances" && key != "inputs") return visit(value, 1);
    ++given_;
    call_.by_row = key == "instances";
    return call_.by_row ? read_instances(value) : read_inputs(value);
  }

  Result<void> read_instances(od::value value) {
    od::array list;
    if (value.get_array().get(list)) return invalid("wrong_type", "'instances' must be a list");
    Form form = Form::kValue;
    for (auto element : list) {
      od::object object;
      if (element.get_object().get(object) == simdjson::SUCCESS) {
        form = form_of(object, signature_);
      }
      break;
    }
    if (form == Form::kBroken || list.reset().error()) return not_json("'instances' is not JSON");
    return form == Form::kValue ? read_values(list) : read_named_rows(list, form);
  }

  // Rows by the names of inputs, or else by those of the only input's columns.
  Result<void> read_named_rows(od::array list, Form form) {
    const bool by_column = form == Form::kColumns;
    NamedColumns columns(signature_, out_.arena);
    ColumnReaders inputs(signature_, out_.arena);
    inputs.allow_base64();
    std::size_t count = 0;
    for (auto element : list) {
      od::object row;
      if (auto error = element.get_object().get(row)) {
        if (error != simdjson::INCORRECT_TYPE) return not_json(simdjson::error_message(error));
        return invalid("ragged", "every one of 'instances' must be of the same form");
      }
      SLUICE_CHECK(by_column ? columns.append(row) : inputs.append_object(row));
      ++count;
    }
    if (!by_column) return inputs.finish(count, out_);
    columns.finish(out_, true);
    return {};
  }

  Result<const TensorSpec*> only_input() const {
    if (signature_.inputs.size() == 1) return &signature_.inputs[0];
    std::vector<std::string> names;
    for (const auto& input : signature_.inputs) names.push_back(input.name);
    return invalid("wrong_type",
                   "the model has the inputs " + name_list(names) + ": send values by name");
  }

  // Values of the only input, one for each row.
  Result<void> read_values(od::array list) {
    SLUICE_TRY(const auto* spec, only_input());
    NestedReader reader(spec->dtype, row_width(*spec), out_.arena, "instances");
    reader.allow_base64();
    SLUICE_CHECK(reader.read(list));
    return keep(*spec, reader);
  }

  Result<void> read_inputs(od::value value) {
    od::object object;
    if (value.get_object().get(object) == simdjson::SUCCESS) {
      switch (form_of(object, signature_)) {
        case Form::kBroken: return not_json("'inputs' is not JSON");
        case Form::kInputs:
        case Form::kColumns: return read_named_inputs(object);
        case Form::kValue: break;
      }
      return invalid("wrong_type", "'inputs' must be a list or an object by input name");
    }
    SLUICE_TRY(const auto* spec, only_input());
    return read_input(*spec, value);
  }

  Result<void> read_named_inputs(od::object object) {
    std::vector<bool> seen(signature_.inputs.size(), false);
    SLUICE_CHECK(for_each_field(object, [&](std::string_view key, od::value value) -> Result<void> {
      const auto at = signature_.input_named(key);
      if (at == Signature::npos) {
        return invalid("unknown_input", "the model has no input '" + printable(key) + "'");
      }
      seen[at] = true;
      return read_input(signature_.inputs[at], value);
    }));
    const auto missing = std::ranges::find(seen, false);
    if (missing == seen.end()) return {};
    const auto at = static_cast<std::size_t>(missing - seen.begin());
    return invalid("missing_input", "input '" + signature_.inputs[at].name + "' is missing");
  }

  Result<void> read_input(const TensorSpec& spec, od::value value) {
    NestedReader reader(spec.dtype, row_width(spec), out_.arena, spec.name);
    reader.allow_base64();
    SLUICE_CHECK(reader.read(value));
    return keep(spec, reader);
  }

  Result<void> keep(const TensorSpec& spec, const NestedReader& reader) {
    const auto shape = with_rows_of_one(reader.dims(), spec);
    SLUICE_TRY(const auto count, element_count(shape.dims()));
    if (count != reader.count()) return invalid("ragged", "'" + spec.name + "' is ragged");
    out_.inputs[static_cast<std::size_t>(&spec - signature_.inputs.data())] = reader.tensor(shape);
    return {};
  }

  const Signature& signature_;
  TfCall& call_;
  Request& out_;
  int given_ = 0;
};

Result<void> rebind(Request& request, const Signature& signature) {
  // Made by `decode_tfserving_json` in this request's arena.
  auto& call = *const_cast<TfCall*>(static_cast<const TfCall*>(request.payload));
  return Decoder(signature, call, request).run(request.body);
}

// Names that end so hold bytes, not text.
Strings strings_of(const TensorSpec& spec) {
  return spec.name.ends_with("_bytes") ? Strings::kBase64 : Strings::kText;
}

Result<void> write_rows(const Request& request, JsonWriter& json) {
  const auto& specs = request.servable->signature().outputs;
  const auto outputs = request.reply.outputs;
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const auto dims = outputs[i].shape.dims();
    if (!dims.empty() && static_cast<std::size_t>(dims[0]) == request.rows) continue;
    return invalid("wrong_shape", "output '" + specs[i].name +
                                      "' has no row for each instance; ask with 'inputs'");
  }
  json.key("predictions").begin_array();
  for (std::size_t row = 0; row < request.rows; ++row) {
    if (outputs.size() == 1) {
      write_row(outputs[0], row, strings_of(specs[0]), json);
      continue;
    }
    json.begin_object();
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      json.key(specs[i].name);
      write_row(outputs[i], row, strings_of(specs[i]), json);
    }
    json.end_object();
  }
  json.end_array();
  return {};
}

void write_columns(const Request& request, JsonWriter& json) {
  const auto& specs = request.servable->signature().outputs;
  const auto outputs = request.reply.outputs;
  json.key("outputs");
  if (outputs.size() == 1) return write_nested(outputs[0], strings_of(specs[0]), json);
  json.begin_object();
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    json.key(specs[i].name);
    write_nested(outputs[i], strings_of(specs[i]), json);
  }
  json.end_object();
}

}  // namespace

Result<void> decode_tfserving_json(std::string_view body, const Signature& signature,
                                   Request& out) {
  TfCall* call = new (out.arena.array<TfCall>(1).data()) TfCall;
  out.body = body;
  out.payload = call;
  out.rebind = rebind;
  out.may_split_rows = true;
  SLUICE_CHECK(Decoder(signature, *call, out).run(body));
  out.bound_to = signature.fingerprint;
  return {};
}

Result<void> encode_tfserving_json(const Request& request, std::string& out) {
  JsonWriter json(out);
  json.begin_object();
  if (static_cast<const TfCall*>(request.payload)->by_row) {
    SLUICE_CHECK(write_rows(request, json));
  } else {
    write_columns(request, json);
  }
  write_asides(request, json);
  json.end_object();
  return {};
}

}  // namespace sluice::codecs
