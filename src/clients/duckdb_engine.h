// What reader and writer share: the engine, connections to it, statements, and how its errors are
// told. Only the duckdb_* files of this room include it.
//
// Thread-safety: an engine may be used by several threads, everything else by one at a time.
#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "clients/duckdb.h"
#include "clients/duckdb_library.h"

namespace sluice::clients {

// A handle of the library's, given back by the function for its type.
template <class Handle, class Answer = void>
class Held {
 public:
  explicit Held(Answer (*give_back)(Handle*), Handle handle = {})
      : give_back_(give_back), handle_(handle) {}
  Held(Held&& other) noexcept
      : give_back_(other.give_back_), handle_(std::exchange(other.handle_, Handle{})) {}
  Held& operator=(Held&& other) noexcept {
    std::swap(give_back_, other.give_back_);
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~Held() {
    if (handle_) give_back_(&handle_);
  }
  Handle get() const { return handle_; }
  Handle* out() { return &handle_; }

 private:
  Answer (*give_back_)(Handle*);
  Handle handle_;
};

struct DuckdbEngine {
  DuckdbEngine(const DuckdbLibrary& library, const DuckdbLimits& limits)
      : library(library), limits(limits), database(library.close) {}

  DuckdbLibrary library;
  DuckdbLimits limits;
  Held<duckdb_database> database;
};

// What went wrong, in the library's words, which may hold values of the file's: they are read for
// what is safe to show and never shown.
struct DuckdbError {
  enum class Kind : std::uint8_t {
    kOther,       // mostly the file's fault
    kMemory,      // more than the limit
    kConversion,  // a value is not of the type it should have
    kSystem,      // reading or writing failed
    kOurs,        // the statement is wrong
  };
  Kind kind = Kind::kOther;
  std::string words;
};
// Sorted by the words alone: only some of the library's functions give a type of error.
DuckdbError duckdb_error(const char* words);

template <class T>
using DuckdbResult = std::expected<T, DuckdbError>;

// Memory and the machine's state; nothing when it was something else, which the caller knows more
// of.
std::optional<Failure> engine_failure(const DuckdbError& error, const DuckdbLimits& limits);

// The rows of a statement. Needs its connection.
class DuckdbRows {
 public:
  DuckdbRows(const DuckdbLibrary& library, duckdb_result result)
      : library_(&library), result_(result) {}
  DuckdbRows(DuckdbRows&& other) noexcept
      : library_(other.library_), result_(std::exchange(other.result_, duckdb_result{})) {}
  DuckdbRows& operator=(DuckdbRows&& other) noexcept {
    std::swap(library_, other.library_);
    std::swap(result_, other.result_);
    return *this;
  }
  ~DuckdbRows() { library_->destroy_result(&result_); }

  // Holds nothing at the end.
  DuckdbResult<Held<duckdb_data_chunk>> fetch();

 private:
  const DuckdbLibrary* library_;
  duckdb_result result_;
};

class DuckdbConnection {
 public:
  static Result<DuckdbConnection> open(std::shared_ptr<const DuckdbEngine> engine);

  const DuckdbEngine& engine() const { return *engine_; }
  const DuckdbLibrary& library() const { return engine_->library; }
  duckdb_connection get() const { return connection_.get(); }

  // Without wanting rows.
  DuckdbResult<void> run(const std::string& sql);
  // Rows are made while they are fetched.
  DuckdbResult<DuckdbRows> stream(const std::string& sql);

 private:
  explicit DuckdbConnection(std::shared_ptr<const DuckdbEngine> engine)
      : engine_(std::move(engine)), connection_(engine_->library.disconnect) {}

  std::shared_ptr<const DuckdbEngine> engine_;  // outlives the connection
  Held<duckdb_connection> connection_;
};

// For SQL: a name or a text as one token, whatever is in it. Neither may hold a zero byte.
std::string quoted_name(std::string_view name);
std::string quoted_text(std::string_view text);
// Under which the engine finds an open file.
std::string descriptor_path(const Fd& fd);

}  // namespace sluice::clients
