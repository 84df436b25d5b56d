#include "serving/padding.h"

#include <algorithm>
#include <cstring>

#include "base/half.h"
#include "base/text.h"

namespace sluice::serving {
namespace {

// A request is not lengthened beyond this many elements of an input.
constexpr std::size_t kMostElements = std::size_t{1} << 20;

std::vector<bool> free_dims(const TensorSpec& spec) {
  std::vector<bool> out(spec.dims.size(), false);
  for (std::size_t i = 1; i < spec.dims.size(); ++i) out[i] = spec.dims[i] == -1;
  return out;
}

template <class T>
void fill(std::span<std::byte> bytes, T value) {
  auto* elements = reinterpret_cast<T*>(bytes.data());
  std::fill_n(elements, bytes.size() / sizeof(T), value);
}

void fill(std::span<std::byte> bytes, DType dtype, double value) {
  const auto whole = static_cast<std::int64_t>(value);
  switch (dtype) {
    case DType::kBool: return fill<std::uint8_t>(bytes, value != 0);
    case DType::kUint8: return fill(bytes, static_cast<std::uint8_t>(whole));
    case DType::kUint16: return fill(bytes, static_cast<std::uint16_t>(whole));
    case DType::kUint32: return fill(bytes, static_cast<std::uint32_t>(whole));
    case DType::kUint64: return fill(bytes, static_cast<std::uint64_t>(whole));
    case DType::kInt8: return fill(bytes, static_cast<std::int8_t>(whole));
    case DType::kInt16: return fill(bytes, static_cast<std::int16_t>(whole));
    case DType::kInt32: return fill(bytes, static_cast<std::int32_t>(whole));
    case DType::kInt64: return fill(bytes, whole);
    case DType::kFloat16: return fill(bytes, float_to_half(static_cast<float>(value)));
    case DType::kBFloat16: return fill(bytes, float_to_bf16(static_cast<float>(value)));
    case DType::kFloat32: return fill(bytes, static_cast<float>(value));
    case DType::kFloat64: return fill(bytes, value);
    case DType::kString: break;
  }
}

// Copies what `from` and `to` have in common, dimension `at` and below; both are row-major.
template <class T>
void copy_common(const T* from, const Shape& from_shape, T* to, const Shape& to_shape,
                 std::size_t unit, std::size_t at = 0) {
  const auto size_below = [&](const Shape& shape) {
    std::size_t size = unit;
    for (std::size_t i = at + 1; i < shape.rank(); ++i) size *= static_cast<std::size_t>(shape[i]);
    return size;
  };
  const auto count = static_cast<std::size_t>(std::min(from_shape[at], to_shape[at]));
  const std::size_t from_step = size_below(from_shape);
  const std::size_t to_step = size_below(to_shape);
  if (at + 1 == from_shape.rank()) {
    std::copy_n(from, count * unit, to);
    return;
  }
  for (std::size_t i = 0; i < count; ++i) {
    copy_common(from + i * from_step, from_shape, to + i * to_step, to_shape, unit, at + 1);
  }
}

// `tensor` with another shape of the same rank: larger at the end of dimensions, or smaller.
Result<TensorView> reshaped(const TensorView& tensor, const Shape& shape, double value,
                            Arena& arena) {
  TensorView out = tensor;
  out.shape = shape;
  SLUICE_TRY(const auto count, element_count(shape.dims()));
  if (tensor.dtype == DType::kString) {
    auto strings = arena.array<std::string_view>(count);
    std::ranges::fill(strings, std::string_view());
    copy_common(tensor.strings.data(), tensor.shape, strings.data(), shape, 1);
    out.strings = strings;
    return out;
  }
  const std::size_t size = size_of(tensor.dtype);
  auto bytes = arena.array<std::byte>(count * size);
  fill(bytes, tensor.dtype, value);
  copy_common(tensor.data.data(), tensor.shape, bytes.data(), shape, size);
  out.data = bytes;
  return out;
}

Shape with_length(const Shape& shape, const std::vector<bool>& free, std::int64_t from,
                  std::int64_t to) {
  Shape out = shape;
  for (std::size_t i = 0; i < out.rank() && i < free.size(); ++i) {
    if (free[i] && out[i] == from) out[i] = to;
  }
  return out;
}

}  // namespace

Result<std::optional<PadPlan>> PadPlan::make(const Signature& signature,
                                             const ModelConfig& config) {
  if (!config.batching || !config.batching->pad) return std::nullopt;
  const Padding& wanted = *config.batching->pad;
  if (wanted.buckets.empty()) {
    return invalid("bad_config", "batching.pad in model.yaml needs buckets, such as [16, 32, 64]");
  }
  for (const auto& name : wanted.zero) {
    if (signature.input_named(name) != Signature::npos) continue;
    return invalid("bad_config", "batching.pad.zero in model.yaml names '" + printable(name) +
                                     "', which is no input of the model");
  }
  PadPlan out;
  out.max_rows_ = static_cast<std::size_t>(config.batching->max_batch_size);
  out.buckets_ = wanted.buckets;
  bool any = false;
  for (const auto& spec : signature.inputs) {
    Input input{free_dims(spec), wanted.value};
    if (std::ranges::count(wanted.zero, spec.name) > 0) input.value = 0;
    any = any || std::ranges::count(input.free, true) > 0;
    out.inputs_.push_back(std::move(input));
  }
  for (const auto& spec : signature.outputs) out.outputs_.push_back(free_dims(spec));
  if (any && signature.batchable()) return out;
  return invalid("bad_config",
                 "batching.pad in model.yaml is of no use: the model has no inputs of free length "
                 "beside a free number of rows");
}

void PadPlan::pad(Request& request) const {
  if (request.rows > max_rows_) return;
  std::int64_t length = -1;
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    const Shape& shape = request.inputs[i].shape;
    for (std::size_t at = 0; at < shape.rank(); ++at) {
      if (!inputs_[i].free[at]) continue;
      if (length != -1 && shape[at] != length) return;  // several lengths
      length = shape[at];
    }
  }
  const auto bucket = std::ranges::lower_bound(buckets_, length);
  if (length <= 0 || bucket == buckets_.end() || *bucket == length) return;
  auto longer = request.arena.array<TensorView>(inputs_.size());
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    longer[i] = request.inputs[i];
    const auto shape = with_length(longer[i].shape, inputs_[i].free, length, *bucket);
    if (shape == longer[i].shape) continue;
    // Too large: it runs by itself, as it came.
    const auto count = element_count(shape.dims());
    if (!count || *count > kMostElements) return;
    auto made = reshaped(longer[i], shape, inputs_[i].value, request.arena);
    if (!made) return;
    longer[i] = *made;
  }
  request.inputs = longer;
  request.unpadded = length;
  request.padded = *bucket;
}

void PadPlan::cut(Request& request) const {
  if (request.padded == 0) return;
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    TensorView& output = request.reply.outputs[i];
    const auto shape = with_length(output.shape, outputs_[i], request.padded, request.unpadded);
    if (shape == output.shape) continue;
    if (auto shorter = reshaped(output, shape, 0, request.arena)) output = *shorter;
  }
}

}  // namespace sluice::serving
