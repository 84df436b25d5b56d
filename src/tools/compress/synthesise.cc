#include "tools/compress/synthesise.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "base/checked.h"
#include "base/random.h"
#include "base/text.h"
#include "tools/compress/row_builder.h"

namespace sluice::tools::compress {
namespace {

constexpr std::size_t kBatch = 256;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Where a column's values come from, and how many columns come from there.
enum class From : std::uint8_t { kTraining, kBounds, kNothing };

// A value of each row.
struct Column {
  std::size_t input = 0;
  DType dtype = DType::kFloat32;
  const InputColumn* learned = nullptr;

  const Training* training() const {
    return learned != nullptr && learned->training ? &*learned->training : nullptr;
  }
  double low() const {
    return learned != nullptr && learned->bounds ? learned->bounds->low.value_or(-kInfinity)
                                                 : -kInfinity;
  }
  double high() const {
    return learned != nullptr && learned->bounds ? learned->bounds->high.value_or(kInfinity)
                                                 : kInfinity;
  }
  From from() const {
    const Training* const one = training();
    if (one != nullptr && (one->quantiles.size() > 1 || one->std > 0)) return From::kTraining;
    return std::isfinite(low()) || std::isfinite(high()) ? From::kBounds : From::kNothing;
  }
};

// Box and Muller's, so that a seed makes the same rows with any standard library.
double normal(Random& random) {
  const double radius = std::sqrt(-2 * std::log(1 - random.uniform()));
  return radius * std::cos(2 * std::numbers::pi * random.uniform());
}

// As likely in each piece between two quantiles, and evenly within it.
double as_trained(const Training& training, Random& random) {
  const auto& quantiles = training.quantiles;
  if (quantiles.size() < 2) return training.mean + training.std * normal(random);
  const double place = random.uniform() * static_cast<double>(quantiles.size() - 1);
  const auto piece = std::min(static_cast<std::size_t>(place), quantiles.size() - 2);
  const double rest = place - static_cast<double>(piece);
  return std::lerp(quantiles[piece], quantiles[piece + 1], rest);
}

double within(double low, double high, Random& random) {
  if (std::isfinite(low) && std::isfinite(high)) return std::lerp(low, high, random.uniform());
  const double away = std::abs(normal(random));
  return std::isfinite(low) ? low + away : high - away;
}

double drawn(const Column& column, Random& random) {
  switch (column.from()) {
    case From::kTraining: return as_trained(*column.training(), random);
    case From::kBounds: return within(column.low(), column.high(), random);
    case From::kNothing: break;
  }
  if (column.dtype == DType::kBool) return static_cast<double>(random.below(2));
  return is_floating(column.dtype) ? normal(random) : static_cast<double>(random.below(10));
}

bool add_value(const Column& column, Random& random, RowBuilder& builder) {
  const bool floating = is_floating(column.dtype);
  const Training* const training = column.training();
  const double chance = training != nullptr && training->missing > 0 ? random.uniform() : 1;
  if (floating && training != nullptr && chance < training->missing) {
    return builder.add_missing(column.input);
  }
  double value = drawn(column, random);
  // A whole number within the bounds, where there is one.
  const double low = floating ? column.low() : std::ceil(column.low());
  const double high = floating ? column.high() : std::floor(column.high());
  if (!floating) value = std::round(value);
  return builder.add(column.input, std::max(low, std::min(high, value)));
}

bool is_table(const Signature& signature) {
  return signature.inputs.size() == 1 && signature.inputs[0].dims.size() == 2;
}

const InputColumn* named(const std::vector<InputColumn>& learned, std::string_view name) {
  const auto found = std::ranges::find(learned, name, &InputColumn::name);
  return found == learned.end() ? nullptr : &*found;
}

// The row's shape: free dimensions are 1, and a table's width what its columns are.
std::vector<std::int64_t> row_shape(const Signature& signature, std::size_t input,
                                    const std::vector<InputColumn>& learned) {
  const auto dims = signature.inputs[input].table_dims();
  std::vector<std::int64_t> out(dims.begin(), dims.end());
  for (auto& dim : out) dim = dim < 0 ? 1 : dim;
  if (!is_table(signature) || dims[0] >= 0) return out;
  const std::size_t known = std::max(signature.columns.size(), learned.size());
  if (known > 0) out[0] = static_cast<std::int64_t>(known);
  return out;
}

const InputColumn* learned_of(const Signature& signature, const std::vector<InputColumn>& learned,
                              std::size_t input, std::size_t place, std::size_t width) {
  if (!is_table(signature)) return named(learned, signature.inputs[input].name);
  if (place < signature.columns.size()) return named(learned, signature.columns[place]);
  return learned.size() == width ? &learned[place] : nullptr;
}

Failure no_rows(const std::string& why) {
  return invalid("no_rows", why + "; give rows of a table with --calibration and --evaluate");
}

struct Plan {
  std::vector<Column> columns;  // of a row, by input, in row-major order
  std::vector<std::vector<std::int64_t>> shapes;
};

Result<Plan> plan(const Signature& signature, const std::vector<InputColumn>& learned) {
  Plan out;
  for (std::size_t i = 0; i < signature.inputs.size(); ++i) {
    const TensorSpec& spec = signature.inputs[i];
    if (spec.dtype == DType::kString) {
      return no_rows("rows cannot be made up: input '" + printable(spec.name) +
                     "' takes texts, and nothing says which");
    }
    auto shape = row_shape(signature, i, learned);
    SLUICE_TRY(const auto width, element_count(shape));
    if (out.columns.size() + width > kMostMadeUp) return no_rows("a row is too large to make up");
    for (std::size_t place = 0; place < width; ++place) {
      out.columns.push_back({i, spec.dtype, learned_of(signature, learned, i, place, width)});
    }
    out.shapes.push_back(std::move(shape));
  }
  return out;
}

std::string said(const Plan& plan, std::size_t rows) {
  const auto count = [&](From from) {
    return static_cast<std::size_t>(std::ranges::count(plan.columns, from, &Column::from));
  };
  std::vector<std::string> parts;
  const auto part = [&](From from, const std::string& what) {
    if (count(from) > 0) parts.push_back(std::to_string(count(from)) + " values of each " + what);
  };
  part(From::kTraining, "are spread as in training (model.yaml)");
  part(From::kBounds, "lie within their bounds (model.yaml)");
  part(From::kNothing, "are standard normal numbers, or small whole ones");
  return std::to_string(rows) + " rows were made up: " + join_and(parts) +
         ", each independent of the others; real rows may be answered worse or better";
}

}  // namespace

Result<Dataset> synthesise(const Signature& signature, const std::vector<InputColumn>& learned,
                           std::size_t rows, std::uint64_t seed) {
  SLUICE_TRY(const auto made, plan(signature, learned));
  const auto values = checked_mul(made.columns.size(), rows);
  if (rows == 0 || !values || *values > kMostMadeUp) {
    return no_rows(std::to_string(rows) + " rows of " + std::to_string(made.columns.size()) +
                   " values cannot be made up: expected at least one, and at most " +
                   std::to_string(kMostMadeUp) + " values in all");
  }
  Random random(seed);
  RowBuilder builder(signature, kBatch);
  for (std::size_t row = 0; row < rows; ++row) {
    builder.begin();
    for (std::size_t i = 0; i < made.shapes.size(); ++i) builder.shape(i, made.shapes[i]);
    const bool good = std::ranges::all_of(
        made.columns, [&](const Column& column) { return add_value(column, random, builder); });
    if (!good || !builder.end()) builder.leave_out();
  }
  SLUICE_TRY(auto out, builder.finish("what was made up"));
  out.note(said(made, out.rows()));
  return out;
}

}  // namespace sluice::tools::compress
