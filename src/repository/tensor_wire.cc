#include "repository/tensor_wire.h"

#include <array>
#include <cstdint>
#include <cstring>

namespace sluice::repository {
namespace {

constexpr std::size_t kAlign = 64;

constexpr std::size_t aligned(std::size_t size) { return (size + kAlign - 1) / kAlign * kAlign; }

struct alignas(kAlign) Head {
  std::uint64_t dtype = 0;
  std::uint64_t rank = 0;
  std::uint64_t strings = 0;  // how many; their lengths are in front of the data
  std::uint64_t bytes = 0;    // of the data
  std::array<std::int64_t, Shape::kMaxRank> dims{};
};

std::size_t data_size(const TensorView& tensor) {
  if (tensor.dtype != DType::kString) return tensor.data.size();
  std::size_t out = tensor.strings.size() * sizeof(std::uint64_t);
  for (const auto text : tensor.strings) out += text.size();
  return out;
}

void write_strings(std::span<const std::string_view> strings, std::byte* to) {
  std::byte* text_to = to + strings.size() * sizeof(std::uint64_t);
  for (const auto text : strings) {
    const std::uint64_t size = text.size();
    std::memcpy(to, &size, sizeof(size));
    to += sizeof(size);
    if (!text.empty()) std::memcpy(text_to, text.data(), text.size());
    text_to += text.size();
  }
}

Failure malformed() { return internal("what its process answers is no list of tensors"); }

Result<std::span<const std::string_view>> read_strings(std::span<const std::byte> data,
                                                       std::size_t count, Arena& arena) {
  if (count > data.size() / sizeof(std::uint64_t)) return malformed();
  auto rest = data.subspan(count * sizeof(std::uint64_t));
  const auto out = arena.array<std::string_view>(count);
  for (std::size_t i = 0; i < count; ++i) {
    std::uint64_t size = 0;
    std::memcpy(&size, data.data() + i * sizeof(size), sizeof(size));
    if (size > rest.size()) return malformed();
    out[i] = {reinterpret_cast<const char*>(rest.data()), size};
    rest = rest.subspan(size);
  }
  return out;
}

Result<TensorView> read_tensor(const Head& head, std::span<const std::byte> data, Arena& arena) {
  TensorView out;
  if (head.dtype > static_cast<std::uint64_t>(DType::kString)) return malformed();
  if (head.rank > Shape::kMaxRank) return malformed();
  out.dtype = static_cast<DType>(head.dtype);
  for (std::size_t i = 0; i < head.rank; ++i) out.shape.push(head.dims.at(i));
  const auto count = element_count(out.shape.dims());
  if (!count) return malformed();
  if (out.dtype == DType::kString) {
    if (head.strings != *count) return malformed();
    SLUICE_TRY(out.strings, read_strings(data, *count, arena));
  } else {
    if (data.size() != *count * size_of(out.dtype)) return malformed();
    out.data = data;
  }
  return out;
}

}  // namespace

std::size_t wire_size(std::span<const TensorView> tensors) {
  std::size_t out = tensors.size() * sizeof(Head);
  for (const auto& tensor : tensors) out += aligned(data_size(tensor));
  return out;
}

void write_tensors(std::span<const TensorView> tensors, std::span<std::byte> to) {
  std::byte* head_to = to.data();
  std::byte* data_to = head_to + tensors.size() * sizeof(Head);
  for (const auto& tensor : tensors) {
    Head head;
    head.dtype = static_cast<std::uint64_t>(tensor.dtype);
    head.rank = tensor.shape.rank();
    head.strings = tensor.strings.size();
    head.bytes = data_size(tensor);
    for (std::size_t i = 0; i < tensor.shape.rank(); ++i) head.dims.at(i) = tensor.shape[i];
    std::memcpy(head_to, &head, sizeof(head));
    head_to += sizeof(head);
    if (tensor.dtype == DType::kString) {
      write_strings(tensor.strings, data_to);
    } else if (!tensor.data.empty()) {
      std::memcpy(data_to, tensor.data.data(), tensor.data.size());
    }
    data_to += aligned(head.bytes);
  }
}

Result<void> read_tensors(std::span<const std::byte> from, std::span<TensorView> tensors,
                          Arena& arena) {
  const std::size_t heads = tensors.size() * sizeof(Head);
  if (from.size() < heads) return malformed();
  auto rest = from.subspan(heads);
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    Head head;
    std::memcpy(&head, from.data() + i * sizeof(head), sizeof(head));
    if (head.bytes > rest.size() || aligned(head.bytes) > rest.size()) return malformed();
    SLUICE_TRY(tensors[i], read_tensor(head, rest.first(head.bytes), arena));
    rest = rest.subspan(aligned(head.bytes));
  }
  if (!rest.empty()) return malformed();
  return {};
}

}  // namespace sluice::repository
