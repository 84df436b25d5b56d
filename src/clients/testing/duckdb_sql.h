// For tests of tables: statements for DuckDB, which may open any file here. What sluice itself
// gives it to do is in clients/duckdb.h.
#pragma once

#include <stdexcept>
#include <string>

#include "clients/duckdb_engine.h"

namespace sluice::clients {

// Without rows as an answer: COPY (...) TO 'file' writes them down. One thread, so that rows and
// row groups have the same order each time.
class DuckdbSql {
 public:
  DuckdbSql() {
    if (library_.open_ext(nullptr, database_.out(), nullptr, nullptr) != DuckDBSuccess ||
        library_.connect(database_.get(), connection_.out()) != DuckDBSuccess) {
      throw std::runtime_error("DuckDB does not open");
    }
    run("SET threads = 1");
    // It tells files apart by name and time, and tests write many under one name at one time.
    run("SET enable_external_file_cache = false");
  }

  // The engine's words where it fails, else nothing.
  std::string try_run(const std::string& sql) {
    duckdb_result result;
    const auto state = library_.query(connection_.get(), sql.c_str(), &result);
    std::string fault;
    if (state != DuckDBSuccess) {
      const char* const words = library_.result_error(&result);
      fault = words ? words : "no words";
    }
    library_.destroy_result(&result);
    return fault;
  }
  void run(const std::string& sql) {
    if (auto fault = try_run(sql); !fault.empty()) throw std::runtime_error(fault);
  }

 private:
  static DuckdbLibrary loaded() {
    auto library = DuckdbLibrary::load();
    if (!library) throw std::runtime_error(library.error().message);
    return *std::move(library);
  }

  DuckdbLibrary library_ = loaded();
  Held<duckdb_database> database_{library_.close};
  Held<duckdb_connection> connection_{library_.disconnect};
};

}  // namespace sluice::clients
