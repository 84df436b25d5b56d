#include "clients/duckdb_errors.h"

#include <string>

#include "base/text.h"

namespace sluice::clients {
namespace {

// The number behind `mark`, or nothing.
std::string number_after(std::string_view words, std::string_view mark) {
  const auto at = words.find(mark);
  if (at == std::string_view::npos) return {};
  const auto rest = words.substr(at + mark.size());
  return std::string(rest.substr(0, rest.find_first_not_of("0123456789")));
}

std::string line_of(const DuckdbError& error) {
  if (auto line = number_after(error.words, "CSV Error on Line: "); !line.empty()) return line;
  const auto line = number_after(error.words, " in line ");
  // Where it cannot parse a line of JSON, DuckDB 1.4 has counted it already.
  const bool counted = error.words.find("Malformed JSON") != std::string::npos;
  const auto number = parse_uint(line);
  return counted && number && *number > 1 ? std::to_string(*number - 1) : line;
}

std::string reason_of(const DuckdbError& error, TableFormat format) {
  const auto says = [&](std::string_view words) {
    return error.words.find(words) != std::string::npos;
  };
  if (says("unicode") || says("UTF8") || says("UTF-8 encoding") || says("utf-8 encoded")) {
    return "its text is not UTF-8; write it again in UTF-8";
  }
  if (says("Could not convert") || says("Failed to cast") || says("Could not cast") ||
      error.kind == DuckdbError::Kind::kConversion) {
    return "what is there is not a number; correct it, or read the column as text";
  }
  if (format == TableFormat::kJsonLines) {
    if (says("duplicate key")) return "an object has the same key twice; leave one of them";
    if (says("maximum_object_size")) return "a line is longer than 16 MB; expected shorter ones";
    return "expected an object in JSON, {\"name\": value, ...}, in every line";
  }
  if (format == TableFormat::kParquet) {
    return "what is in it is damaged; copy it again, or write it again";
  }
  if (says("Maximum line size")) return "a line is longer than 2 MB; check its quotes";
  return "expected as many fields in every line as names in the first, commas between them, and "
         "quotes (\") that are closed";
}

// Of a conversion error of CSV: which column.
std::string column_of(const DuckdbError& error) {
  constexpr std::string_view kMark = "Error when converting column \"";
  const auto at = error.words.find(kMark);
  if (at == std::string::npos) return {};
  const auto rest = std::string_view(error.words).substr(at + kMark.size());
  return printable(rest.substr(0, rest.find("\". ")));
}

}  // namespace

Failure read_failure(const DuckdbError& error, const OpenTable& table, const DuckdbLimits& limits,
                     std::uint64_t lines_before) {
  if (auto of_engine = engine_failure(error, limits)) return *of_engine;
  if (error.kind == DuckdbError::Kind::kSystem && table.format != TableFormat::kParquet) {
    return unavailable("unreadable", shown_name(table.file) + " cannot be read; try again");
  }
  std::string message =
      shown_name(table.file) + " cannot be read as " + std::string(format_name(table.format));
  if (const auto line = parse_uint(line_of(error))) {
    message += ", line " + std::to_string(*line + lines_before);
  }
  if (const auto column = column_of(error); !column.empty()) message += ", column '" + column + "'";
  return invalid("bad_table", message + ": " + reason_of(error, table.format));
}

}  // namespace sluice::clients
