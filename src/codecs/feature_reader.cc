#include "codecs/feature_reader.h"

#include <algorithm>

#include "base/name_list.h"
#include "codecs/nested_reader.h"
#include "codecs/row_readers.h"
#include "codecs/row_shape.h"

namespace sluice::codecs {
namespace {

constexpr std::string_view kFeatures = "features";

// A model whose inputs are single values each: sklearn's column-wise exports.
bool is_columnar(const Signature& signature) {
  return signature.inputs.size() > 1 &&
         std::ranges::all_of(signature.inputs,
                             [](const TensorSpec& spec) { return row_width(spec) == 1; });
}

// Positional values of the only input.
Result<void> read_single(od::array features, const TensorSpec& spec, Request& out) {
  NestedReader reader(spec.dtype, row_width(spec), out.arena, kFeatures);
  SLUICE_CHECK(reader.read(features));
  SLUICE_TRY(const auto rows, fit_rows(spec, reader.dims(), reader.count(), kFeatures));
  out.inputs[0] = reader.tensor(rows.shape);
  out.rows = rows.rows;
  out.many_rows = rows.many;
  return {};
}

Result<void> read_object(od::object object, const Signature& signature, Request& out) {
  if (signature.inputs.size() == 1 && !signature.columns.empty()) {
    NamedColumns columns(signature, out.arena);
    SLUICE_CHECK(columns.append(object));
    columns.finish(out, false);
    return {};
  }
  ColumnReaders readers(signature, out.arena);
  SLUICE_CHECK(readers.append_object(object));
  return readers.finish(0, out);
}

// A list whose elements are rows by name, or arrays of a columnar model.
Result<void> read_rows(od::array rows, const Signature& signature, Request& out) {
  const bool columns = signature.inputs.size() == 1 && !signature.columns.empty();
  NamedColumns named(signature, out.arena);
  ColumnReaders readers(signature, out.arena);
  std::size_t count = 0;
  for (auto element : rows) {
    od::value row;
    if (auto error = element.get(row)) return not_json(simdjson::error_message(error));
    od::object object;
    od::array array;
    if (row.get_object().get(object) == simdjson::SUCCESS) {
      SLUICE_CHECK(columns ? named.append(object) : readers.append_object(object));
    } else if (!columns && row.get_array().get(array) == simdjson::SUCCESS) {
      SLUICE_CHECK(readers.append_array(array));
    } else {
      return invalid("ragged", "every row of 'features' must be of the same form");
    }
    ++count;
  }
  if (count == 0) return invalid("empty", "'features' is empty");
  if (!columns) return readers.finish(count, out);
  named.finish(out, true);
  return {};
}

enum class FirstElement { kNone, kObject, kArray, kLeaf, kBroken };

// What a list starts with; the list can be read again from the beginning.
FirstElement first_element(od::array& array) {
  FirstElement out = FirstElement::kNone;
  for (auto element : array) {
    od::json_type type;
    if (element.type().get(type)) return FirstElement::kBroken;
    out = type == od::json_type::object  ? FirstElement::kObject
          : type == od::json_type::array ? FirstElement::kArray
                                         : FirstElement::kLeaf;
    break;
  }
  return out;
}

}  // namespace

Result<void> read_features(od::value features, const Signature& signature, Request& out) {
  out.inputs = out.arena.array<TensorView>(signature.inputs.size());
  od::object object;
  if (features.get_object().get(object) == simdjson::SUCCESS) {
    return read_object(object, signature, out);
  }
  od::array array;
  if (auto error = features.get_array().get(array)) {
    if (error != simdjson::INCORRECT_TYPE) return not_json(simdjson::error_message(error));
    SLUICE_CHECK(visit(features));
    return invalid("wrong_type", "'features' must be an array or an object, not " +
                                     std::string(kind_of(features)));
  }
  const auto first = first_element(array);
  if (first == FirstElement::kNone) return invalid("empty", "'features' is empty");
  if (auto error = array.reset().error()) return not_json(simdjson::error_message(error));
  if (first == FirstElement::kBroken) return not_json("'features' is not valid JSON");
  const bool columnar = is_columnar(signature);
  if (first == FirstElement::kObject || (columnar && first == FirstElement::kArray)) {
    return read_rows(array, signature, out);
  }
  if (columnar) {
    ColumnReaders readers(signature, out.arena);
    SLUICE_CHECK(readers.append_array(array));
    return readers.finish(0, out);
  }
  if (signature.inputs.size() != 1) {
    std::vector<std::string> names;
    for (const auto& input : signature.inputs) names.push_back(input.name);
    return invalid("wrong_type", "the model has the inputs " + name_list(names) +
                                     ": send 'features' as an object with these names");
  }
  return read_single(array, signature.inputs[0], out);
}

}  // namespace sluice::codecs
