// A file as Feast's SQLite store writes it, for tests: by its text, in the mode that Python's
// sqlite3 has by default.
#pragma once

#include <gtest/gtest.h>

#include <bit>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "clients/sqlite.h"
#include "core/feature_value.h"

namespace sluice::features::testing {

// A serialized feast.types.Value. By hand, so that it does not go through what is tested.
inline std::string feast_bytes(const FeatureData& data) {
  const auto varint = [](std::uint64_t value) {
    std::string out;
    for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
    return out + static_cast<char>(value);
  };
  const auto eight = [](double value) {
    const auto bits = std::bit_cast<std::uint64_t>(value);
    return std::string(reinterpret_cast<const char*>(&bits), sizeof(bits));
  };
  // The tag of a field: its number, and how it is written.
  if (const auto* text = std::get_if<std::string>(&data)) {
    return varint(2 << 3 | 2) + varint(text->size()) + *text;
  }
  if (const auto* integer = std::get_if<std::int64_t>(&data)) {
    return varint(4 << 3) + varint(static_cast<std::uint64_t>(*integer));
  }
  if (const auto* real = std::get_if<double>(&data)) return varint(5 << 3 | 1) + eight(*real);
  if (const auto* truth = std::get_if<bool>(&data)) return varint(7 << 3) + varint(*truth ? 1 : 0);
  return {};
}

class FeastFile {
 public:
  explicit FeastFile(const std::filesystem::path& file, const std::string& table) : table_(table) {
    const std::string sql =
        "CREATE TABLE \"" + table +
        "\" (entity_key BLOB, feature_name TEXT, value BLOB, value_text TEXT, vector_value BLOB, "
        "event_ts timestamp, created_ts timestamp, PRIMARY KEY(entity_key, feature_name))";
    const char* const steps[] = {sql.c_str()};
    auto opened = clients::SqliteDatabase::in_file(file, {1, steps});
    if (!opened) throw std::runtime_error(opened.error().message);
    database_.emplace(std::move(*opened));
    run("PRAGMA journal_mode = DELETE");
  }

  void put(std::string_view key, std::string_view feature, const FeatureData& value,
           std::string_view event_ts) {
    const auto bytes = feast_bytes(value);
    auto insert = database_->prepare("INSERT INTO \"" + table_ +
                                     "\" (entity_key, feature_name, value, event_ts) "
                                     "VALUES (?, ?, ?, ?)");
    ASSERT_TRUE(insert) << insert.error().message;
    ASSERT_TRUE(insert->bytes(key).text(feature).bytes(bytes).text(event_ts).run());
  }

  void run(std::string_view sql) {
    auto statement = database_->prepare(sql);
    ASSERT_TRUE(statement) << statement.error().message;
    ASSERT_TRUE(statement->run());
  }
  clients::SqliteDatabase& database() { return *database_; }

 private:
  const std::string table_;
  std::optional<clients::SqliteDatabase> database_;
};

}  // namespace sluice::features::testing
