// A database in one file on this machine, by SQLite: the only place that sees it.
//
// The file is kept in WAL mode, so that readers and the one writer do not wait for each other, and
// other processes of this machine may have it open at the same time (not over a network file
// system, whose locks are not to be trusted; https://sqlite.org/wal.html). It appears under its
// name only when it is whole: one that is empty or cut off is a fault and never a new one.
//
// Thread-safety: a database, its statements and its transactions belong to one thread at a time;
// the owner has a mutex. A database must not be used on in a forked process.
// Errors, of every function: kUnavailable/`state_unavailable` (cannot be opened or written, disk
// full, held by another process for longer than 5 s); kDataLoss/`bad_state` (what is there is
// damaged, something else, or written by a newer Sluice); kResourceExhausted/`too_large` for a
// value of more than 1 GB. None shows a path.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"

struct sqlite3;
struct sqlite3_stmt;

namespace sluice::clients {

// What the tables are. `steps[n]` leads from layout n to n + 1 (PRAGMA user_version): one that has
// been released is never changed, another is added behind it.
struct SqliteLayout {
  std::int32_t application = 0;  // PRAGMA application_id: whose file it is
  std::span<const char* const> steps;
};

// What a transaction that has been committed survives.
enum class Survives : std::uint8_t {
  kProcessCrash,  // the system has it; a power cut loses what is not written back yet
  kPowerCut,      // the disk has it, and all that was committed before
};

class SqliteStatement {
 public:
  // The next parameter. Texts and bytes must outlive the statement's last step.
  SqliteStatement& text(std::string_view value);
  SqliteStatement& bytes(std::string_view value);
  SqliteStatement& number(std::int64_t value);

  // True: there is a row, and its columns may be read until the next step.
  Result<bool> step();
  // Where no rows are wanted.
  Result<void> run();

  // Columns count from 0. A text or bytes as they are; nothing where it is null.
  std::string column(int index) const;
  std::int64_t column_number(int index) const;
  bool column_is_null(int index) const;

 private:
  friend class SqliteDatabase;
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const;
  };

  explicit SqliteStatement(sqlite3_stmt* statement) : statement_(statement) {}
  void bound(int code);

  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
  int parameter_ = 0;
  int failed_ = 0;  // the first binding that failed, told by the next step
};

// Rolled back unless it is committed.
class SqliteTransaction {
 public:
  ~SqliteTransaction();
  SqliteTransaction(SqliteTransaction&& other) noexcept
      : database_(std::exchange(other.database_, nullptr)) {}
  SqliteTransaction& operator=(SqliteTransaction&&) = delete;

  // After an error nothing of it has happened.
  Result<void> commit();

 private:
  friend class SqliteDatabase;
  explicit SqliteTransaction(sqlite3* database) : database_(database) {}

  sqlite3* database_;
};

class SqliteDatabase {
 public:
  // Gone with this object.
  static Result<SqliteDatabase> in_memory(const SqliteLayout& layout);
  // Made (mode 0600) where it is missing, brought to the newest layout where it has an older one.
  // All of it is looked through once (PRAGMA quick_check), so that damage shows at the start and
  // not in the middle of something. The directory must be there.
  static Result<SqliteDatabase> in_file(const std::filesystem::path& file,
                                        const SqliteLayout& layout);

  // `sql` must be a literal or outlive the call; values are bound and never pasted into it.
  Result<SqliteStatement> prepare(std::string_view sql);
  // For writing: other writers wait from here on, so that what is read in it stays true.
  Result<SqliteTransaction> begin(Survives survives);

 private:
  struct Close {
    void operator()(sqlite3* database) const;
  };

  explicit SqliteDatabase(sqlite3* database) : database_(database) {}
  static Result<SqliteDatabase> open(const std::string& name, const SqliteLayout& layout,
                                     bool make);
  static Result<void> make_file(const std::filesystem::path& file, const SqliteLayout& layout);
  Result<void> harden();
  Result<void> use_wal();
  Result<void> check(const SqliteLayout& layout);
  Result<void> upgrade(const SqliteLayout& layout);
  Result<void> run(std::string_view sql);
  Result<std::int64_t> ask_number(std::string_view sql);

  std::unique_ptr<sqlite3, Close> database_;
  Survives survives_ = Survives::kPowerCut;  // as it is opened
};

}  // namespace sluice::clients
