#include "app/learn_table.h"

#include <algorithm>

#include "base/name_list.h"
#include "base/random.h"
#include "base/text.h"
#include "clients/duckdb.h"

namespace sluice::app {
namespace {

using clients::ColumnKind;
using clients::Duckdb;
using clients::TableChunk;
using clients::TableColumn;

constexpr std::size_t kMostSampled = 10'000;
constexpr std::size_t kLeastSampled = 100;
constexpr std::size_t kSampleBytes = std::size_t{64} << 20;
// The same rows each time, so that the same table gives the same file.
constexpr std::uint64_t kSeed = 41;

using Columns = std::vector<LearnedColumn>;

LearnedColumn column_of(std::string name, std::size_t input, DType dtype) {
  LearnedColumn out;
  out.name = std::move(name);
  out.input = input;
  out.dtype = dtype;
  return out;
}

// One value a row.
bool scalar(const TensorSpec& spec) {
  if (spec.dims.empty() || (spec.dims[0] != -1 && spec.dims[0] != 1)) return false;
  return std::ranges::all_of(spec.row_dims(), [](std::int64_t dim) { return dim == 1; });
}

// The model's columns; nameless ones where nobody named them, none where it takes any number.
Result<Columns> columns_of_model(const Signature& signature) {
  Columns out;
  const auto& inputs = signature.inputs;
  if (inputs.size() == 1 && inputs[0].dims.size() == 2 && !scalar(inputs[0])) {
    const auto width = static_cast<std::size_t>(std::max<std::int64_t>(0, inputs[0].dims[1]));
    for (std::size_t i = 0; i < std::max(width, signature.columns.size()); ++i) {
      auto name = i < signature.columns.size() ? signature.columns[i] : std::string();
      out.push_back(column_of(std::move(name), 0, inputs[0].dtype));
    }
    return out;
  }
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (!scalar(inputs[i])) {
      return invalid("not_learnable", "input '" + printable(inputs[i].name) + "' takes " +
                                          show_shape(inputs[i].dims) +
                                          "; bounds can be learned of columns of one table and of "
                                          "inputs with one value a row");
    }
    const bool named = inputs.size() == 1 && signature.columns.size() == 1;
    out.push_back(column_of(named ? signature.columns[0] : inputs[i].name, i, inputs[i].dtype));
  }
  return out;
}

bool has(const std::vector<std::string>& names, const std::string& name) {
  return std::ranges::find(names, name) != names.end();
}

Failure unknown_column(const std::string& what, const std::string& name,
                       const std::vector<std::string>& there) {
  const std::vector<std::string_view> candidates(there.begin(), there.end());
  return invalid("unknown_column", what + did_you_mean(name, candidates) +
                                       (there.empty() ? "" : "; it has " + name_list(there)));
}

Failure wrong_count(std::size_t takes, const std::vector<std::string>& there, bool labelled) {
  return invalid("wrong_columns",
                 "the table has " + std::to_string(there.size()) + " columns" +
                     (labelled ? " beside the label" : "") + ", and the model takes " +
                     std::to_string(takes) +
                     (labelled ? "; leave out what it does not take"
                               : "; name the column that it does not take with --label, or give "
                                 "the table the names of the model's columns"));
}

Failure empty_table() {
  return invalid("empty_table", "the table has no rows, so there is nothing to learn from");
}

// By name where any of the names is in the table, else in order.
Result<bool> match(Columns& columns, const std::vector<std::string>& there, bool labelled,
                   const TensorSpec& first) {
  if (columns.empty()) {
    for (const auto& name : there) columns.push_back(column_of(name, 0, first.dtype));
  }
  std::vector<std::string> missing;
  for (auto& column : columns) {
    if (has(there, column.name)) {
      column.in_table = column.name;
    } else {
      missing.push_back(column.name);
    }
  }
  if (missing.empty()) return false;
  if (missing.size() < columns.size()) {
    return unknown_column("the table has no column " + name_list(missing), missing[0], there);
  }
  if (there.size() != columns.size()) return wrong_count(columns.size(), there, labelled);
  for (std::size_t i = 0; i < columns.size(); ++i) {
    columns[i].in_table = there[i];
    if (columns[i].name.empty()) columns[i].name = there[i];
  }
  return true;
}

Result<void> check_kinds(const Columns& columns, std::span<const TableColumn> table) {
  for (const auto& column : columns) {
    const auto found = std::ranges::find(table, column.in_table, &TableColumn::name);
    if (found == table.end() || column.is_text() || found->kind == ColumnKind::kNumber) continue;
    return invalid("wrong_type", "column '" + printable(column.in_table) + "' of the table is " +
                                     printable(found->stored) +
                                     ", and the model takes numbers there; write it as numbers, or "
                                     "name it with --label if it is no input");
  }
  return {};
}

// A fair sample of the rows (Vitter's algorithm R), by row's place in it.
class Sampler {
 public:
  explicit Sampler(std::size_t columns)
      : most_(std::clamp(kSampleBytes / (sizeof(double) * std::max<std::size_t>(1, columns)),
                         kLeastSampled, kMostSampled)) {}

