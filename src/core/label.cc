#include "core/label.h"

#include <algorithm>

namespace sluice {
namespace {

// Not by way of a double, for which two classes above 2^53 may be the same.
std::string text_of(const TensorView& labels, std::size_t at) {
  switch (labels.dtype) {
    case DType::kString: return std::string(labels.strings[at]);
    case DType::kInt64: return std::to_string(labels.as<std::int64_t>()[at]);
    case DType::kUint64: return std::to_string(labels.as<std::uint64_t>()[at]);
    default: return std::to_string(static_cast<std::int64_t>(number_at(labels, at)));
  }
}

}  // namespace

std::optional<std::size_t> place_of_label(const TensorView& labels, std::size_t at,
                                          const std::vector<std::string>& classes) {
  if (classes.empty()) return std::nullopt;
  const auto found = std::ranges::find(classes, text_of(labels, at));
  if (found == classes.end()) return std::nullopt;
  return static_cast<std::size_t>(found - classes.begin());
}

}  // namespace sluice
