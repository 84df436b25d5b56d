#include "clients/duckdb_session.h"

#include "base/text.h"
#include "clients/duckdb_engine.h"
#include "clients/duckdb_errors.h"
#include "clients/duckdb_table.h"

namespace sluice::clients {
namespace {

constexpr std::size_t kMostWords = 300;

std::string_view text_at(const void* data, std::size_t place) {
  const auto& cell = static_cast<const duckdb_string_t*>(data)[place];
  const std::uint32_t length = cell.value.inlined.length;
  const bool inlined = length <= sizeof(cell.value.inlined.inlined);
  return {inlined ? cell.value.inlined.inlined : cell.value.pointer.ptr, length};
}

// What is said of a statement before any row is read: names and types, no values.
bool of_statement(std::string_view words) {
  return words.starts_with("Parser") || words.starts_with("Binder") ||
         words.starts_with("Catalog") || words.starts_with("Syntax");
}

Failure failure_of(const DuckdbError& error, const SqlSubject& subject,
                   const DuckdbLimits& limits) {
  // What is said of how the reader of JSON was called is of the file.
  if (of_statement(error.words) && !error.words.contains("json_read")) {
    auto words = std::string_view(error.words);
    words = words.substr(0, words.find('\n'));
    constexpr std::string_view kKind = " Error: ";
    if (const auto kind = words.find(kKind); kind != words.npos) {
      words.remove_prefix(kind + kKind.size());
    }
    return invalid("bad_sql", printable(words, kMostWords));
  }
  const OpenTable table{Fd(), subject.file, subject.format};
  return read_failure(error, table, limits, subject.first_row - 1);
}

}  // namespace

std::string sql_name(std::string_view name) { return quoted_name(name); }
std::string sql_text(std::string_view text) { return quoted_text(text); }
std::string sql_file(const Fd& fd) { return quoted_text(descriptor_path(fd)); }

std::string_view SqlChunk::text(std::size_t column, std::size_t row) const {
  return is_null(column, row) ? std::string_view() : text_at(columns_[column].data, row);
}

SqlChunk::List SqlChunk::list(std::size_t column, std::size_t row) const {
  const auto& entry = static_cast<const duckdb_list_entry*>(columns_[column].data)[row];
  return {static_cast<std::size_t>(entry.offset), static_cast<std::size_t>(entry.length)};
}

std::string_view SqlChunk::list_text(std::size_t column, std::size_t element) const {
  return gap(column, element) ? std::string_view() : text_at(columns_[column].child, element);
}

struct SqlRows::Impl {
  std::shared_ptr<DuckdbConnection> connection;
  DuckdbRows rows;
  std::vector<bool> lists;
  SqlSubject subject;
};

SqlRows::SqlRows(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
SqlRows::SqlRows(SqlRows&&) noexcept = default;
SqlRows& SqlRows::operator=(SqlRows&&) noexcept = default;
SqlRows::~SqlRows() = default;

Result<std::optional<SqlChunk>> SqlRows::next() {
  const auto& library = impl_->connection->library();
  auto fetched = impl_->rows.fetch();
  if (!fetched) {
    return failure_of(fetched.error(), impl_->subject, impl_->connection->engine().limits);
  }
  if (!fetched->get()) return std::nullopt;
  const auto owner = std::make_shared<Held<duckdb_data_chunk>>(std::move(*fetched));
  SqlChunk chunk;
  chunk.owner_ = owner;
  chunk.rows_ = library.data_chunk_get_size(owner->get());
  for (std::size_t index = 0; index < impl_->lists.size(); ++index) {
    const auto vector = library.data_chunk_get_vector(owner->get(), index);
    SqlChunk::Column column{library.vector_get_data(vector), library.vector_get_validity(vector)};
    if (impl_->lists[index]) {
      const auto child = library.list_vector_get_child(vector);
      column.child = library.vector_get_data(child);
      column.child_valid = library.vector_get_validity(child);
    }
    chunk.columns_.push_back(column);
  }
  return chunk;
}

struct DuckdbSession::Impl {
  std::shared_ptr<DuckdbConnection> connection;
  // Rows that are read while a table is filled: whatever else a connection does, writing out the
  // rows of a table among it, ends the rows that it was giving, without a word.
  std::shared_ptr<DuckdbConnection> reading;
};

DuckdbSession::DuckdbSession(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
DuckdbSession::DuckdbSession(DuckdbSession&&) noexcept = default;
DuckdbSession& DuckdbSession::operator=(DuckdbSession&&) noexcept = default;
DuckdbSession::~DuckdbSession() = default;

Result<DuckdbSession> DuckdbSession::open(const Duckdb& engine) {
  SLUICE_TRY(auto connection, DuckdbConnection::open(engine.engine_));
  SLUICE_TRY(auto reading, DuckdbConnection::open(engine.engine_));
  return DuckdbSession(
      std::make_unique<Impl>(std::make_shared<DuckdbConnection>(std::move(connection)),
                             std::make_shared<DuckdbConnection>(std::move(reading))));
}

Result<void> DuckdbSession::run(const std::string& sql, const SqlSubject& subject) {
  const auto done = impl_->connection->run(sql);
  if (done) return {};
  return failure_of(done.error(), subject, impl_->connection->engine().limits);
}

Result<SqlRows> DuckdbSession::rows(const std::string& sql, std::vector<bool> lists,
                                    const SqlSubject& subject) {
  auto stream = impl_->reading->stream(sql);
  if (!stream) return failure_of(stream.error(), subject, impl_->reading->engine().limits);
  return SqlRows(std::make_unique<SqlRows::Impl>(impl_->reading, std::move(*stream),
                                                 std::move(lists), subject));
}

Result<std::vector<std::vector<std::string>>> DuckdbSession::texts(const std::string& sql,
                                                                   std::size_t columns,
                                                                   const SqlSubject& subject) {
  SLUICE_TRY(auto stream, rows(sql, std::vector<bool>(columns), subject));
  std::vector<std::vector<std::string>> out;
  while (true) {
    SLUICE_TRY(const auto chunk, stream.next());
    if (!chunk) return out;
    for (std::size_t row = 0; row < chunk->rows(); ++row) {
      auto& cells = out.emplace_back();
      for (std::size_t column = 0; column < columns; ++column) {
        cells.emplace_back(chunk->text(column, row));
      }
    }
  }
}

Result<std::vector<SqlColumn>> DuckdbSession::describe(const std::string& select,
                                                       const SqlSubject& subject) {
  SLUICE_TRY(auto found, texts("DESCRIBE " + select, 2, subject));
  std::vector<SqlColumn> out;
  for (auto& row : found) {
    // A statement ends at a zero.
    if (row[0].contains('\0') || !is_utf8(row[0])) {
      return invalid("bad_table", shown_name(subject.file) +
                                      " has a column whose name is not a text; give it another");
    }
    out.push_back({std::move(row[0]), std::move(row[1])});
  }
  return out;
}

Result<TableWriter> DuckdbSession::fill(const std::string& table, std::vector<NewColumn> columns) {
  auto impl = std::make_unique<TableWriter::Impl>(impl_->connection, table, "the output",
                                                  std::move(columns));
  SLUICE_CHECK(impl->open());
  return TableWriter(std::move(impl));
}

}  // namespace sluice::clients
