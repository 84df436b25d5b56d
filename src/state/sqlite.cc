#include "state/sqlite.h"

#include <algorithm>
#include <filesystem>
#include <limits>
#include <mutex>

#include "base/private_directory.h"
#include "base/text.h"
#include "clients/sqlite.h"
#include "state/conflict.h"

namespace sluice::state {
namespace {

namespace fs = std::filesystem;
using clients::SqliteDatabase;
using clients::SqliteStatement;
using clients::Survives;

// A document that was removed stays as a row without a body: it keeps the revision.
constexpr const char* kFirstLayout = R"sql(
CREATE TABLE documents (
  kind TEXT NOT NULL, key TEXT NOT NULL, revision INTEGER NOT NULL, body TEXT,
  PRIMARY KEY (kind, key)) STRICT;
CREATE TABLE saved (
  kind TEXT NOT NULL, key TEXT NOT NULL, body TEXT NOT NULL,
  PRIMARY KEY (kind, key)) STRICT;
CREATE TABLE entries (
  number INTEGER PRIMARY KEY, journal TEXT NOT NULL, key TEXT NOT NULL, body TEXT NOT NULL) STRICT;
CREATE INDEX entries_by_journal ON entries (journal, key, number);
CREATE TABLE blobs (
  kind TEXT NOT NULL, key TEXT NOT NULL, number INTEGER NOT NULL, bytes BLOB NOT NULL,
  PRIMARY KEY (kind, key, number)) STRICT;
)sql";

constexpr const char* kSteps[] = {kFirstLayout};
constexpr clients::SqliteLayout kLayout = {0x534c5549, kSteps};  // "SLUI"

// SQLite's integers have a sign. With the highest bit turned over, the whole range keeps its order.
constexpr std::uint64_t kHighestBit = std::uint64_t{1} << 63;
std::int64_t to_column(std::uint64_t number) {
  return static_cast<std::int64_t>(number ^ kHighestBit);
}
std::uint64_t from_column(std::int64_t column) {
  return static_cast<std::uint64_t>(column) ^ kHighestBit;
}

class SqliteStore final : public StateStore {
 public:
  explicit SqliteStore(SqliteDatabase database) : database_(std::move(database)) {}

  Result<std::vector<StoredDocument>> documents(std::string_view kind) override;
  Result<std::optional<StoredDocument>> document(std::string_view kind,
                                                 std::string_view key) override;
  Result<std::uint64_t> put(std::string_view kind, std::string_view key, std::string_view body,
                            std::uint64_t expected,
                            const std::optional<JournalEntry>& entry) override;
  Result<void> remove(std::string_view kind, std::string_view key, std::uint64_t expected,
                      const std::optional<JournalEntry>& entry) override;
  Result<void> save(std::string_view kind, std::string_view key, std::string_view body,
                    std::span<const SavedPiece> pieces) override;
  Result<std::optional<std::string>> saved(std::string_view kind, std::string_view key) override;
  Result<void> forget(std::string_view kind, std::string_view key) override;
  Result<std::vector<std::string>> journal(std::string_view journal, std::string_view key,
                                           std::size_t limit) override;
  Result<void> put_blob(std::string_view kind, std::string_view key, std::uint64_t number,
                        std::string_view bytes) override;
  Result<std::vector<StoredBlob>> blobs(std::string_view kind, std::string_view key) override;
  Result<void> drop_blobs(std::string_view kind, std::string_view key,
                          std::uint64_t below) override;

 private:
  // A row of `documents`, of one that was removed too.
  struct Row {
    std::uint64_t revision = 0;
    bool there = false;
  };

  // With the mutex held.
  Result<Row> row_of(std::string_view kind, std::string_view key);
  Result<Row> expect(std::string_view kind, std::string_view key, std::uint64_t expected);
  Result<void> append(const std::optional<JournalEntry>& entry);
  Result<void> put_piece(std::string_view key, const SavedPiece& piece);

  template <class Bind>
  Result<void> write(std::string_view sql, Bind bind);

