#include "core/signature.h"

#include <algorithm>

namespace sluice {
namespace {

std::size_t place_of(const std::vector<TensorSpec>& specs, std::string_view name) {
  for (std::size_t i = 0; i < specs.size(); ++i) {
    if (specs[i].name == name) return i;
  }
  return Signature::npos;
}

bool free_rows(const TensorSpec& spec) { return !spec.dims.empty() && spec.dims[0] == -1; }

}  // namespace

bool TensorSpec::fits(const Shape& shape) const {
  if (shape.rank() != dims.size()) return false;
  for (std::size_t i = 0; i < dims.size(); ++i) {
    if (dims[i] != -1 && dims[i] != shape[i]) return false;
  }
  return true;
}

bool Signature::batchable() const {
  return std::ranges::all_of(inputs, free_rows) && std::ranges::all_of(outputs, free_rows);
}

bool Signature::rows_are_calls() const {
  return !std::ranges::all_of(inputs, &TensorSpec::counts_rows);
}

namespace {

Failure wrong_shape(const TensorSpec& spec, const TensorView& tensor) {
  return invalid("wrong_shape", "input '" + spec.name + "' has shape " +
                                    show_shape(tensor.shape.dims()) + "; the model takes " +
                                    show_shape(spec.dims));
}

bool fits_split(const TensorSpec& spec, const Shape& shape) {
  if (shape.rank() != spec.dims.size() || spec.dims.empty() || spec.dims[0] != 1) return false;
  Shape one = shape;
  one[0] = 1;
  return shape[0] > 0 && spec.fits(one);
}

Result<void> check_input(const TensorSpec& spec, const TensorView& tensor, bool may_split) {
  if (tensor.dtype != spec.dtype) {
    return invalid("wrong_type", "input '" + spec.name + "' is " +
                                     std::string(name_of(tensor.dtype)) + "; the model takes " +
                                     std::string(name_of(spec.dtype)));
  }
  if (!spec.fits(tensor.shape) && !(may_split && fits_split(spec, tensor.shape))) {
    return wrong_shape(spec, tensor);
  }
  SLUICE_TRY(const auto count, element_count(tensor.shape.dims()));
  // Rows without values cost the client nothing and the answer memory for each.
  if (count == 0 && tensor.shape.rank() > 1 && tensor.shape[0] > 0) {
    return invalid("wrong_shape", "input '" + spec.name + "' has shape " +
                                      show_shape(tensor.shape.dims()) + ": rows without values");
  }
  if (count == tensor.elements()) return {};
  return invalid("wrong_size", "input '" + spec.name + "' has " +
                                   std::to_string(tensor.elements()) + " values; its shape " +
                                   show_shape(tensor.shape.dims()) + " wants " +
                                   std::to_string(count));
}

}  // namespace

Result<std::size_t> check_inputs(const Signature& signature, std::span<const TensorView> inputs,
                                 bool may_split_rows) {
  if (inputs.size() != signature.inputs.size()) return internal("inputs are missing");
  std::size_t rows = 1;
  const TensorSpec* first = nullptr;
  // A first dimension fixed at more than 1 is that of rows only where none is elsewhere.
  const bool fixed_rows = std::ranges::none_of(signature.inputs, &TensorSpec::counts_rows);
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const TensorSpec& spec = signature.inputs[i];
    SLUICE_CHECK(check_input(spec, inputs[i], may_split_rows));
    const bool counts =
        !spec.dims.empty() &&
        (spec.dims[0] == -1 || (may_split_rows && (spec.dims[0] == 1 || fixed_rows)));
    if (!counts) continue;
    const auto here = static_cast<std::size_t>(inputs[i].shape[0]);
    if (first != nullptr && here != rows && signature.batchable()) {
      return invalid("ragged", "'" + first->name + "' has " + std::to_string(rows) + " rows and '" +
                                   spec.name + "' has " + std::to_string(here));
    }
    if (first == nullptr) {
      first = &spec;
      rows = here;
    }
  }
  return rows;
}

namespace {

bool contains(std::string_view text, std::string_view part) {
  return std::search(text.begin(), text.end(), part.begin(), part.end(), [](char a, char b) {
           return (a >= 'A' && a <= 'Z' ? a + 32 : a) == b;
         }) != text.end();
}

}  // namespace

Role role_by_name(const TensorSpec& spec) {
  if (spec.dims.size() != 1 && spec.dims.size() != 2) return Role::kUnknown;
  const bool discrete = spec.dtype == DType::kString || is_integer(spec.dtype);
  if (discrete && (contains(spec.name, "label") || contains(spec.name, "class"))) {
    return Role::kLabel;
  }
  if (is_floating(spec.dtype) && contains(spec.name, "prob")) return Role::kProbabilities;
  if (is_floating(spec.dtype) && contains(spec.name, "logit")) return Role::kLogits;
  return Role::kUnknown;
}

void Signature::seal() {
  // FNV-1a, 64 bits, over everything that codecs look at.
  std::uint64_t hash = 0xCBF29CE484222325ULL;
  const auto add = [&](std::string_view bytes) {
    for (const char c : bytes) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3ULL;
    hash = (hash ^ 0xFF) * 0x100000001B3ULL;  // never inside UTF-8: an end
  };
  for (const auto* specs : {&inputs, &outputs}) {
    for (const auto& spec : *specs) {
      add(spec.name);
      add(name_of(spec.dtype));
      add(show_shape(spec.dims));
    }
    add("");
  }
  for (const auto& column : columns) add(column);
  if (fetched != nullptr) {
    add("");
    for (const auto& key : fetched->keys) add(key.name);
    for (const auto& name : fetched->names) add(name);
  }
  fingerprint = hash == 0 ? 1 : hash;
}

std::size_t Signature::input_named(std::string_view name) const { return place_of(inputs, name); }
std::size_t Signature::output_named(std::string_view name) const { return place_of(outputs, name); }

std::size_t Signature::column_named(std::string_view name) const {
  const auto found = std::ranges::find(columns, name);
  return found == columns.end() ? npos : static_cast<std::size_t>(found - columns.begin());
}

}  // namespace sluice
