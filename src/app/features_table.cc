#include "app/features_table.h"

#include <algorithm>
#include <limits>
#include <set>

#include "base/text.h"
#include "features/convert.h"

namespace sluice::app {
namespace {

using clients::ColumnKind;
using clients::Duckdb;
using clients::TableColumn;
using clients::WantedColumn;

// In DuckDB's writing, "1.0", and in a text file's, " +1".
std::optional<FeatureData> number_of(std::string_view text) {
  text = trim(text);
  if (text.starts_with('+')) text.remove_prefix(1);
  if (const auto integer = parse_int(text)) return *integer;
  if (const auto real = parse_double(text)) return *real;
  return std::nullopt;
}

// "[1.0, NULL]", and JSON's "[1.0,null]".
std::optional<std::vector<double>> numbers_of(std::string_view text) {
  if (!text.starts_with('[') || !text.ends_with(']')) return std::nullopt;
  text = trim(text.substr(1, text.size() - 2));
  std::vector<double> out;
  if (text.empty()) return out;
  for (auto part : split(text, ',')) {
    part = trim(part);
    const auto number = parse_double(part);
    if (!number && !iequals(part, "null")) return std::nullopt;
    out.push_back(number.value_or(std::numeric_limits<double>::quiet_NaN()));
  }
  return out;
}

// "DOUBLE[]" or "FLOAT[3]", and no list of lists.
bool is_number_list(std::string_view type) {
  if (!type.ends_with(']')) return false;
  const auto element = type.substr(0, type.rfind('['));
  constexpr std::string_view kNumbers[] = {"TINYINT",   "SMALLINT", "INTEGER", "BIGINT",
                                           "UTINYINT",  "UINTEGER", "UBIGINT", "HUGEINT",
                                           "USMALLINT", "UHUGEINT", "FLOAT",   "DOUBLE"};
  return std::ranges::find(kNumbers, element) != std::end(kNumbers) ||
         element.starts_with("DECIMAL(");
}

// Each column is one thing.
Result<void> check_uses(const FeatureColumns& columns) {
  std::set<std::string_view> seen;
  std::vector<std::string_view> all(columns.entity.begin(), columns.entity.end());
  if (!columns.time.empty()) all.push_back(columns.time);
  all.insert(all.end(), columns.features.begin(), columns.features.end());
  for (const auto name : all) {
    if (seen.insert(name).second) continue;
    return invalid("bad_column", "column '" + printable(name) +
                                     "' is named twice; a column is either of the entity, the time "
                                     "or a feature");
  }
  return {};
}

// The columns that are the features where none is named.
std::vector<std::string> all_others(std::span<const TableColumn> there,
                                    const FeatureColumns& columns) {
  std::vector<std::string> out;
  for (const auto& column : there) {
    const bool key = std::ranges::find(columns.entity, column.name) != columns.entity.end();
    if (!key && column.name != columns.time) out.push_back(column.name);
  }
  return out;
}

}  // namespace

// `typed`: the file says what its numbers are; in others they are best read as they are written,
// which keeps large integers.
FeatureTable::As FeatureTable::reading_of(const TableColumn& column, bool typed) {
  const std::string_view type = column.stored;
  if (column.kind == ColumnKind::kText) return is_number_list(type) ? As::kList : As::kText;
  if (type == "BOOLEAN") return As::kTruth;
  if (!typed) return As::kDigits;
  if (type == "FLOAT" || type == "DOUBLE") return As::kReal;
  constexpr std::string_view kSmall[] = {"TINYINT",  "SMALLINT",  "INTEGER",
                                         "UTINYINT", "USMALLINT", "UINTEGER"};
  return std::ranges::find(kSmall, type) != std::end(kSmall) ? As::kInteger : As::kDigits;
}

Result<FeatureTable> FeatureTable::open(const std::string& file, const FeatureColumns& columns) {
  SLUICE_CHECK(check_uses(columns));
  SLUICE_TRY(const auto duckdb, Duckdb::open({}));
  std::vector<WantedColumn> wanted;
  std::vector<As> as;
  std::vector<bool> real_key;
  std::vector<std::string> features = columns.features;
  {
    SLUICE_TRY(const auto table, duckdb.read(file));
    const auto there = table.columns();
    // A name that is not there is told when it is asked for.
    const auto find = [&](const std::string& name) {
      const auto at = std::ranges::find(there, name, &TableColumn::name);
      return at == there.end() ? TableColumn{name, ColumnKind::kText, "VARCHAR"} : *at;
    };
    for (const auto& name : columns.entity) {
      const auto type = find(name).stored;
      real_key.push_back(type == "DOUBLE" || type == "FLOAT");
      wanted.push_back({name, ColumnKind::kText});
    }
    if (!columns.time.empty()) wanted.push_back({columns.time, ColumnKind::kText});
    if (features.empty()) features = all_others(there, columns);
    for (const auto& name : features) {
      as.push_back(reading_of(find(name), table.rows().has_value()));
      const bool text =
          as.back() == As::kText || as.back() == As::kDigits || as.back() == As::kList;
      wanted.push_back({name, text ? ColumnKind::kText : ColumnKind::kNumber});
    }
  }
  SLUICE_TRY(auto reader, duckdb.read(file, wanted));
  if (features.empty()) {
    return invalid("bad_column",
                   "the table has no column that could be a feature beside those of "
                   "the entity and the time");
  }
  const bool lines = file.ends_with(".jsonl") || file.ends_with(".ndjson");
  FeatureTable out(std::move(reader), lines);
  out.as_ = std::move(as);
  out.features_ = std::move(features);
  out.real_key_ = std::move(real_key);
  out.timed_ = !columns.time.empty();
  return out;
}

Result<bool> FeatureTable::next(Row& row) {
  if (!chunk_ || ++at_ == chunk_->rows()) {
    SLUICE_TRY(chunk_, reader_.next());
    at_ = 0;
    if (!chunk_) return false;
  }
  ++row_;
  SLUICE_CHECK(read_entity(row));
  if (timed_) SLUICE_CHECK(read_time(row));
  row.values.resize(features_.size());
  const std::size_t first = real_key_.size() + (timed_ ? 1 : 0);
  for (std::size_t i = 0; i < features_.size(); ++i) {
    SLUICE_TRY(row.values[i], read_cell(first + i, as_[i]));
  }
  return true;
}

Result<void> FeatureTable::read_entity(Row& row) {
  row.entity.clear();
  for (std::size_t i = 0; i < real_key_.size(); ++i) {
    auto text = chunk_->text(i, at_);
    if (text.empty()) {
      return invalid("bad_entity", place(i) + " is " +
                                       (chunk_->is_null(i, at_) ? "null" : "empty") +
                                       ", and an entity needs a value; leave the row out, or give "
                                       "it one");
    }
    // What pandas makes of integers when one is missing: nobody asks for entity 42.0.
    if (real_key_[i] && text.ends_with(".0")) text.remove_suffix(2);
    row.entity.push_back(text);
  }
  return {};
}

Result<void> FeatureTable::read_time(Row& row) {
  const std::size_t column = real_key_.size();
  row.time_ns = parse_time(chunk_->text(column, at_));
  if (row.time_ns) return {};
  return invalid("bad_time",
                 place(column) + " is not a time: a timestamp, RFC 3339, or seconds since 1970");
}

Result<FeatureData> FeatureTable::read_cell(std::size_t column, As as) const {
  if (chunk_->is_null(column, at_)) return gaps_ ? FeatureData(Absent{}) : FeatureData(Null{});
  const auto not_a = [&](std::string_view what) {
    return invalid("bad_table", place(column) + " is not " + std::string(what) +
                                    ", and other rows of the column are; write it as one, or leave "
                                    "the column out (--columns)");
  };
  switch (as) {
    case As::kReal: return chunk_->numbers(column)[at_];
    case As::kInteger: return static_cast<std::int64_t>(chunk_->numbers(column)[at_]);
    case As::kTruth: return chunk_->numbers(column)[at_] != 0;
    case As::kDigits:
      if (auto number = number_of(chunk_->text(column, at_))) return *std::move(number);
      return not_a("a number");
    case As::kList:
      if (auto numbers = numbers_of(chunk_->text(column, at_))) return *std::move(numbers);
      return not_a("a list of numbers");
    case As::kText: break;
  }
  return std::string(chunk_->text(column, at_));
}

std::string FeatureTable::place(std::size_t column) const {
  return "'" + printable(reader_.columns()[column].name) + "' in row " + std::to_string(row_);
}

}  // namespace sluice::app
