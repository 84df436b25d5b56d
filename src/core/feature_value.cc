#include "core/feature_value.h"

namespace sluice {
namespace {

std::size_t beside(const FeatureData& data) {
  if (const auto* text = std::get_if<std::string>(&data)) return text->capacity();
  if (const auto* list = std::get_if<std::vector<double>>(&data)) {
    return list->capacity() * sizeof(double);
  }
  std::size_t out = 0;
  if (const auto* list = std::get_if<std::vector<std::string>>(&data)) {
    for (const auto& text : *list) out += sizeof(text) + text.capacity();
  }
  return out;
}

}  // namespace

std::size_t FeatureRow::bytes() const {
  std::size_t out = sizeof(*this) + values.capacity() * sizeof(FeatureValue);
  for (const auto& value : values) out += beside(value.data);
  return out;
}

}  // namespace sluice
