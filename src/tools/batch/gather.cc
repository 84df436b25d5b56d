#include "tools/batch/gather.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "base/text.h"
#include "tools/batch/element.h"

namespace sluice::tools::batch {
namespace {

// The values of a row, where its shape is fixed; the free dimension, if there is one, counts as 1.
std::size_t fixed_width(const TensorSpec& spec) {
  std::size_t out = 1;
  for (const auto dim : spec.table_dims())
    out *= static_cast<std::size_t>(std::max<std::int64_t>(dim, 1));
  return out;
}

bool has_free(const TensorSpec& spec) {
  return std::ranges::any_of(spec.table_dims(), [](std::int64_t dim) { return dim < 0; });
}

// Rows that are gathered together: a row of the model's is short, and so many of them stay in the
// first cache while their columns are written one after the other.
constexpr std::size_t kBlock = 64;

bool is_plain_real(DType dtype) { return dtype == DType::kFloat32 || dtype == DType::kFloat64; }

// As `spread`, of texts, up to the first that is no number or too large.
template <class To>
std::size_t spread_texts(const clients::SqlChunk& chunk, std::size_t column, std::size_t first,
                         To* to, std::size_t stride, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    const auto number = number_of(chunk.text(column, first + i));
    if (!number) return i;
    to[i * stride] = static_cast<To>(*number);
    if (std::isinf(to[i * stride]) && std::isfinite(*number)) return i;
  }
  return count;
}

// Every `stride`-th place of `to` gets the next value; NaN where there is none. Returns how many
// there are before the first that is too large.
template <class To, class From>
std::size_t spread(const clients::SqlChunk& chunk, std::size_t column, std::span<const From> from,
                   std::size_t first, To* to, std::size_t stride, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) to[i * stride] = static_cast<To>(from[first + i]);
  if (chunk.has_nulls(column)) {
    for (std::size_t i = 0; i < count; ++i) {
      if (chunk.is_null(column, first + i)) to[i * stride] = std::numeric_limits<To>::quiet_NaN();
    }
  }
  if constexpr (sizeof(To) < sizeof(From)) {
    // What became infinite and was not.
    for (std::size_t i = 0; i < count; ++i) {
      if (std::isinf(to[i * stride]) && std::isfinite(from[first + i])) return i;
    }
  }
  return count;
}

}  // namespace

Gather::Gather(const Signature& signature, const Binding& binding)
    : signature_(signature),
      binding_(binding),
      inputs_(signature.inputs.size()),
      alone_(signature.rows_are_calls()) {
  for (std::size_t i = 0; i < inputs_.size(); ++i)
    inputs_[i].width = fixed_width(signature.inputs[i]);
  // A table of any width has as many values as fields.
  std::vector<std::size_t> fields(inputs_.size());
  for (const auto& field : binding.fields) {
    if (!field.list) ++fields[field.input];
  }
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    Input& input = inputs_[i];
    if (fields[i] == 0) continue;
    input.width = fields[i];
    if (has_free(signature.inputs[i])) input.free = static_cast<std::int64_t>(fields[i]);
  }
  in_columns_ = std::ranges::all_of(binding.fields, [&](const Field& field) {
    const bool real = field.reading != Reading::kInteger && field.reading != Reading::kUnsigned;
    return !field.list && real && is_plain_real(signature.inputs[field.input].dtype);
  });
}

bool Gather::bad(const Field& field, std::string_view what) {
  reason_ = "column '" + printable(field.column) + "' " + std::string(what);
  return false;
}

bool Gather::missing(const Field& field, std::size_t place) {
  const auto dtype = signature_.inputs[field.input].dtype;
  if (is_floating(dtype)) return put(field, place, std::numeric_limits<double>::quiet_NaN());
  return bad(field, "has no value, and the model takes none for missing ones there");
}

