#include "core/sample.h"

#include <algorithm>

namespace sluice {
namespace {

Result<TensorView> sample(const TensorSpec& spec, Arena& arena) {
  TensorView out;
  out.dtype = spec.dtype;
  for (const auto dim : spec.dims) out.shape.push(dim == -1 ? 1 : dim);
  SLUICE_TRY(const auto count, element_count(out.shape.dims()));
  if (spec.dtype == DType::kString) {
    auto strings = arena.array<std::string_view>(count);
    std::ranges::fill(strings, std::string_view());
    out.strings = strings;
  } else {
    auto bytes = arena.array<std::byte>(count * size_of(spec.dtype));
    std::ranges::fill(bytes, std::byte{});
    out.data = bytes;
  }
  return out;
}

}  // namespace

Result<std::vector<TensorView>> sample_inputs(const Signature& signature, Arena& arena) {
  std::vector<TensorView> out;
  for (const auto& spec : signature.inputs) {
    SLUICE_TRY(out.emplace_back(), sample(spec, arena));
  }
  return out;
}

}  // namespace sluice
