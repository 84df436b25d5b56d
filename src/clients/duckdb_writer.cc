#include <algorithm>
#include <set>

#include "base/text.h"
#include "clients/duckdb.h"
#include "clients/duckdb_files.h"
#include "clients/duckdb_table.h"

namespace sluice::clients {
namespace {

namespace fs = std::filesystem;

// An appender keeps 204,800 rows, however long, before it gives them to the table, and only what
// the table has counts against the limit of memory.
constexpr std::uint64_t kMostAppended = std::uint64_t{4} << 20;  // bytes

constexpr idx_t kChunkRows = 2048;  // the library's own size of a vector

const char* sql_type(CellType type) {
  switch (type) {
    case CellType::kTruth: return "BOOLEAN";
    case CellType::kInteger: return "BIGINT";
    case CellType::kReal: return "DOUBLE";
    case CellType::kText: return "VARCHAR";
    case CellType::kTime: return "TIMESTAMP";
    case CellType::kFloats: return "FLOAT[]";
    case CellType::kReals: break;
  }
  return "DOUBLE[]";
}

Held<duckdb_logical_type> logical_type(const DuckdbLibrary& library, CellType type) {
  const auto plain = [&](duckdb_type of) {
    return Held(library.destroy_logical_type, library.create_logical_type(of));
  };
  const auto list = [&](duckdb_type of) {
    return Held(library.destroy_logical_type, library.create_list_type(plain(of).get()));
  };
  switch (type) {
    case CellType::kTruth: return plain(DUCKDB_TYPE_BOOLEAN);
    case CellType::kInteger: return plain(DUCKDB_TYPE_BIGINT);
    case CellType::kReal: return plain(DUCKDB_TYPE_DOUBLE);
    case CellType::kText: return plain(DUCKDB_TYPE_VARCHAR);
    case CellType::kTime: return plain(DUCKDB_TYPE_TIMESTAMP);
    case CellType::kFloats: return list(DUCKDB_TYPE_FLOAT);
    case CellType::kReals: break;
  }
  return list(DUCKDB_TYPE_DOUBLE);
}

Result<void> check_columns(const fs::path& file, std::span<const NewColumn> columns) {
  if (columns.empty()) {
    return invalid("bad_column", shown_name(file) + " would have no columns; give it one");
  }
  std::set<std::string> names;
  for (const auto& column : columns) {
    if (column.name.empty() || !is_utf8(column.name) || column.name.contains('\0')) {
      return invalid("bad_column", "the name of a column of " + shown_name(file) +
                                       " is empty or not a text in UTF-8; expected one");
    }
    std::string lower = column.name;
    for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    if (!names.insert(lower).second) {
      return invalid("bad_column", shown_name(file) + " would have two columns '" +
                                       printable(column.name) +
                                       "', upper and lower case being the same; rename one");
    }
  }
  return {};
}

}  // namespace

Failure TableWriter::Impl::failure(const DuckdbError& error) const {
  if (auto of_engine = engine_failure(error, connection->engine().limits)) return *of_engine;
  return unavailable("unwritable",
                     shown + " cannot be written; check that its disk has room, and try again");
}

Result<void> TableWriter::Impl::open() {
  std::string sql;
  for (const auto& column : columns) {
    sql += (sql.empty() ? "" : ", ") + quoted_name(column.name) + " " + sql_type(column.type);
  }
  // A table of this connection alone, gone with it.
  const auto done =
      connection->run("CREATE OR REPLACE TEMP TABLE " + quoted_name(table) + " (" + sql + ")");
  if (!done) return failure(done.error());
  if (connection->library().appender_create_ext(connection->get(), "temp", nullptr, table.c_str(),
                                                appender.out()) != DuckDBSuccess) {
    return failure(appender_error());
  }
  return start_chunk();
}

DuckdbError TableWriter::Impl::appender_error() const {
  const auto& library = connection->library();
  Held<duckdb_error_data> data(library.destroy_error_data,
                               library.appender_error_data(appender.get()));
  return duckdb_error(library.error_data_message(data.get()));
}

Result<void> TableWriter::Impl::start_chunk() {
  const auto& library = connection->library();
  std::vector<Held<duckdb_logical_type>> held;
  std::vector<duckdb_logical_type> types;
  for (const auto& column : columns) {
    types.push_back(held.emplace_back(logical_type(library, column.type)).get());
  }
  chunk = Held(library.destroy_data_chunk, library.create_data_chunk(types.data(), types.size()));
  if (!chunk.get()) return internal("the engine for tables makes no room for rows");
  vectors.clear();
  for (idx_t index = 0; index < types.size(); ++index) {
    vectors.push_back(library.data_chunk_get_vector(chunk.get(), index));
  }
  list_sizes.assign(types.size(), 0);
  row = 0;
  return {};
}

Result<void> TableWriter::Impl::flush() {
  if (row == 0) return {};
  const auto& library = connection->library();
  library.data_chunk_set_size(chunk.get(), row);
  if (library.append_data_chunk(appender.get(), chunk.get()) != DuckDBSuccess) {
    return failure(appender_error());
  }
  if (appended >= kMostAppended) {
    if (library.appender_flush(appender.get()) != DuckDBSuccess) {
      return failure(appender_error());
    }
    appended = 0;
  }
  return start_chunk();
}

void TableWriter::Impl::misfit(Failure failure) {
  if (!row_failure) row_failure = std::move(failure);
}

duckdb_vector TableWriter::Impl::cell(CellType type) {
  if (lost || row_failure) return nullptr;
  if (column == columns.size()) {
    misfit(internal("a row for " + shown + " has more cells than columns"));
    return nullptr;
  }
  if (columns[column].type != type) {
    misfit(internal("a cell for the column '" + printable(columns[column].name) + "' of " + shown +
                    " is a " + sql_type(type) + "; expected a " + sql_type(columns[column].type)));
    return nullptr;
  }
  return vectors[column];
}

template <class Value>
void TableWriter::Impl::plain(CellType type, Value value) {
  if (const auto vector = cell(type)) {
    static_cast<Value*>(connection->library().vector_get_data(vector))[row] = value;
    ++column;
  }
}

template <class Value>
void TableWriter::Impl::list(CellType type, std::span<const Value> values) {
  const auto vector = cell(type);
  if (!vector) return;
  const auto& library = connection->library();
  idx_t& size = list_sizes[column];
  if (library.list_vector_reserve(vector, size + values.size()) != DuckDBSuccess ||
      library.list_vector_set_size(vector, size + values.size()) != DuckDBSuccess) {
    return misfit(fail(Code::kResourceExhausted, "too_large",
                       "a list for " + shown + " is too long to be kept"));
  }
  const auto child = library.list_vector_get_child(vector);
  std::ranges::copy(values, static_cast<Value*>(library.vector_get_data(child)) + size);
  static_cast<duckdb_list_entry*>(library.vector_get_data(vector))[row] = {size, values.size()};
  size += values.size();
  appended += values.size_bytes();
  ++column;
}

Result<void> TableWriter::Impl::end_row() {
  if (lost) return *lost;
  if (!row_failure && column < columns.size()) {
    misfit(internal("a row for " + shown + " has fewer cells than columns"));
  }
  if (row_failure) {
    forget_row();
    return *std::exchange(row_failure, std::nullopt);
  }
  column = 0;
  ++row;
  ++rows;
  appended += columns.size() * sizeof(duckdb_string_t);
  if (row < kChunkRows) return {};
  auto flushed = flush();
  if (!flushed) lost = Failure(flushed.error());
  return flushed;
}

// Its place is used again, where a null would be left over.
void TableWriter::Impl::forget_row() {
  const auto& library = connection->library();
  for (const auto vector : vectors) {
    if (auto* const valid = library.vector_get_validity(vector)) {
      library.validity_set_row_valid(valid, row);
    }
  }
  column = 0;
}

Result<void> TableWriter::Impl::finish() {
  if (lost) return *lost;
  lost = Failure(Error{Code::kInternal, "internal", "a table was written to after its end", {}});
  SLUICE_CHECK(flush());
  if (connection->library().appender_close(appender.get()) != DuckDBSuccess) {
    return failure(appender_error());
  }
  if (!draft) return {};
  const auto copied = connection->run("COPY " + quoted_name(table) + " TO " +
                                      quoted_text(descriptor_path(draft->fd())) +
                                      " (FORMAT parquet, COMPRESSION zstd, USE_TMP_FILE false)");
  if (!copied) return failure(copied.error());
  return draft->publish();
}

TableWriter::TableWriter(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TableWriter::TableWriter(TableWriter&&) noexcept = default;
TableWriter& TableWriter::operator=(TableWriter&&) noexcept = default;
TableWriter::~TableWriter() = default;

TableWriter& TableWriter::truth(bool value) {
  impl_->plain(CellType::kTruth, value);
  return *this;
}

TableWriter& TableWriter::integer(std::int64_t value) {
  impl_->plain(CellType::kInteger, value);
  return *this;
}

TableWriter& TableWriter::real(double value) {
  impl_->plain(CellType::kReal, value);
  return *this;
}

TableWriter& TableWriter::text(std::string_view value) {
  const auto vector = impl_->cell(CellType::kText);
  if (!vector) return *this;
  if (!is_utf8(value)) {
    impl_->misfit(invalid("bad_cell", "a text for the column '" +
                                          printable(impl_->columns[impl_->column].name) +
                                          "' is not UTF-8; expected text"));
    return *this;
  }
  impl_->connection->library().vector_assign_string_element_len(
      vector, impl_->row, value.data() ? value.data() : "", value.size());
  impl_->appended += value.size();
  ++impl_->column;
  return *this;
}

TableWriter& TableWriter::time(Time value) {
  impl_->plain(CellType::kTime, static_cast<std::int64_t>(value.time_since_epoch().count()));
  return *this;
}

TableWriter& TableWriter::floats(std::span<const float> values) {
  impl_->list(CellType::kFloats, values);
  return *this;
}

TableWriter& TableWriter::reals(std::span<const double> values) {
  impl_->list(CellType::kReals, values);
  return *this;
}

TableWriter& TableWriter::null() {
  const auto index = std::min(impl_->column, impl_->columns.size() - 1);
  if (const auto vector = impl_->cell(impl_->columns[index].type)) {
    const auto& library = impl_->connection->library();
    library.vector_ensure_validity_writable(vector);
    library.validity_set_row_invalid(library.vector_get_validity(vector), impl_->row);
    ++impl_->column;
  }
  return *this;
}

Result<void> TableWriter::end_row() { return impl_->end_row(); }
std::uint64_t TableWriter::rows() const { return impl_->rows; }
Result<void> TableWriter::finish() { return impl_->finish(); }

Result<TableWriter> Duckdb::write(const std::filesystem::path& file,
                                  std::vector<NewColumn> columns) const {
  SLUICE_CHECK(check_columns(file, columns));
  SLUICE_TRY(auto draft, FileDraft::make(file));
  SLUICE_TRY(auto connection, DuckdbConnection::open(engine_));
  auto shared = std::make_shared<DuckdbConnection>(std::move(connection));
  auto impl = std::make_unique<TableWriter::Impl>(std::move(shared), "rows", shown_name(file),
                                                  std::move(columns));
  impl->draft.emplace(std::move(draft));
  SLUICE_CHECK(impl->open());
  return TableWriter(std::move(impl));
}

}  // namespace sluice::clients
