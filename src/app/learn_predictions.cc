#include "app/learn_predictions.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/half.h"

namespace sluice::app {
namespace {

constexpr std::size_t kRowsOfRun = 256;
constexpr std::size_t kQuantiles = 41;
constexpr std::size_t kMostClasses = 10'000;

template <class T>
void put(std::byte* at, T value) {
  std::memcpy(at, &value, sizeof value);
}

// False: this type has no such value.
template <class T>
bool put_integer(std::byte* at, double value) {
  if (!(value >= static_cast<double>(std::numeric_limits<T>::min()) &&
        value <= static_cast<double>(std::numeric_limits<T>::max()))) {
    return false;
  }
  // The greatest 64-bit integers round up to what is one too many.
  if (value >= 9.2e18 && sizeof(T) == 8) return false;
  put(at, static_cast<T>(value));
  return true;
}

bool put_number(DType dtype, std::byte* at, double value) {
  const auto single = static_cast<float>(value);
  switch (dtype) {
    case DType::kFloat64: return put(at, value), true;
    case DType::kFloat32: return put(at, single), true;
    case DType::kFloat16: return put(at, float_to_half(single)), true;
    case DType::kBFloat16: return put(at, float_to_bf16(single)), true;
    case DType::kBool: return put(at, static_cast<std::uint8_t>(value != 0)), !std::isnan(value);
    case DType::kUint8: return put_integer<std::uint8_t>(at, value);
    case DType::kUint16: return put_integer<std::uint16_t>(at, value);
    case DType::kUint32: return put_integer<std::uint32_t>(at, value);
    case DType::kUint64: return put_integer<std::uint64_t>(at, value);
    case DType::kInt8: return put_integer<std::int8_t>(at, value);
    case DType::kInt16: return put_integer<std::int16_t>(at, value);
    case DType::kInt32: return put_integer<std::int32_t>(at, value);
    case DType::kInt64: return put_integer<std::int64_t>(at, value);
    default: return false;
  }
}

// Sampled rows as a model's inputs.
class Rows {
 public:
  Rows(const Signature& signature, const LearnedTable& table)
      : signature_(signature), table_(table) {
    std::array<std::byte, 8> scratch{};
    for (std::size_t row = 0; row < table.sampled; ++row) {
      const bool fits = std::ranges::all_of(table.columns, [&](const LearnedColumn& column) {
        return column.is_text() || put_number(column.dtype, scratch.data(), column.numbers[row]);
      });
      if (fits) rows_.push_back(row);
    }
  }
  std::size_t count() const { return rows_.size(); }

  std::vector<TensorView> inputs(std::size_t first, std::size_t count, Arena& arena) const {
    std::vector<TensorView> out;
    for (std::size_t i = 0; i < signature_.inputs.size(); ++i) {
      out.push_back(input(i, first, count, arena));
    }
    return out;
  }

 private:
  TensorView input(std::size_t place, std::size_t first, std::size_t count, Arena& arena) const {
    const TensorSpec& spec = signature_.inputs[place];
    std::vector<const LearnedColumn*> columns;
    for (const auto& column : table_.columns) {
      if (column.input == place) columns.push_back(&column);
    }
    TensorView out;
    out.dtype = spec.dtype;
    out.shape.push(static_cast<std::int64_t>(count));
    for (std::size_t i = 1; i < spec.dims.size(); ++i) {
      out.shape.push(static_cast<std::int64_t>(columns.size()));
    }
    if (spec.dtype == DType::kString) {
      auto texts = arena.array<std::string_view>(count * columns.size());
      for (std::size_t i = 0; i < texts.size(); ++i) {
        texts[i] = columns[i % columns.size()]->texts[rows_[first + i / columns.size()]];
      }
      out.strings = texts;
      return out;
    }
    const std::size_t size = size_of(spec.dtype);
    auto bytes = arena.array<std::byte>(count * columns.size() * size);
    for (std::size_t i = 0; i < count * columns.size(); ++i) {
      const auto& numbers = columns[i % columns.size()]->numbers;
      put_number(spec.dtype, bytes.data() + i * size, numbers[rows_[first + i / columns.size()]]);
    }
    out.data = bytes;
    return out;
  }

  const Signature& signature_;
  const LearnedTable& table_;
  std::vector<std::size_t> rows_;  // places in the sample
};

struct Answers {
  bool classified = false;
  std::vector<double> values;
};

Result<void> run(const Servable& servable, const Rows& rows, std::size_t first, std::size_t count,
                 Answers& answers) {
  Arena arena;
  const auto inputs = rows.inputs(first, count, arena);
  std::vector<TensorView> outputs(servable.signature().outputs.size());
  SLUICE_CHECK(servable.loaded().run(inputs, outputs, arena));
  SLUICE_TRY(const auto prediction, servable.interpret(outputs, count, arena));
  if (prediction.width() != 1) {
    return invalid("no_prediction", "its answers are not one number or class a row");
  }
  answers.classified = prediction.classified;
  for (const double value : prediction.values) {
    if (std::isfinite(value)) answers.values.push_back(value);
  }
  return {};
}

Result<PredictionTraining> training_of(const Answers& answers, std::size_t classes) {
  PredictionTraining out;
  if (answers.values.empty()) {
    return invalid("no_prediction", "none of its answers is a finite number");
  }
  if (!answers.classified) {
    out.quantiles = statistics::evenly_spaced_quantiles(answers.values, kQuantiles);
    return out;
  }
  const double most = *std::ranges::max_element(answers.values);
  const double least = *std::ranges::min_element(answers.values);
  if (least < 0 || most >= static_cast<double>(kMostClasses)) {
    return invalid("no_prediction", "its answers are no places in a list of classes");
  }
  out.classes.resize(std::max(classes, static_cast<std::size_t>(most) + 1));
  for (const double value : answers.values) {
    out.classes[static_cast<std::size_t>(value)] += 1.0;
  }
  for (double& share : out.classes) share /= static_cast<double>(answers.values.size());
  return out;
}

}  // namespace

Result<LearnedPredictions> learn_predictions(const Servable& servable, const LearnedTable& table) {
  const Signature& signature = servable.signature();
  const Rows rows(signature, table);
  Answers answers;
  const std::size_t together = signature.batchable() ? kRowsOfRun : 1;
  for (std::size_t first = 0; first < rows.count(); first += together) {
    SLUICE_CHECK(run(servable, rows, first, std::min(together, rows.count() - first), answers));
  }
  LearnedPredictions out;
  out.rows = rows.count();
  out.skipped = table.sampled - rows.count();
  SLUICE_TRY(out.training, training_of(answers, signature.classes.size()));
  return out;
}

}  // namespace sluice::app
