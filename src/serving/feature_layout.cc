#include "serving/feature_layout.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "base/text.h"
#include "core/servable.h"

namespace sluice::serving {
namespace {

Failure not_rows(const TensorSpec& spec, const std::string& what) {
  return invalid("not_explainable", "input '" + printable(spec.name) + "' " + what +
                                        "; explained are models that take rows of numbers");
}

bool is_explained(DType dtype) {
  return dtype == DType::kFloat32 || dtype == DType::kFloat64 || dtype == DType::kInt32 ||
         dtype == DType::kInt64;
}

template <class T>
T converted(double value) {
  if constexpr (std::is_floating_point_v<T>) {
    return static_cast<T>(value);
  } else {
    if (std::isnan(value)) return 0;
    // The greatest integer is no double: what rounds to it or beyond is taken as the greatest.
    if (value >= static_cast<double>(std::numeric_limits<T>::max())) {
      return std::numeric_limits<T>::max();
    }
    if (value <= static_cast<double>(std::numeric_limits<T>::min())) {
      return std::numeric_limits<T>::min();
    }
    return static_cast<T>(std::llround(value));
  }
}

// Columns `first` to `first + width` of rows that are `stride` wide.
template <class T>
std::span<const std::byte> take_columns(std::span<const double> rows, std::size_t first,
                                        std::size_t width, std::size_t stride, Arena& arena) {
  const std::size_t count = rows.size() / stride;
  auto out = arena.array<T>(count * width);
  auto to = out.begin();
  for (std::size_t row = 0; row < count; ++row) {
    to = std::ranges::transform(rows.subspan(row * stride + first, width), to, converted<T>).out;
  }
  return std::as_bytes(out);
}

}  // namespace

Result<FeatureLayout> FeatureLayout::of(const Request& request) {
  const Signature& signature = request.servable->signature();
  FeatureLayout out;
  for (std::size_t i = 0; i < request.inputs.size(); ++i) {
    const TensorView& tensor = request.inputs[i];
    const TensorSpec& spec = signature.inputs[i];
    if (tensor.dtype == DType::kString) return not_rows(spec, "takes texts");
    if (!is_explained(tensor.dtype)) {
      return not_rows(
          spec, "is " + std::string(name_of(tensor.dtype)) + " and not FP32, FP64, INT32 or INT64");
    }
    const bool by_row = tensor.shape.rank() >= 1 && tensor.shape.rank() <= 2 &&
                        tensor.shape[0] == static_cast<std::int64_t>(request.rows) &&
                        (spec.dims[0] == -1 || spec.dims[0] == 1);
    if (!by_row) return not_rows(spec, "has the shape " + show_shape(spec.dims));
    const std::size_t width = request.rows == 0 ? 0 : tensor.elements() / request.rows;
    out.parts_.push_back({&tensor, width});
    out.width_ += width;
  }
  if (out.width_ == 0) {
    return invalid("not_explainable", "there are no features to explain in this request");
  }
  return out;
}

std::size_t FeatureLayout::width_of(const Signature& signature) {
  std::size_t out = 0;
  for (const auto& spec : signature.inputs) {
    std::size_t width = 1;
    for (const auto dim : spec.row_dims()) {
      if (dim < 0) return 0;
      width *= static_cast<std::size_t>(dim);
    }
    out += width;
  }
  return out;
}

void FeatureLayout::read(std::size_t row, std::span<double> out) const {
  std::size_t at = 0;
  for (const auto& [tensor, width] : parts_) {
    for (std::size_t i = 0; i < width; ++i) out[at++] = number_at(*tensor, row * width + i);
  }
}

std::span<TensorView> FeatureLayout::inputs(std::span<const double> rows, Arena& arena) const {
  auto out = arena.array<TensorView>(parts_.size());
  std::size_t first = 0;
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    const auto& [tensor, width] = parts_[i];
    const auto take = [&]<class T>(T) {
      return take_columns<T>(rows, first, width, width_, arena);
    };
    out[i] = TensorView{tensor->dtype, tensor->shape, {}, {}};
    out[i].shape[0] = static_cast<std::int64_t>(rows.size() / width_);
    switch (tensor->dtype) {
      case DType::kFloat64: out[i].data = take(double{}); break;
      case DType::kInt32: out[i].data = take(std::int32_t{}); break;
      case DType::kInt64: out[i].data = take(std::int64_t{}); break;
      default: out[i].data = take(float{}); break;
    }
    first += width;
  }
  return out;
}

std::span<const std::string_view> FeatureLayout::names(const Signature& signature,
                                                       Arena& arena) const {
  auto out = arena.array<std::string_view>(width_);
  if (signature.columns.size() == width_) {
    std::ranges::copy(signature.columns, out.begin());
    return out;
  }
  std::size_t at = 0;
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    const std::string& input = signature.inputs[i].name;
    const std::string stem = parts_.size() == 1 ? "feature_" : input + "_";
    for (std::size_t k = 0; k < parts_[i].width; ++k) {
      const bool alone = parts_.size() > 1 && parts_[i].width == 1;
      out[at++] = alone ? std::string_view(input) : arena.copy(stem + std::to_string(k));
    }
  }
  return out;
}

}  // namespace sluice::serving
