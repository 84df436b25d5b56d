// A database in one file on this machine, by SQLite: the only place that sees it.
//
// The file is kept in WAL mode, so that readers and the one writer do not wait for each other, and
// other processes of this machine may have it open at the same time (not over a network file
// system, whose locks are not to be trusted; https://sqlite.org/wal.html). It appears under its
// name only when it is whole: one that is empty or cut off is a fault and never a new one.
//
// Thread-safety: a database, its statements and its transactions belong to one thread at a time;
// the owner has a mutex. A database must not be used on in a forked process.
// Errors, of every function, under the reasons that SqliteNames says: kUnavailable/
// `state_unavailable` (cannot be opened or written, disk full, held by another process for longer
// than 5 s); kDataLoss/`bad_state` (what is there is damaged, something else, or written by a newer
// Sluice); kResourceExhausted/`too_large` for a value of more than 1 GB. None shows a path.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"

struct sqlite3;
struct sqlite3_stmt;

namespace sluice::clients {

// How errors call a database. The texts outlive it, the reasons are literals.
struct SqliteNames {
  std::string_view what = "the state store";
  std::string_view unavailable = "state_unavailable";
  std::string_view bad = "bad_state";
  Code bad_code = Code::kDataLoss;
  std::string_view repair = "put a copy of it back, or move its file away to begin with nothing";
};
inline constexpr SqliteNames kStateNames;

// What the tables are. `steps[n]` leads from layout n to n + 1 (PRAGMA user_version): one that has
// been released is never changed, another is added behind it.
struct SqliteLayout {
  std::int32_t application = 0;  // PRAGMA application_id: whose file it is
  std::span<const char* const> steps;
  const SqliteNames* names = &kStateNames;  // outlives what is opened with it
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
  // Before it is run again, with other parameters.
  SqliteStatement& reset();

  // Columns count from 0. A text or bytes as they are; nothing where it is null.
  std::string column(int index) const;
  // The same without a copy, until the next step.
  std::string_view column_view(int index) const;
  std::int64_t column_number(int index) const;
  bool column_is_null(int index) const;

 private:
  friend class SqliteDatabase;
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const;
  };

  SqliteStatement(sqlite3_stmt* statement, const SqliteNames& names)
      : statement_(statement), names_(&names) {}
  void bound(int code);

  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
  const SqliteNames* names_;
  int parameter_ = 0;
  int failed_ = 0;  // the first binding that failed, told by the next step
};

// Rolled back unless it is committed.
class SqliteTransaction {
 public:
  ~SqliteTransaction();
  SqliteTransaction(SqliteTransaction&& other) noexcept
      : database_(std::exchange(other.database_, nullptr)), names_(other.names_) {}
  SqliteTransaction& operator=(SqliteTransaction&&) = delete;

  // After an error nothing of it has happened.
  Result<void> commit();

 private:
  friend class SqliteDatabase;
  SqliteTransaction(sqlite3* database, const SqliteNames& names)
      : database_(database), names_(&names) {}

  sqlite3* database_;
  const SqliteNames* names_;
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

  // For reading alone, of a file that somebody else keeps: nothing is made, brought up to date or
  // looked through, and what its writer commits is seen. With a layout it must be that of ours. Of
  // a file in WAL mode SQLite keeps an index beside it, so its directory must be writable (or the
  // writer must have it open).
  static Result<SqliteDatabase> for_reading(const std::filesystem::path& file,
                                            const SqliteNames& names,
                                            const SqliteLayout* layout = nullptr);
  // For what does not fit into memory and is nobody else's: in SQLite's directory for temporary
  // files (TMPDIR, else the system's), without a name. Nothing in it survives a fault.
  static Result<SqliteDatabase> scratch(const SqliteNames& names);

  // Until when a lock of another process is waited for; before this is said, 5 s each time.
  void wait_until(std::chrono::steady_clock::time_point deadline);
  // Another number when another connection has committed since it was asked last.
  Result<std::int64_t> data_version();
  // Writes the log into the file and empties it, when nobody reads meanwhile.
  void empty_log();

  // `sql` must be a literal or outlive the call; values are bound and never pasted into it.
  Result<SqliteStatement> prepare(std::string_view sql);
  // For writing: other writers wait from here on, so that what is read in it stays true.
  Result<SqliteTransaction> begin(Survives survives);
  // For reading: all statements until its end see the same state.
  Result<SqliteTransaction> begin_reading();

 private:
  struct Close {
    void operator()(sqlite3* database) const;
  };

  using Deadline = std::optional<std::chrono::steady_clock::time_point>;

  SqliteDatabase(sqlite3* database, const SqliteNames& names)
      : names_(&names), deadline_(std::make_unique<Deadline>()), database_(database) {}
  static int wait_for_lock(void* deadline, int tries);
  static Result<SqliteDatabase> open(const std::string& name, const SqliteLayout& layout,
                                     bool make);
  static Result<SqliteDatabase> connect(const std::string& name, int flags,
                                        const SqliteNames& names);
  static Result<void> make_file(const std::filesystem::path& file, const SqliteLayout& layout);
  Result<void> harden();
  Result<void> use_wal();
  Result<void> check_version(const SqliteLayout& layout);
  Result<void> check_all();
  Result<void> upgrade(const SqliteLayout& layout);
  Result<void> run(std::string_view sql);
  Result<std::int64_t> ask_number(std::string_view sql);

  const SqliteNames* names_;
  std::unique_ptr<Deadline> deadline_;  // SQLite knows its address
  std::unique_ptr<sqlite3, Close> database_;
  Survives survives_ = Survives::kPowerCut;  // as it is opened
};

}  // namespace sluice::clients