  // Where the next row belongs, or nowhere.
  std::optional<std::size_t> next() {
    ++seen_;
    if (seen_ <= most_) return seen_ - 1;
    const std::uint64_t place = random_.below(seen_);
    return place < most_ ? std::optional<std::size_t>(place) : std::nullopt;
  }
  std::uint64_t seen() const { return seen_; }
  std::uint64_t kept() const { return std::min<std::uint64_t>(seen_, most_); }

 private:
  std::size_t most_;
  std::uint64_t seen_ = 0;
  Random random_{kSeed};
};

template <class T>
void keep(std::vector<T>& sample, std::size_t place, T value) {
  if (place == sample.size()) {
    sample.push_back(std::move(value));
  } else {
    sample[place] = std::move(value);
  }
}

void add_chunk(const TableChunk& chunk, Sampler& sampler, Columns& columns) {
  std::vector<std::optional<std::size_t>> places(chunk.rows());
  for (auto& place : places) place = sampler.next();
  for (std::size_t i = 0; i < columns.size(); ++i) {
    LearnedColumn& column = columns[i];
    for (std::size_t row = 0; row < chunk.rows(); ++row) {
      if (column.is_text()) {
        if (places[row]) keep(column.texts, *places[row], std::string(chunk.text(i, row)));
        continue;
      }
      const double value = chunk.numbers(i)[row];
      column.summary.add(value);
      if (places[row]) keep(column.numbers, *places[row], value);
    }
  }
}

}  // namespace

Result<LearnedTable> read_training(const Signature& signature, const std::string& file,
                                   const std::string& label) {
  LearnedTable out;
  SLUICE_TRY(out.columns, columns_of_model(signature));
  SLUICE_TRY(const auto duckdb, Duckdb::open({}));
  std::vector<clients::WantedColumn> wanted;
  {
    SLUICE_TRY(auto table, duckdb.read(file));
    std::vector<std::string> there;
    for (const auto& column : table.columns()) there.push_back(column.name);
    if (!label.empty() && !has(there, label)) {
      return unknown_column("the table has no column '" + printable(label) + "' (--label)", label,
                            there);
    }
    std::erase(there, label);
    SLUICE_TRY(out.in_order, match(out.columns, there, !label.empty(), signature.inputs[0]));
    if (auto kinds = check_kinds(out.columns, table.columns()); !kinds) {
      // Columns of a file without rows are all text.
      SLUICE_TRY(const auto first, table.next());
      return first ? Failure(std::move(kinds).error()) : empty_table();
    }
  }
  for (const auto& column : out.columns) {
    wanted.push_back({column.in_table, column.is_text() ? ColumnKind::kText : ColumnKind::kNumber});
  }
  SLUICE_TRY(auto table, duckdb.read(file, wanted));
  Sampler sampler(out.columns.size());
  while (true) {
    SLUICE_TRY(const auto chunk, table.next());
    if (!chunk) break;
    add_chunk(*chunk, sampler, out.columns);
  }
  out.rows = sampler.seen();
  out.sampled = sampler.kept();
  if (out.rows == 0) return empty_table();
  return out;
}

}  // namespace sluice::app