bool Gather::put(const Field& field, std::size_t place, double value) {
  const auto dtype = signature_.inputs[field.input].dtype;
  const auto misfit =
      store_element(dtype, inputs_[field.input].row.data() + place * size_of(dtype), value);
  return misfit == Misfit::kNone || bad(field, say(misfit, dtype));
}

bool Gather::put(const Field& field, std::size_t place, std::int64_t value) {
  const auto dtype = signature_.inputs[field.input].dtype;
  const auto misfit =
      store_element(dtype, inputs_[field.input].row.data() + place * size_of(dtype), value);
  return misfit == Misfit::kNone || bad(field, say(misfit, dtype));
}

bool Gather::put_unsigned(const Field& field, std::size_t place, std::uint64_t value) {
  const auto dtype = signature_.inputs[field.input].dtype;
  const auto misfit =
      store_element(dtype, inputs_[field.input].row.data() + place * size_of(dtype), value);
  return misfit == Misfit::kNone || bad(field, say(misfit, dtype));
}

bool Gather::put_text(const Field& field, std::size_t place, std::string_view text) {
  const auto dtype = signature_.inputs[field.input].dtype;
  if (dtype == DType::kString) {
    inputs_[field.input].row_texts[place] = texts_.copy(text);
    return true;
  }
  if (is_floating(dtype)) {
    const auto number = number_of(text);
    return number ? put(field, place, *number) : bad(field, "is a text that is no number");
  }
  const auto bare = trim(text);
  if (bare.empty()) return missing(field, place);
  if (const auto whole = parse_int(bare)) return put(field, place, *whole);
  if (const auto number = parse_double(bare)) return put(field, place, *number);
  if (iequals(bare, "nan")) return missing(field, place);
  const bool truth = iequals(bare, "true");
  if (truth || iequals(bare, "false")) return put(field, place, std::int64_t{truth});
  return bad(field, "is a text that is no number");
}

bool Gather::read(const Field& field, std::size_t column, const clients::SqlChunk& chunk,
                  std::size_t row) {
  if (field.list) return read_list(field, column, chunk, row);
  if (chunk.is_null(column, row)) return missing(field, field.place);
  switch (field.reading) {
    case Reading::kFloat:
      return put(field, field.place, static_cast<double>(chunk.floats(column)[row]));
    case Reading::kReal: return put(field, field.place, chunk.reals(column)[row]);
    case Reading::kInteger: return put(field, field.place, chunk.integers(column)[row]);
    case Reading::kUnsigned:
      return put_unsigned(field, field.place,
                          static_cast<std::uint64_t>(chunk.integers(column)[row]));
    case Reading::kText: break;
  }
  return put_text(field, field.place, chunk.text(column, row));
}

bool Gather::read_list(const Field& field, std::size_t column, const clients::SqlChunk& chunk,
                       std::size_t row) {
  const TensorSpec& spec = signature_.inputs[field.input];
  Input& input = inputs_[field.input];
  if (chunk.is_null(column, row)) {
    return bad(field, "has no list of the shape " + show_shape(spec.table_dims()));
  }
  const auto [first, count] = chunk.list(column, row);
  const std::size_t fixed = fixed_width(spec);
  const bool fits = has_free(spec) ? count % fixed == 0 : count == fixed;
  if (!fits) {
    return bad(field, "has a list of " + std::to_string(count) + " values; expected the shape " +
                          show_shape(spec.table_dims()));
  }
  if (has_free(spec)) {
    const auto free = static_cast<std::int64_t>(count / fixed);
    if (rows_ > 0 && free != input.free) other_ = true;
    if (rows_ == 0) input.free = free;
    input.row.resize(count * size_of(spec.dtype));
    input.row_texts.resize(spec.dtype == DType::kString ? count : 0);
  }
  for (std::size_t i = 0; i < count && !other_; ++i) {
    const std::size_t at = first + i;
    bool good = true;
    if (chunk.gap(column, at)) {
      good = missing(field, i);
    } else if (field.reading == Reading::kReal) {
      good = put(field, i, chunk.list_reals(column)[at]);
    } else if (field.reading == Reading::kInteger) {
      good = put(field, i, chunk.list_integers(column)[at]);
    } else if (field.reading == Reading::kUnsigned) {
      good = put_unsigned(field, i, static_cast<std::uint64_t>(chunk.list_integers(column)[at]));
    } else {
      good = put_text(field, i, chunk.list_text(column, at));
    }
    if (!good) return false;
  }
  return true;
}