  std::mutex mutex_;
  SqliteDatabase database_;  // guarded by mutex_
};

Result<std::vector<StoredDocument>> SqliteStore::documents(std::string_view kind) {
  const std::lock_guard lock(mutex_);
  SLUICE_TRY(auto rows, database_.prepare("SELECT key, revision, body FROM documents "
                                          "WHERE kind = ? AND body IS NOT NULL ORDER BY key"));
  rows.text(kind);
  std::vector<StoredDocument> out;
  while (true) {
    SLUICE_TRY(const bool row, rows.step());
    if (!row) return out;
    out.push_back(
        {rows.column(0), static_cast<std::uint64_t>(rows.column_number(1)), rows.column(2)});
  }
}

Result<std::optional<StoredDocument>> SqliteStore::document(std::string_view kind,
                                                            std::string_view key) {
  const std::lock_guard lock(mutex_);
  SLUICE_TRY(auto rows, database_.prepare("SELECT revision, body FROM documents "
                                          "WHERE kind = ? AND key = ? AND body IS NOT NULL"));
  SLUICE_TRY(const bool row, rows.text(kind).text(key).step());
  if (!row) return std::nullopt;
  return StoredDocument{std::string(key), static_cast<std::uint64_t>(rows.column_number(0)),
                        rows.column(1)};
}

Result<std::uint64_t> SqliteStore::put(std::string_view kind, std::string_view key,
                                       std::string_view body, std::uint64_t expected,
                                       const std::optional<JournalEntry>& entry) {
  const std::lock_guard lock(mutex_);
  SLUICE_TRY(auto transaction, database_.begin(Survives::kPowerCut));
  SLUICE_TRY(const auto before, expect(kind, key, expected));
  const auto revision = before.revision + 1;
  SLUICE_TRY(auto change,
             database_.prepare("INSERT INTO documents (kind, key, revision, body) "
                               "VALUES (?, ?, ?, ?) ON CONFLICT (kind, key) DO UPDATE "
                               "SET revision = excluded.revision, body = excluded.body"));
  change.text(kind).text(key).number(static_cast<std::int64_t>(revision)).text(body);
  SLUICE_CHECK(change.run());
  SLUICE_CHECK(append(entry));
  SLUICE_CHECK(transaction.commit());
  return revision;
}

Result<void> SqliteStore::remove(std::string_view kind, std::string_view key,
                                 std::uint64_t expected, const std::optional<JournalEntry>& entry) {
  const std::lock_guard lock(mutex_);
  SLUICE_TRY(auto transaction, database_.begin(Survives::kPowerCut));
  SLUICE_CHECK(expect(kind, key, expected));
  SLUICE_TRY(auto change,
             database_.prepare("UPDATE documents SET body = NULL WHERE kind = ? AND key = ?"));
  SLUICE_CHECK(change.text(kind).text(key).run());
  SLUICE_CHECK(append(entry));
  return transaction.commit();
}

Result<void> SqliteStore::save(std::string_view kind, std::string_view key, std::string_view body,
                               std::span<const SavedPiece> pieces) {
  const std::lock_guard lock(mutex_);
  SLUICE_TRY(auto transaction, database_.begin(Survives::kProcessCrash));
  SLUICE_TRY(auto change,
             database_.prepare("INSERT INTO saved (kind, key, body) VALUES (?, ?, ?) "
                               "ON CONFLICT (kind, key) DO UPDATE SET body = excluded.body"));
  SLUICE_CHECK(change.text(kind).text(key).text(body).run());
  for (const auto& piece : pieces) SLUICE_CHECK(put_piece(key, piece));
  return transaction.commit();
}

Result<std::optional<std::string>> SqliteStore::saved(std::string_view kind, std::string_view key) {
  const std::lock_guard lock(mutex_);
  SLUICE_TRY(auto rows, database_.prepare("SELECT body FROM saved WHERE kind = ? AND key = ?"));
  SLUICE_TRY(const bool row, rows.text(kind).text(key).step());
  if (!row) return std::nullopt;
  return rows.column(0);
}

Result<void> SqliteStore::forget(std::string_view kind, std::string_view key) {
  return write("DELETE FROM saved WHERE kind = ? AND key = ?",
               [&](SqliteStatement& change) { change.text(kind).text(key); });
}

Result<std::vector<std::string>> SqliteStore::journal(std::string_view journal,
                                                      std::string_view key, std::size_t limit) {
  const std::lock_guard lock(mutex_);
  SLUICE_TRY(auto rows,
             database_.prepare("SELECT body FROM (SELECT number, body FROM entries "
                               "WHERE journal = ? AND key = ? ORDER BY number DESC LIMIT ?) "
                               "ORDER BY number"));
  constexpr std::size_t kMost = std::numeric_limits<std::int64_t>::max();
  rows.text(journal).text(key).number(static_cast<std::int64_t>(std::min(limit, kMost)));
  std::vector<std::string> out;
  while (true) {
    SLUICE_TRY(const bool row, rows.step());
    if (!row) return out;
    out.push_back(rows.column(0));
  }
}

Result<void> SqliteStore::put_blob(std::string_view kind, std::string_view key,
                                   std::uint64_t number, std::string_view bytes) {
  const std::lock_guard lock(mutex_);
  SLUICE_TRY(auto transaction, database_.begin(Survives::kProcessCrash));
  SLUICE_CHECK(put_piece(key, {kind, number, bytes}));
  return transaction.commit();
}

Result<std::vector<StoredBlob>> SqliteStore::blobs(std::string_view kind, std::string_view key) {
  const std::lock_guard lock(mutex_);
  SLUICE_TRY(auto rows, database_.prepare("SELECT number, bytes FROM blobs "
                                          "WHERE kind = ? AND key = ? ORDER BY number"));
  rows.text(kind).text(key);
  std::vector<StoredBlob> out;
  while (true) {
    SLUICE_TRY(const bool row, rows.step());
    if (!row) return out;
    out.push_back({from_column(rows.column_number(0)), rows.column(1)});
  }
}

Result<void> SqliteStore::drop_blobs(std::string_view kind, std::string_view key,
                                     std::uint64_t below) {
  return write(
      "DELETE FROM blobs WHERE kind = ? AND key = ? AND number < ?",
      [&](SqliteStatement& change) { change.text(kind).text(key).number(to_column(below)); });
}

Result<SqliteStore::Row> SqliteStore::row_of(std::string_view kind, std::string_view key) {
  SLUICE_TRY(auto rows, database_.prepare("SELECT revision, body IS NOT NULL FROM documents "
                                          "WHERE kind = ? AND key = ?"));
  SLUICE_TRY(const bool row, rows.text(kind).text(key).step());
  if (!row) return Row{};
  return Row{static_cast<std::uint64_t>(rows.column_number(0)), rows.column_number(1) != 0};
}

Result<SqliteStore::Row> SqliteStore::expect(std::string_view kind, std::string_view key,
                                             std::uint64_t expected) {
  SLUICE_TRY(const auto row, row_of(kind, key));
  const auto there = row.there ? row.revision : 0;
  if (there != expected) return revision_conflict(key, there, expected);
  return row;
}

Result<void> SqliteStore::append(const std::optional<JournalEntry>& entry) {
  if (!entry) return {};
  SLUICE_TRY(auto added,
             database_.prepare("INSERT INTO entries (journal, key, body) VALUES (?, ?, ?)"));
  return added.text(entry->journal).text(entry->key).text(entry->body).run();
}

Result<void> SqliteStore::put_piece(std::string_view key, const SavedPiece& piece) {
  SLUICE_TRY(auto change,
             database_.prepare("INSERT INTO blobs (kind, key, number, bytes) VALUES (?, ?, ?, ?) "
                               "ON CONFLICT (kind, key, number) DO UPDATE "
                               "SET bytes = excluded.bytes"));
  return change.text(piece.kind).text(key).number(to_column(piece.number)).bytes(piece.bytes).run();
}

// One change alone, which need not wait for the disk. Takes the mutex.
template <class Bind>
Result<void> SqliteStore::write(std::string_view sql, Bind bind) {
  const std::lock_guard lock(mutex_);
  SLUICE_TRY(auto transaction, database_.begin(Survives::kProcessCrash));
  SLUICE_TRY(auto change, database_.prepare(sql));
  bind(change);
  SLUICE_CHECK(change.run());
  return transaction.commit();
}

Result<void> make_directory(const fs::path& directory) {
  const auto error = make_private_directory(directory);
  if (!error) return {};
  return unavailable("state_unavailable",
                     "the state's directory cannot be made: " + error.message() +
                         "; name one that the server may write");
}

}  // namespace

Result<std::unique_ptr<StateStore>> open_sqlite(const std::string& where) {
  if (where == ":memory:") {
    SLUICE_TRY(auto database, SqliteDatabase::in_memory(kLayout));
    return std::make_unique<SqliteStore>(std::move(database));
  }
  // Without "/" at the end, which would count as a part of its own.
  fs::path directory = where;
  if (!directory.has_filename()) directory = directory.parent_path();
  SLUICE_CHECK(make_directory(directory));
  SLUICE_TRY(auto database, SqliteDatabase::in_file(directory / "sluice.db", kLayout));
  return std::make_unique<SqliteStore>(std::move(database));
}

}  // namespace sluice::state
