#include "codecs/row_shape.h"

#include <algorithm>

namespace sluice::codecs {
namespace {

bool matches(std::span<const std::int64_t> wanted, std::span<const std::int64_t> given) {
  return std::ranges::equal(wanted, given,
                            [](auto want, auto have) { return want == -1 || want == have; });
}

Rows make_rows(const TensorSpec& spec, std::span<const std::int64_t> row, std::int64_t rows,
               bool many) {
  Rows out;
  if (!spec.dims.empty()) out.shape.push(rows);
  for (const auto dim : row) out.shape.push(dim);
  out.rows = static_cast<std::size_t>(rows);
  out.many = many;
  return out;
}

Failure misfit(const TensorSpec& spec, const Shape& dims, std::size_t count,
               std::string_view name) {
  const auto width = row_width(spec);
  const std::string what = "'" + std::string(name) + "'";
  if (width > 0 && dims.rank() <= 1) {
    return invalid("wrong_width", what + " has " + std::to_string(count) +
                                      " values; the model takes " + std::to_string(width));
  }
  if (width > 0 && dims.rank() == 2) {
    return invalid("wrong_width", "the rows of " + what + " have " + std::to_string(dims[1]) +
                                      " values; the model takes " + std::to_string(width));
  }
  return invalid("wrong_shape", what + " has shape " + show_shape(dims.dims()) +
                                    "; the model takes rows of " + show_shape(spec.row_dims()));
}

}  // namespace

std::size_t row_width(const TensorSpec& spec) {
  std::size_t width = 1;
  for (const auto dim : spec.row_dims()) {
    if (dim < 0) return 0;
    width *= static_cast<std::size_t>(dim);
  }
  return width;
}

Result<Rows> fit_rows(const TensorSpec& spec, const Shape& dims, std::size_t count,
                      std::string_view name) {
  const auto row = spec.row_dims();
  const auto given = dims.dims();
  const auto width = row_width(spec);
  if (count == 0) return invalid("empty", "'" + std::string(name) + "' is empty");
  const auto flat = [&](std::size_t from) {
    return width > 0 && given.size() == from + 1 && given[from] == static_cast<std::int64_t>(width);
  };
  const auto fixed_first = spec.dims.empty() ? 1 : spec.dims[0];
  const auto check = [&](Rows rows) -> Result<Rows> {
    // A fixed first dimension of one is run row by row; any other must be met.
    if (fixed_first > 1 && static_cast<std::int64_t>(rows.rows) != fixed_first) {
      return invalid("wrong_rows", "the model takes exactly " + std::to_string(fixed_first) +
                                       " rows; '" + std::string(name) + "' has " +
                                       std::to_string(rows.rows));
    }
    return rows;
  };
  if (matches(row, given)) return check(make_rows(spec, given, 1, false));
  if (flat(0)) return check(make_rows(spec, row, 1, false));
  if (!spec.dims.empty() && !given.empty()) {
    if (matches(row, given.subspan(1))) {
      return check(make_rows(spec, given.subspan(1), given[0], true));
    }
    if (flat(1)) return check(make_rows(spec, row, given[0], true));
  }
  return misfit(spec, dims, count, name);
}

}  // namespace sluice::codecs
