#include "codecs/raw_tensor.h"

#include <algorithm>
#include <cstring>

namespace sluice::codecs {
namespace {

constexpr std::size_t kPrefix = sizeof(std::uint32_t);

Failure wrong_size(std::string_view name, std::size_t have, std::size_t want, const Shape& shape,
                   DType dtype) {
  return invalid("wrong_size", "input '" + std::string(name) + "' has " + std::to_string(have) +
                                   " bytes; " + std::string(name_of(dtype)) + " of shape " +
                                   show_shape(shape.dims()) + " wants " + std::to_string(want));
}

Result<std::span<const std::string_view>> read_strings(std::size_t count, std::string_view bytes,
                                                       std::string_view name, Arena& arena) {
  // Each element has at least its length: no more room is taken than there can be elements.
  if (count > bytes.size() / kPrefix) {
    return invalid("wrong_size", "input '" + std::string(name) + "' has fewer than its " +
                                     std::to_string(count) + " elements");
  }
  auto out = arena.array<std::string_view>(count);
  for (auto& element : out) {
    std::uint32_t length = 0;
    const bool has_length = bytes.size() >= kPrefix;
    if (has_length) std::memcpy(&length, bytes.data(), kPrefix);
    if (!has_length || length > bytes.size() - kPrefix) {
      return invalid("wrong_size", "an element of input '" + std::string(name) +
                                       "' is longer than what is left of its bytes");
    }
    element = bytes.substr(kPrefix, length);
    bytes.remove_prefix(kPrefix + length);
  }
  if (!bytes.empty()) {
    return invalid("wrong_size",
                   "input '" + std::string(name) + "' has more bytes than its elements");
  }
  return out;
}

}  // namespace

Result<TensorView> read_raw(DType dtype, const Shape& shape, std::string_view bytes,
                            std::string_view name, Arena& arena) {
  SLUICE_TRY(const auto count, element_count(shape.dims()));
  TensorView out;
  out.dtype = dtype;
  out.shape = shape;
  if (dtype == DType::kString) {
    SLUICE_TRY(out.strings, read_strings(count, bytes, name, arena));
    return out;
  }
  const std::size_t want = count * size_of(dtype);
  if (want != bytes.size()) return wrong_size(name, bytes.size(), want, shape, dtype);
  if (dtype == DType::kBool &&
      std::ranges::any_of(bytes, [](char c) { return static_cast<unsigned char>(c) > 1; })) {
    return invalid("out_of_range",
                   "input '" + std::string(name) + "' has a BOOL that is neither 0 nor 1");
  }
  const auto at = reinterpret_cast<std::uintptr_t>(bytes.data());
  if (at % size_of(dtype) == 0) {
    out.data = std::as_bytes(std::span(bytes));
  } else {
    auto copy = arena.array<std::byte>(bytes.size());
    std::memcpy(copy.data(), bytes.data(), bytes.size());
    out.data = copy;
  }
  return out;
}

std::size_t raw_size(const TensorView& tensor) {
  std::size_t size = tensor.data.size();
  for (const auto text : tensor.strings) size += kPrefix + text.size();
  return size;
}

void append_raw(const TensorView& tensor, std::string& out) {
  out.append(reinterpret_cast<const char*>(tensor.data.data()), tensor.data.size());
  for (const auto text : tensor.strings) {
    const auto length = static_cast<std::uint32_t>(text.size());
    out.append(reinterpret_cast<const char*>(&length), kPrefix);
    out.append(text);
  }
}

}  // namespace sluice::codecs
