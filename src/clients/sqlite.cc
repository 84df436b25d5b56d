#include "clients/sqlite.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

#include "base/file.h"
#include "clients/sqlite_errors.h"

namespace sluice::clients {
namespace {

constexpr std::chrono::milliseconds kBusyPause{1};
constexpr int kBusyPauses = 5000;  // 5 s, and a little more
// About 4 MB, as SQLite's own limit.
constexpr int kMostLogPages = 1000;

// A null pointer would be bound as null, also where its length is 0.
const char* data_of(std::string_view text) { return text.data() ? text.data() : ""; }

// After each commit: writes a log that has become long into the file. SQLite's own way lets other
// connections write meanwhile, and versions before 3.51.3 can then lose what they have committed
// (https://sqlite.org/wal.html#the_wal_reset_bug); in this mode writers wait until it is done.
// What does not succeed is tried again after the next commit: this one is in the log.
int shorten_log(void*, sqlite3* database, const char* name, int pages) {
  if (pages >= kMostLogPages) {
    sqlite3_wal_checkpoint_v2(database, name, SQLITE_CHECKPOINT_FULL, nullptr, nullptr);
  }
  return SQLITE_OK;
}

// Whatever SQLite keeps beside a file that is only being made goes with it.
struct Draft {
  std::string path;
  explicit Draft(std::string path) : path(std::move(path)) {}
  Draft(const Draft&) = delete;
  Draft& operator=(const Draft&) = delete;
  ~Draft() {
    for (const char* end : {"", "-wal", "-shm", "-journal"}) ::unlink((path + end).c_str());
  }
};

// A name that is to survive a power cut must itself be on the disk.
Result<void> sync_directory(const std::filesystem::path& directory, const SqliteNames& names) {
  const auto fd = open_directory(directory);
  if (!fd || ::fsync(fd->get()) != 0) {
    return system_failure(names, "could not be made", errno);
  }
  return {};
}

}  // namespace

void SqliteStatement::Finalize::operator()(sqlite3_stmt* statement) const {
  sqlite3_finalize(statement);
}

void SqliteStatement::bound(int code) {
  if (failed_ == SQLITE_OK) failed_ = code;
}

SqliteStatement& SqliteStatement::text(std::string_view value) {
  bound(sqlite3_bind_text64(statement_.get(), ++parameter_, data_of(value), value.size(),
                            SQLITE_STATIC, SQLITE_UTF8));
  return *this;
}

SqliteStatement& SqliteStatement::bytes(std::string_view value) {
  bound(sqlite3_bind_blob64(statement_.get(), ++parameter_, data_of(value), value.size(),
                            SQLITE_STATIC));
  return *this;
}

SqliteStatement& SqliteStatement::number(std::int64_t value) {
  bound(sqlite3_bind_int64(statement_.get(), ++parameter_, value));
  return *this;
}

Result<bool> SqliteStatement::step() {
  if (failed_ != SQLITE_OK) return sqlite_failure(*names_, failed_);
  const int code = sqlite3_step(statement_.get());
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return sqlite_failure(*names_, code);
}

Result<void> SqliteStatement::run() {
  while (true) {
    SLUICE_TRY(const bool row, step());
    if (!row) return {};
  }
}

SqliteStatement& SqliteStatement::reset() {
  // The code is the last step's, which has told it already.
  sqlite3_reset(statement_.get());
  parameter_ = 0;
  failed_ = SQLITE_OK;
  return *this;
}

std::string SqliteStatement::column(int index) const { return std::string(column_view(index)); }

std::string_view SqliteStatement::column_view(int index) const {
  // As bytes: a text is kept in UTF-8, and may hold a zero. The length is only right afterwards.
  const void* data = sqlite3_column_blob(statement_.get(), index);
  const auto size = static_cast<std::size_t>(sqlite3_column_bytes(statement_.get(), index));
  return data ? std::string_view(static_cast<const char*>(data), size) : std::string_view();
}

std::int64_t SqliteStatement::column_number(int index) const {
  return sqlite3_column_int64(statement_.get(), index);
}

bool SqliteStatement::column_is_null(int index) const {
  return sqlite3_column_type(statement_.get(), index) == SQLITE_NULL;
}

SqliteTransaction::~SqliteTransaction() {
  // After some errors SQLite has rolled back by itself; a rollback that fails leaves nothing to do.
  if (database_ && sqlite3_get_autocommit(database_) == 0) {
    sqlite3_exec(database_, "ROLLBACK", nullptr, nullptr, nullptr);
  }
}

Result<void> SqliteTransaction::commit() {
  return sqlite_checked(*names_, sqlite3_exec(database_, "COMMIT", nullptr, nullptr, nullptr));
}

void SqliteDatabase::Close::operator()(sqlite3* database) const { sqlite3_close_v2(database); }

Result<SqliteDatabase> SqliteDatabase::in_memory(const SqliteLayout& layout) {
  return open(":memory:", layout, true);
}

Result<SqliteDatabase> SqliteDatabase::in_file(const std::filesystem::path& file,
                                               const SqliteLayout& layout) {
  const SqliteNames& names = *layout.names;
  struct stat info {};
  const bool logged = ::stat((file.string() + "-wal").c_str(), &info) == 0;
  if (::stat(file.c_str(), &info) != 0) {
    if (errno != ENOENT) return system_failure(names, "cannot be opened", errno);
    SLUICE_CHECK(make_file(file, layout));
    return open(file, layout, false);
  } else if (!S_ISREG(info.st_mode)) {
    return bad_file(names, "cannot be read (what has its name is not a file)");
  } else if (info.st_size == 0) {
    return bad_file(names, "cannot be read (its file is empty)");
  }
  SLUICE_TRY(auto database, open(file, layout, false));
  // SQLite would read zeros for what is missing of the last page. After a crash that may be so: the
  // log has the page then.
  SLUICE_TRY(const auto page, database.ask_number("PRAGMA page_size"));
  if (!logged && info.st_size % page != 0)
    return bad_file(names, "is damaged (its file is cut off)");
  return database;
}

// Under another name first. Closing the last connection writes the log into the file and removes
// it; then the file gets its name, unless another process was faster and has given it to its own.
Result<void> SqliteDatabase::make_file(const std::filesystem::path& file,
                                       const SqliteLayout& layout) {
  const SqliteNames& names = *layout.names;
  std::string name = file.string() + ".XXXXXX";
  {
    // Mode 0600, as what SQLite puts beside it. Closed again before SQLite opens it: closing a
    // descriptor takes away all locks that this process has on the file.
    const Fd made(::mkostemp(name.data(), O_CLOEXEC));
    if (!made) return system_failure(names, "could not be made", errno);
  }
  const Draft draft(name);
  SLUICE_CHECK(open(name, layout, true));
  if (::link(name.c_str(), file.c_str()) != 0 && errno != EEXIST) {
    return system_failure(names, "could not be made", errno);
  }
  return sync_directory(file.parent_path(), names);
}

Result<SqliteDatabase> SqliteDatabase::open(const std::string& name, const SqliteLayout& layout,
                                            bool make) {
  SLUICE_TRY(auto database, connect(name, SQLITE_OPEN_READWRITE, *layout.names));
  // A file that may not be written is opened for reading without a word.
  if (sqlite3_db_readonly(database.database_.get(), "main") == 1) {
    return sqlite_failure(*layout.names, SQLITE_READONLY);
  }
  SLUICE_CHECK(database.run("PRAGMA synchronous = FULL"));  // the default can be another
  if (name != ":memory:") SLUICE_CHECK(database.use_wal());
  if (!make) {
    SLUICE_CHECK(database.check_version(layout));
    SLUICE_CHECK(database.check_all());
  }
  SLUICE_CHECK(database.upgrade(layout));
  return database;
}

Result<SqliteDatabase> SqliteDatabase::for_reading(const std::filesystem::path& file,
                                                   const SqliteNames& names,
                                                   const SqliteLayout* layout) {
  SLUICE_TRY(auto database, connect(file, SQLITE_OPEN_READONLY, names));
  if (layout) SLUICE_CHECK(database.check_version(*layout));
  return database;
}

Result<SqliteDatabase> SqliteDatabase::scratch(const SqliteNames& names) {
  SLUICE_TRY(auto database, connect("", SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, names));
  SLUICE_CHECK(database.run("PRAGMA journal_mode = OFF"));
  SLUICE_CHECK(database.run("PRAGMA cache_size = -32768"));  // in KB; what is sorted as well
  return database;
}

Result<SqliteDatabase> SqliteDatabase::connect(const std::string& name, int flags,
                                               const SqliteNames& names) {
  sqlite3* opened = nullptr;
  // The owner's mutex is the only one.
  const int code = sqlite3_open_v2(name.c_str(), &opened, flags | SQLITE_OPEN_NOMUTEX, nullptr);
  SqliteDatabase database(opened, names);  // also after an error: it has to be closed
  SLUICE_CHECK(sqlite_checked(names, code));
  SLUICE_CHECK(database.harden());
  return database;
}

// Nobody queues for a lock: SQLite's own waiting sleeps longer and longer, up to 100 ms, and never
// meets the moment in which a busy writer has let go.
int SqliteDatabase::wait_for_lock(void* deadline, int tries) {
  const auto& until = *static_cast<const Deadline*>(deadline);
  if (until ? std::chrono::steady_clock::now() >= *until : tries >= kBusyPauses) return 0;
  std::this_thread::sleep_for(kBusyPause);
  return 1;
}

void SqliteDatabase::wait_until(std::chrono::steady_clock::time_point deadline) {
  *deadline_ = deadline;
}

Result<std::int64_t> SqliteDatabase::data_version() { return ask_number("PRAGMA data_version"); }

void SqliteDatabase::empty_log() {
  sqlite3_wal_checkpoint_v2(database_.get(), nullptr, SQLITE_CHECKPOINT_TRUNCATE, nullptr, nullptr);
}

// A file that somebody has tampered with can hold wrong values, but nothing that runs.
Result<void> SqliteDatabase::harden() {
  sqlite3* const database = database_.get();
  sqlite3_extended_result_codes(database, 1);
  sqlite3_busy_handler(database, wait_for_lock, deadline_.get());
  for (const int off : {SQLITE_DBCONFIG_TRUSTED_SCHEMA, SQLITE_DBCONFIG_ENABLE_TRIGGER,
                        SQLITE_DBCONFIG_ENABLE_VIEW}) {
    SLUICE_CHECK(sqlite_checked(*names_, sqlite3_db_config(database, off, 0, nullptr)));
  }
  SLUICE_CHECK(
      sqlite_checked(*names_, sqlite3_db_config(database, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr)));
  return run("PRAGMA cell_size_check = ON");
}

Result<void> SqliteDatabase::use_wal() {
  SLUICE_TRY(auto mode, prepare("PRAGMA journal_mode = WAL"));
  SLUICE_TRY(const bool row, mode.step());
  if (!row || mode.column(0) != "wal") {
    return unusable_file(
        *names_,
        "cannot be kept there: its file system has no shared memory; give it a local disk");
  }
  sqlite3_wal_hook(database_.get(), shorten_log, nullptr);
  // What a burst has made of the log is given back.
  return run("PRAGMA journal_size_limit = 16777216");
}

Result<void> SqliteDatabase::check_version(const SqliteLayout& layout) {
  SLUICE_TRY(const auto application, ask_number("PRAGMA application_id"));
  if (application != layout.application) {
    return bad_file(*names_, "cannot be read (its file is a database of another program)");
  }
  SLUICE_TRY(const auto version, ask_number("PRAGMA user_version"));
  const auto known = static_cast<std::int64_t>(layout.steps.size());
  if (version > known) {
    return fail(names_->bad_code, names_->bad,
                std::string(names_->what) + " was written by a newer Sluice (layout " +
                    std::to_string(version) + ", this one knows those up to " +
                    std::to_string(known) +
                    "); start that one, or give this one a directory of its own");
  }
  return {};
}

Result<void> SqliteDatabase::check_all() {
  SLUICE_TRY(auto damage, prepare("PRAGMA quick_check(1)"));
  SLUICE_TRY(const bool row, damage.step());
  if (!row || damage.column(0) != "ok") return bad_file(*names_, "is damaged");
  return {};
}

Result<void> SqliteDatabase::upgrade(const SqliteLayout& layout) {
  SLUICE_TRY(auto transaction, begin(Survives::kPowerCut));
  // Read in it: another process may have done it while this one waited.
  SLUICE_TRY(const auto version, ask_number("PRAGMA user_version"));
  const auto known = static_cast<std::int64_t>(layout.steps.size());
  if (version >= known) return {};
  for (auto step = version; step < known; ++step) {
    const char* const sql = layout.steps[static_cast<std::size_t>(step)];
    SLUICE_CHECK(
        sqlite_checked(*names_, sqlite3_exec(database_.get(), sql, nullptr, nullptr, nullptr)));
  }
  // Pragmas take no parameters; these are numbers of ours.
  SLUICE_CHECK(run("PRAGMA application_id = " + std::to_string(layout.application)));
  SLUICE_CHECK(run("PRAGMA user_version = " + std::to_string(known)));
  return transaction.commit();
}

Result<SqliteStatement> SqliteDatabase::prepare(std::string_view sql) {
  sqlite3_stmt* prepared = nullptr;
  SLUICE_CHECK(sqlite_checked(
      *names_, sqlite3_prepare_v2(database_.get(), sql.data(), static_cast<int>(sql.size()),
                                  &prepared, nullptr)));
  return SqliteStatement(prepared, *names_);
}

// One connection and a pragma, and not two connections: a database in memory has only one, and a
// second one would wait for the first through file locks. The pragma only sets a flag, which the
// next commit looks at; a commit that is written through carries all before it along.
Result<SqliteTransaction> SqliteDatabase::begin(Survives survives) {
  if (survives != survives_) {
    SLUICE_CHECK(run(survives == Survives::kPowerCut ? "PRAGMA synchronous = FULL"
                                                     : "PRAGMA synchronous = NORMAL"));
    survives_ = survives;
  }
  SLUICE_CHECK(run("BEGIN IMMEDIATE"));
  return SqliteTransaction(database_.get(), *names_);
}

Result<SqliteTransaction> SqliteDatabase::begin_reading() {
  SLUICE_CHECK(run("BEGIN"));
  return SqliteTransaction(database_.get(), *names_);
}

Result<void> SqliteDatabase::run(std::string_view sql) {
  SLUICE_TRY(auto statement, prepare(sql));
  return statement.run();
}

Result<std::int64_t> SqliteDatabase::ask_number(std::string_view sql) {
  SLUICE_TRY(auto statement, prepare(sql));
  SLUICE_TRY(const bool row, statement.step());
  if (!row) return bad_file(*names_, "cannot be read (it does not say which layout it has)");
  return statement.column_number(0);
}

}  // namespace sluice::clients
