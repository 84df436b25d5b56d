#include "tools/batch/schema.h"

#include <algorithm>
#include <charconv>

#include "base/text.h"

namespace sluice::tools::batch {
namespace {

using clients::sql_file;
using clients::sql_name;

using clients::sql_text;
using clients::SqlColumn;
using clients::TableFormat;

// Nothing is guessed: a guess that is wrong gives wrong rows and no error.
constexpr std::string_view kCsv =
    ", header = true, skip = 0, delim = ',', quote = '\"', escape = '\"', comment = ''"
    ", compression = 'none', allow_quoted_nulls = false";
constexpr std::string_view kJson =
    ", format = 'newline_delimited', records = true, compression = 'uncompressed'";

std::string columns_of(const Schema& schema, std::string_view type) {
  std::string out;
  for (std::size_t i = 0; i + schema.of_partition < schema.raw.size(); ++i) {
    out +=
        (out.empty() ? "{" : ", ") + sql_text(schema.raw[i].name) + ": '" + std::string(type) + "'";
  }
  return out + "}";
}

std::string table_of(const Schema& schema, const Fd& part) {
  const std::string file = sql_file(part);
  switch (schema.format) {
    case TableFormat::kParquet: return "read_parquet(" + file + ")";
    case TableFormat::kCsv:
      return "read_csv(" + file + std::string(kCsv) +
             ", auto_detect = false, columns = " + columns_of(schema, "VARCHAR") + ")";
    case TableFormat::kJsonLines: break;
  }
  return "read_json(" + file + std::string(kJson) + ", columns = " + columns_of(schema, "JSON") +
         ")";
}

bool is_integer(std::string_view type) {
  constexpr std::string_view kIntegers[] = {"TINYINT",  "SMALLINT",  "INTEGER",  "BIGINT",
                                            "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT"};
  return std::ranges::find(kIntegers, type) != std::end(kIntegers);
}

// The type that has all values of both, of those that DuckDB finds in JSON.
std::string wider(const std::string& a, const std::string& b, TableFormat format) {
  if (a == b || b.empty()) return a;
  if (a.empty()) return b;
  const auto number = [](std::string_view type) { return is_integer(type) || type == "DOUBLE"; };
  if (is_integer(a) && is_integer(b)) return "BIGINT";
  if (number(a) && number(b)) return "DOUBLE";
  return format == TableFormat::kCsv ? "VARCHAR" : "JSON";
}

// In this order: the first that all texts of a column can be is its type. Numbers that would not be
// written as they were (01234, 20 digits) stay texts.
struct Candidate {
  std::string_view type;
  std::string_view test;  // of $
};
constexpr Candidate kCandidates[] = {
    {"BOOLEAN", "lower($) IN ('true', 'false')"},
    {"BIGINT", "regexp_full_match($, '0|-?[1-9][0-9]{0,17}')"},
    {"DOUBLE",
     "regexp_full_match($, '[+-]?((0|[1-9][0-9]{0,14})(\\.[0-9]*)?|\\.[0-9]+)([eE][+-]?[0-9]{1,2})?"
     "|[+-]?([nN]a[nN]|[iI]nf(inity)?)')"},
    // A cast that fails is dear: only what looks like it is tried.
    {"DATE",
     "CASE WHEN length($) = 10 AND substr($, 5, 1) = '-' THEN TRY_CAST($ AS DATE) IS NOT "
     "NULL ELSE false END"},
    {"TIMESTAMP",
     "CASE WHEN length($) > 10 AND length($) < 27 AND substr($, 5, 1) = '-' THEN "
     "TRY_CAST($ AS TIMESTAMP) IS NOT NULL ELSE false END"},
};

std::string test_of(const Candidate& candidate, const std::string& column) {
  std::string out = "coalesce(bool_and(";
  for (const char c : candidate.test) {
    if (c == '$') {
      out += column;
    } else {
      out += c;
    }
  }
  return out + "), true)";
}

// A text with a bit for each candidate and, at its end, whether there is a value at all.
std::string bits_of(const std::string& column) {
  std::string out;
  for (const auto& candidate : kCandidates) {
    out += "CASE WHEN " + test_of(candidate, column) + " THEN '1' ELSE '0' END || ";
  }
  return out + "CASE WHEN count(" + column + ") > 0 THEN '1' ELSE '0' END";
}

Result<Guess> guess_csv(clients::DuckdbSession& session, const Schema& schema, const Fd& part,
                        const InputFile& file, const clients::SqlSubject& subject) {
  std::string sql;
  for (const auto& column : schema.raw) {
    sql += (sql.empty() ? "SELECT " : ", ") + bits_of(sql_name(column.name));
  }
  SLUICE_TRY(const auto rows, session.texts(sql + " FROM " + raw_table(schema, part, file),
                                            schema.raw.size(), subject));
  Guess out;
  for (std::size_t i = 0; i < schema.raw.size(); ++i) {
    out.columns.push_back({schema.raw[i].name, rows.at(0)[i]});
  }
  return out;
}

// The bits that all parts have.
std::string type_of_bits(std::span<const Guess> guesses, std::size_t column) {
  std::string all(std::size(kCandidates), '1');
  bool any = false;
  for (const auto& guess : guesses) {
    const std::string& bits = guess.columns[column].type;
    for (std::size_t i = 0; i < all.size(); ++i) all[i] = std::min(all[i], bits[i]);
    any = any || bits.back() == '1';
  }
  const auto first = any ? all.find('1') : std::string::npos;
  return std::string(first == std::string::npos ? "VARCHAR" : kCandidates[first].type);
}

}  // namespace

std::string strange_names(const Schema& schema) {
  const auto own = std::span(schema.raw).first(schema.raw.size() - schema.of_partition);
  if (schema.format != clients::TableFormat::kCsv || own.empty()) return {};
  if (own.size() == 1 && own[0].name.find_first_of(";\t|") != std::string::npos) {
    return ". Is there something else than commas between its fields?";
  }
  const auto is_number = [](const clients::SqlColumn& column) {
    // Where two are the same DuckDB calls the second "1_1".
    const auto name = std::string_view(column.name).substr(0, column.name.find('_'));
    double value = 0;
    const auto read = std::from_chars(name.data(), name.data() + name.size(), value);
    return read.ec == std::errc() && read.ptr == name.data() + name.size();
  };
  if (!std::ranges::all_of(own, is_number)) return {};
  return ". Does its first line have values instead of names?";
}

bool same_name(std::string_view a, std::string_view b) { return iequals(a, b); }

std::size_t Schema::find(std::string_view name) const {
  for (std::size_t i = 0; i < raw.size(); ++i) {
    if (raw[i].name == name) return i;
  }
  for (std::size_t i = 0; i < raw.size(); ++i) {
    if (same_name(raw[i].name, name)) return i;
  }
  return npos;
}

std::string raw_table(const Schema& schema, const Fd& part, const InputFile& file) {
  const std::size_t own = schema.raw.size() - schema.of_partition;
  std::string out = "(SELECT ";
  for (std::size_t i = 0; i < own; ++i) {
    const auto& column = schema.raw[i];
    const std::string name = sql_name(column.name);
    out += i == 0 ? "" : ", ";
    out += schema.cast ? "CAST(" + name + " AS " + column.type + ") AS " + name : name;
  }
  for (std::size_t i = 0; i < schema.of_partition; ++i) {
    const auto& value = file.partition[i];
    const auto& column = schema.raw[own + i];
    out += ", CAST(" + (value ? sql_text(*value) : "NULL") + " AS " + column.type + ") AS " +
           sql_name(column.name);
  }
  return out + " FROM " + table_of(schema, part) + ")";
}

std::string typed_value(const Schema& schema, std::size_t index) {
  const std::string name = sql_name(schema.raw[index].name);
  const std::string& type = schema.typed[index].type;
  if (type == schema.raw[index].type) return name;
  const bool scalar = !type.ends_with(']') && !type.starts_with("STRUCT") &&
                      !type.starts_with("MAP") && schema.format == TableFormat::kJsonLines;
  return "CAST(" + (scalar ? "(" + name + " ->> '$')" : name) + " AS " + type + ")";
}

std::string stored_table(TableFormat format, const Fd& part) {
  const std::string file = sql_file(part);
  switch (format) {
    case TableFormat::kParquet: return "SELECT * FROM read_parquet(" + file + ")";
    case TableFormat::kCsv:
      return "SELECT * FROM read_csv(" + file + std::string(kCsv) + ", all_varchar = true)";
    case TableFormat::kJsonLines: break;
  }
  return "SELECT * FROM read_json(" + file + std::string(kJson) + ", sample_size = -1)";
}

Result<std::vector<SqlColumn>> stored_columns(clients::DuckdbSession& session, TableFormat format,
                                              const Fd& part, const clients::SqlSubject& subject) {
  return session.describe(stored_table(format, part), subject);
}

Result<Guess> guess_types(clients::DuckdbSession& session, const Schema& schema, const Fd& part,
                          const InputFile& file, const clients::SqlSubject& subject) {
  if (schema.format == TableFormat::kCsv) return guess_csv(session, schema, part, file, subject);
  SLUICE_TRY(auto columns, stored_columns(session, schema.format, part, subject));
  return Guess{std::move(columns)};
}

void settle_types(Schema& schema, std::span<const Guess> guesses) {
  const std::size_t own = schema.raw.size() - schema.of_partition;
  for (std::size_t i = 0; i < own; ++i) {
    if (schema.format == TableFormat::kCsv) {
      schema.typed[i].type = type_of_bits(guesses, i);
      continue;
    }
    std::string type;
    for (const auto& guess : guesses) {
      const auto at = std::ranges::find(guess.columns, schema.raw[i].name, &SqlColumn::name);
      // A key that has no value but null is told as JSON.
      if (at != guess.columns.end()) type = wider(type, at->type, schema.format);
    }
    if (!type.empty()) schema.typed[i].type = type;
  }
}

}  // namespace sluice::tools::batch
