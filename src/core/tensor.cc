#include "core/tensor.h"

#include "base/checked.h"
#include "base/half.h"

namespace sluice {
namespace {

constexpr std::int64_t kMaxElements = std::int64_t{1} << 28;

struct DTypeFacts {
  std::string_view name;
  std::size_t size;
};

// In the order of DType.
constexpr std::array<DTypeFacts, 14> kFacts = {{{"BOOL", 1},
                                                {"UINT8", 1},
                                                {"UINT16", 2},
                                                {"UINT32", 4},
                                                {"UINT64", 8},
                                                {"INT8", 1},
                                                {"INT16", 2},
                                                {"INT32", 4},
                                                {"INT64", 8},
                                                {"FP16", 2},
                                                {"BF16", 2},
                                                {"FP32", 4},
                                                {"FP64", 8},
                                                {"BYTES", 0}}};

template <class T>
double element(const TensorView& tensor, std::size_t index) {
  return static_cast<double>(tensor.as<T>()[index]);
}

}  // namespace

std::size_t size_of(DType dtype) { return kFacts[static_cast<std::size_t>(dtype)].size; }
std::string_view name_of(DType dtype) { return kFacts[static_cast<std::size_t>(dtype)].name; }

std::optional<DType> dtype_named(std::string_view name) {
  for (std::size_t i = 0; i < kFacts.size(); ++i) {
    if (kFacts[i].name == name) return static_cast<DType>(i);
  }
  return std::nullopt;
}

bool is_floating(DType dtype) { return dtype >= DType::kFloat16 && dtype <= DType::kFloat64; }
double overflow_of(DType dtype) {
  // The largest number of the type plus half its spacing.
  switch (dtype) {
    case DType::kFloat32: return 0x1.ffffffp127;
    case DType::kFloat16: return 65520.0;
    case DType::kBFloat16: return 0x1.ffp127;
    default: return std::numeric_limits<double>::infinity();
  }
}

bool is_integer(DType dtype) { return dtype >= DType::kUint8 && dtype <= DType::kInt64; }

Shape Shape::row() const {
  Shape out;
  for (std::size_t i = 1; i < rank_; ++i) out.push(dims_[i]);
  return out;
}

Result<std::size_t> element_count(std::span<const std::int64_t> dims) {
  std::int64_t count = 1;
  for (const auto dim : dims) {
    const auto next = dim < 0 ? std::nullopt : checked_mul(count, dim);
    if (!next || *next > kMaxElements) {
      return invalid("shape_overflow", "shape " + show_shape(dims) +
                                           " is not valid: dimensions must not be negative and a "
                                           "tensor holds at most 2^28 elements");
    }
    count = *next;
  }
  return static_cast<std::size_t>(count);
}

std::string show_shape(std::span<const std::int64_t> dims) {
  std::string out = "[";
  for (std::size_t i = 0; i < dims.size(); ++i) {
    if (i > 0) out += ',';
    out += dims[i] == -1 ? "N" : std::to_string(dims[i]);
  }
  return out + "]";
}

double number_at(const TensorView& tensor, std::size_t index) {
  switch (tensor.dtype) {
    case DType::kBool:
    case DType::kUint8: return element<std::uint8_t>(tensor, index);
    case DType::kUint16: return element<std::uint16_t>(tensor, index);
    case DType::kUint32: return element<std::uint32_t>(tensor, index);
    case DType::kUint64: return element<std::uint64_t>(tensor, index);
    case DType::kInt8: return element<std::int8_t>(tensor, index);
    case DType::kInt16: return element<std::int16_t>(tensor, index);
    case DType::kInt32: return element<std::int32_t>(tensor, index);
    case DType::kInt64: return element<std::int64_t>(tensor, index);
    case DType::kFloat16: return half_to_float(tensor.as<std::uint16_t>()[index]);
    case DType::kBFloat16: return bf16_to_float(tensor.as<std::uint16_t>()[index]);
    case DType::kFloat32: return element<float>(tensor, index);
    case DType::kFloat64: return element<double>(tensor, index);
    case DType::kString: break;
  }
  return 0;
}

}  // namespace sluice
