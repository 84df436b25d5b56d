#include "serving/batch.h"
#include "core/tensor_rows.h"

#include <algorithm>
#include <cstring>

namespace sluice::serving {
namespace {

// Input `index` of all members, one behind the other.
TensorView gather(std::span<RequestPtr> members, std::size_t index, std::size_t rows,
                  Arena& arena) {
  TensorView out = members[0]->inputs[index];
  out.shape[0] = static_cast<std::int64_t>(rows);
  const std::size_t width = members[0]->inputs[index].elements() / members[0]->rows;
  if (out.dtype == DType::kString) {
    auto strings = arena.array<std::string_view>(width * rows);
    auto to = strings.begin();
    for (const auto& member : members) {
      to = std::ranges::copy(member->inputs[index].strings, to).out;
    }
    out.strings = strings;
    return out;
  }
  auto bytes = arena.array<std::byte>(width * rows * size_of(out.dtype));
  std::byte* to = bytes.data();
  for (const auto& member : members) {
    const auto part = member->inputs[index].data;
    std::memcpy(to, part.data(), part.size());
    to += part.size();
  }
  out.data = bytes;
  return out;
}

}  // namespace

Result<void> run_batch(const Model& model, std::span<RequestPtr> members, std::size_t rows,
                       Arena& arena) {
  const Signature& signature = model.signature();
  auto inputs = arena.array<TensorView>(signature.inputs.size());
  for (std::size_t i = 0; i < inputs.size(); ++i) inputs[i] = gather(members, i, rows, arena);
  auto outputs = arena.array<TensorView>(signature.outputs.size());
  std::ranges::fill(outputs, TensorView{});
  SLUICE_CHECK(model.run(inputs, outputs, arena));
  for (const auto& output : outputs) {
    if (output.shape.rank() > 0 && output.shape[0] == static_cast<std::int64_t>(rows)) continue;
    return fail(Code::kInternal, "not_batchable", "an output has no row for each row of the batch");
  }
  std::size_t first = 0;
  for (const auto& member : members) {
    member->reply.outputs = member->arena.array<TensorView>(outputs.size());
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      member->reply.outputs[i] = rows_of(outputs[i], first, member->rows, rows);
    }
    first += member->rows;
  }
  return {};
}

}  // namespace sluice::serving
