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

std::size_t Signature::input_named(std::string_view name) const { return place_of(inputs, name); }
std::size_t Signature::output_named(std::string_view name) const { return place_of(outputs, name); }

std::size_t Signature::column_named(std::string_view name) const {
  const auto found = std::ranges::find(columns, name);
  return found == columns.end() ? npos : static_cast<std::size_t>(found - columns.begin());
}

}  // namespace sluice
