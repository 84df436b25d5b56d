// For tests of tables: a directory that is gone afterwards, and whole tables as texts to compare.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "clients/duckdb.h"

namespace sluice::clients {

class Tables : public testing::Test {
 protected:
  Tables() {
    std::filesystem::remove_all(root_);
    std::filesystem::create_directories(root_);
  }
  ~Tables() override { std::filesystem::remove_all(root_); }

  static Duckdb engine(const DuckdbLimits& limits = {}) {
    auto opened = Duckdb::open(limits);
    if (!opened) throw std::runtime_error(opened.error().message);
    return *std::move(opened);
  }

  std::filesystem::path put(const std::string& name, std::string_view bytes) const {
    std::ofstream(root_ / name, std::ios::binary) << bytes;
    return root_ / name;
  }
  static std::string bytes_of(const std::filesystem::path& file) {
    std::ifstream in(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  // Every cell: numbers as printf's %.17g, null as '-', a text in quotes.
  static std::vector<std::vector<std::string>> cells(TableReader& reader) {
    std::vector<std::vector<std::string>> out;
    while (true) {
      auto chunk = reader.next();
      if (!chunk) {
        ADD_FAILURE() << chunk.error().message;
        return out;
      }
      if (!*chunk) return out;
      for (std::size_t row = 0; row < (*chunk)->rows(); ++row) {
        auto& line = out.emplace_back();
        for (std::size_t column = 0; column < reader.columns().size(); ++column) {
          line.push_back(cell(reader.columns()[column].kind, **chunk, column, row));
        }
      }
    }
  }
  static std::vector<std::vector<std::string>> cells(TableReader&& reader) { return cells(reader); }
  static std::string cell(ColumnKind kind, const TableChunk& chunk, std::size_t column,
                          std::size_t row) {
    if (kind == ColumnKind::kText) {
      if (chunk.is_null(column, row)) return "-";
      return "'" + std::string(chunk.text(column, row)) + "'";
    }
    const double number = chunk.numbers(column)[row];
    if (chunk.is_null(column, row)) return std::isnan(number) ? "-" : "null is not NaN";
    if (std::isnan(number)) return "nan";
    char text[32];
    std::snprintf(text, sizeof text, "%.17g", number);
    return text;
  }

  // The names of columns, a '#' before those of numbers.
  static std::string names(const TableReader& reader) {
    std::string out;
    for (const auto& column : reader.columns()) {
      out += (out.empty() ? "" : " ") + std::string(column.kind == ColumnKind::kNumber ? "#" : "") +
             column.name;
    }
    return out;
  }

  // What reading the file to its end says is wrong.
  static Error fault(const std::filesystem::path& file, std::vector<WantedColumn> wanted = {},
                     const DuckdbLimits& limits = {}) {
    auto reader = engine(limits).read(file, wanted);
    if (!reader) return reader.error();
    while (true) {
      auto chunk = reader->next();
      if (!chunk) {
        const auto after = reader->next();
        EXPECT_TRUE(after && !*after) << "there is something to read after an error";
        return chunk.error();
      }
      if (!*chunk) return {Code::kOk, "", "no fault", {}};
    }
  }

  const std::filesystem::path root_ =
      std::filesystem::path(testing::TempDir()) / ("tables_" + std::to_string(::getpid()));
};

}  // namespace sluice::clients