Gather::Added Gather::add(const clients::SqlChunk& chunk, std::size_t row) {
  if (alone_ && rows_ > 0) return Added::kOther;
  other_ = false;
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    const auto dtype = signature_.inputs[i].dtype;
    inputs_[i].row.resize(inputs_[i].width * size_of(dtype));
    inputs_[i].row_texts.resize(dtype == DType::kString ? inputs_[i].width : 0);
  }
  for (std::size_t column = 0; column < binding_.fields.size(); ++column) {
    if (!read(binding_.fields[column], column, chunk, row)) return Added::kBad;
    if (other_) return Added::kOther;
  }
  for (auto& input : inputs_) {
    input.bytes.insert(input.bytes.end(), input.row.begin(), input.row.end());
    input.texts.insert(input.texts.end(), input.row_texts.begin(), input.row_texts.end());
  }
  ++rows_;
  return Added::kGood;
}

std::size_t Gather::add_run(const clients::SqlChunk& chunk, std::size_t first, std::size_t count) {
  if (!in_columns_ || alone_) return 0;
  std::size_t added = 0;
  while (added < count) {
    const std::size_t block = std::min(kBlock, count - added);
    const std::size_t good = add_block(chunk, first + added, block);
    added += good;
    if (good < block) break;
  }
  return added;
}

std::size_t Gather::add_block(const clients::SqlChunk& chunk, std::size_t first,
                              std::size_t count) {
  const auto row_bytes = [&](std::size_t input) {
    return inputs_[input].width * size_of(signature_.inputs[input].dtype);
  };
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    inputs_[i].bytes.resize((rows_ + count) * row_bytes(i));
  }
  for (std::size_t column = 0; column < binding_.fields.size(); ++column) {
    const Field& field = binding_.fields[column];
    Input& input = inputs_[field.input];
    std::byte* const at = input.bytes.data() + rows_ * row_bytes(field.input);
    const auto spread_to = [&]<class To>(To* to) {
      switch (field.reading) {
        case Reading::kFloat:
          return spread(chunk, column, chunk.floats(column), first, to, input.width, count);
        case Reading::kReal:
          return spread(chunk, column, chunk.reals(column), first, to, input.width, count);
        default: break;
      }
      return spread_texts(chunk, column, first, to, input.width, count);
    };
    // The buffer is as aligned as any new memory, and a row is a whole number of values.
    count = signature_.inputs[field.input].dtype == DType::kFloat64
                ? spread_to(reinterpret_cast<double*>(at) + field.place)
                : spread_to(reinterpret_cast<float*>(at) + field.place);
  }
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    inputs_[i].bytes.resize((rows_ + count) * row_bytes(i));
  }
  rows_ += count;
  return count;
}

std::vector<TensorView> Gather::inputs() const {
  std::vector<TensorView> out(inputs_.size());
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    const TensorSpec& spec = signature_.inputs[i];
    out[i].dtype = spec.dtype;
    if (spec.counts_rows()) out[i].shape.push(static_cast<std::int64_t>(rows_));
    for (const auto dim : spec.table_dims()) out[i].shape.push(dim < 0 ? inputs_[i].free : dim);
    out[i].data = inputs_[i].bytes;
    out[i].strings = inputs_[i].texts;
  }
  return out;
}

void Gather::clear() {
  for (auto& input : inputs_) {
    input.bytes.clear();
    input.texts.clear();
  }
  rows_ = 0;
  texts_.reset();
}

}  // namespace sluice::tools::batch
