#include "app/rows_file.h"

#include <algorithm>
#include <limits>

#include "base/file.h"
#include "base/text.h"
#include "clients/duckdb.h"

namespace sluice::app {
namespace {

using nlohmann::json;

constexpr std::size_t kMostBytes = std::size_t{256} << 20;

std::string line_of(std::size_t number, const std::string& what) {
  return "line " + std::to_string(number) + " of " + what;
}

// Without what editors of other systems put at its end.
std::string_view bare(std::string_view line) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  return trim(line);
}

json features_of(json row) {
  const bool request = row.is_object() && row.contains("features");
  return request ? json(std::move(row["features"])) : row;
}

Result<void> read_json(const std::string& text, std::size_t most, const std::string& what,
                       RowsFile& out) {
  auto parsed = features_of(json::parse(text, nullptr, false));
  if (parsed.is_object()) parsed = json::array({parsed});
  if (!parsed.is_array() || parsed.empty()) {
    return invalid("not_json", what +
                                   " has no rows; it should be a list of rows, such as "
                                   "[[1, 2], [3, 4]]");
  }
  if (!parsed[0].is_array() && !parsed[0].is_object()) parsed = json::array({parsed});
  for (auto& row : parsed) {
    if (out.rows.size() < most) out.rows.push_back(std::move(row));
  }
  return {};
}

Result<void> read_lines(const std::string& text, std::size_t most, const std::string& what,
                        RowsFile& out) {
  std::size_t number = 0;
  for (const auto line : split(text, '\n')) {
    ++number;
    if (bare(line).empty()) continue;
    if (out.rows.size() == most) break;
    auto row = features_of(json::parse(line, nullptr, false));
    if (!row.is_array() && !row.is_object()) {
      return invalid("not_json", line_of(number, what) +
                                     " is no row; each line should be one, "
                                     "such as [1, 2, 3]");
    }
    out.rows.push_back(std::move(row));
  }
  return {};
}

// Fields of one line; quotes as RFC 4180 has them, but no line breaks in them.
std::vector<std::string> fields_of(std::string_view line) {
  std::vector<std::string> out(1);
  bool quoted = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (c == '"') {
      if (quoted && i + 1 < line.size() && line[i + 1] == '"')
        out.back() += line[++i];
      else
        quoted = !quoted;
    } else if (c == ',' && !quoted) {
      out.emplace_back();
    } else {
      out.back() += c;
    }
  }
  for (auto& field : out) field = std::string(trim(field));
  return out;
}

json value_of(const std::string& field) {
  if (field.empty()) return nullptr;
  const auto number = parse_double(field);
  return number ? json(*number) : json(field);
}

Result<void> read_csv(const std::string& text, std::size_t most, const std::string& what,
                      RowsFile& out) {
  std::size_t number = 0;
  for (const auto line : split(text, '\n')) {
    ++number;
    if (bare(line).empty()) continue;
    const auto fields = fields_of(bare(line));
    if (out.columns.empty()) {
      out.columns = fields;
      continue;
    }
    if (out.rows.size() == most) break;
    if (fields.size() != out.columns.size()) {
      return invalid("ragged", line_of(number, what) + " has " + std::to_string(fields.size()) +
                                   " values, and the header names " +
                                   std::to_string(out.columns.size()) + " columns");
    }
    auto row = json::array();
    for (const auto& field : fields) row.push_back(value_of(field));
    out.rows.push_back(std::move(row));
  }
  return {};
}

json value_of(const clients::TableReader& table, const clients::TableChunk& chunk,
              std::size_t column, std::size_t row) {
  if (chunk.is_null(column, row)) return nullptr;
  const bool text = table.columns()[column].kind == clients::ColumnKind::kText;
  return text ? json(chunk.text(column, row)) : json(chunk.numbers(column)[row]);
}

Result<void> read_parquet(const std::string& path, std::size_t most, RowsFile& out) {
  SLUICE_TRY(const auto engine, clients::Duckdb::open({}));
  SLUICE_TRY(auto table, engine.read(path));
  for (const auto& column : table.columns()) out.columns.push_back(column.name);
  while (out.rows.size() < most) {
    SLUICE_TRY(const auto chunk, table.next());
    if (!chunk) break;
    for (std::size_t row = 0; row < chunk->rows() && out.rows.size() < most; ++row) {
      auto values = json::array();
      for (std::size_t column = 0; column < out.columns.size(); ++column) {
        values.push_back(value_of(table, *chunk, column, row));
      }
      out.rows.push_back(std::move(values));
    }
  }
  return {};
}

// Where the model's columns are among the file's.
Result<std::vector<std::size_t>> places(const RowsFile& file, const Signature& signature,
                                        const std::string& what) {
  std::vector<std::size_t> out;
  for (const auto& column : signature.columns) {
    const auto found = std::ranges::find(file.columns, column);
    if (found == file.columns.end()) {
      return invalid("missing_feature",
                     what + " has no column '" + printable(column) + "', which the model takes");
    }
    out.push_back(static_cast<std::size_t>(found - file.columns.begin()));
  }
  return out;
}

Result<json> listed(const json& row, const Signature& signature, const std::string& what) {
  if (row.is_array()) return row;
  auto out = json::array();
  std::vector<std::string> names = signature.columns;
  if (names.empty()) {
    for (const auto& input : signature.inputs) names.push_back(input.name);
  }
  for (const auto& name : names) {
    if (!row.is_object() || !row.contains(name)) {
      return invalid("missing_feature", "a row of " + what + " has no '" + printable(name) + "'");
    }
    out.push_back(row[name]);
  }
  return out;
}

}  // namespace

Result<RowsFile> read_rows(const std::string& path, std::size_t most, const std::string& what) {
  RowsFile out;
  std::string text;
  const bool parquet = path.ends_with(".parquet");
  if (!parquet) {
    SLUICE_TRY(text, read_text(path, kMostBytes, what));
  }
  if (parquet) {
    SLUICE_CHECK(read_parquet(path, most, out));
  } else if (path.ends_with(".csv")) {
    SLUICE_CHECK(read_csv(text, most, what, out));
  } else if (path.ends_with(".jsonl") || path.ends_with(".ndjson")) {
    SLUICE_CHECK(read_lines(text, most, what, out));
  } else if (path.ends_with(".json")) {
    SLUICE_CHECK(read_json(text, most, what, out));
  } else {
    return invalid("unknown_format", what + " should end with .json, .jsonl, .csv or .parquet");
  }
  if (out.rows.empty()) return invalid("no_rows", what + " has no rows");
  return out;
}

Result<void> arrange(RowsFile& file, const Signature& signature, const std::string& what) {
  if (file.columns.empty() || signature.columns.empty()) return {};
  SLUICE_TRY(const auto from, places(file, signature, what));
  for (auto& row : file.rows) {
    auto out = json::array();
    for (const auto at : from) out.push_back(row[at]);
    row = std::move(out);
  }
  file.columns = signature.columns;
  return {};
}

Result<std::vector<double>> numbers_of(const RowsFile& file, const Signature& signature,
                                       const std::string& what) {
  std::vector<double> out;
  std::size_t width = 0;
  for (const auto& each : file.rows) {
    SLUICE_TRY(const auto row, listed(each, signature, what));
    if (width == 0) width = row.size();
    if (row.size() != width) return invalid("ragged", "rows of " + what + " differ in length");
    for (const auto& value : row) {
      if (!value.is_number() && !value.is_null()) {
        return invalid("wrong_type", "a row of " + what + " has a value that is no number");
      }
      out.push_back(value.is_null() ? std::numeric_limits<double>::quiet_NaN()
                                    : value.get<double>());
    }
  }
  return out;
}

}  // namespace sluice::app
