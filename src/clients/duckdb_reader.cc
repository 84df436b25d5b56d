#include <algorithm>
#include <limits>
#include <map>

#include "base/name_list.h"
#include "base/text.h"
#include "clients/duckdb.h"
#include "clients/duckdb_engine.h"
#include "clients/duckdb_errors.h"
#include "clients/duckdb_files.h"

namespace sluice::clients {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kShownNames = 20;

// ---- what is asked of the engine ---------------------------------------------------------------

bool is_number(std::string_view type) {
  constexpr std::string_view kNumbers[] = {
      "BOOLEAN",   "TINYINT",  "SMALLINT", "INTEGER",  "BIGINT", "HUGEINT", "UTINYINT",
      "USMALLINT", "UINTEGER", "UBIGINT",  "UHUGEINT", "FLOAT",  "DOUBLE"};
  if (type.starts_with("DECIMAL(") && type.ends_with(')')) return true;
  return std::ranges::find(kNumbers, type) != std::end(kNumbers);
}

// As which type a column of a text file is to be parsed. Booleans are words there, and become
// numbers only afterwards.
std::string parsed_type(const TableColumn& column) {
  if (column.kind == ColumnKind::kText) return "VARCHAR";
  return column.stored == "BOOLEAN" ? "BOOLEAN" : "DOUBLE";
}

// A column may be wanted twice, and as two kinds: a text can still become a number, but not back.
std::string types_of(std::span<const TableColumn> columns) {
  std::map<std::string_view, std::string> types;
  for (const auto& column : columns) {
    const auto type = parsed_type(column);
    const auto [at, is_new] = types.emplace(column.name, type);
    if (!is_new && type == "VARCHAR") at->second = type;
  }
  std::string out;
  for (const auto& [name, type] : types) {
    out += (out.empty() ? "{" : ", ") + quoted_text(name) + ": '" + type + "'";
  }
  return out + "}";
}

// The table of a file, with the types of its columns as given, or found where none is.
std::string source_of(const OpenTable& table, std::span<const TableColumn> columns) {
  const std::string file = quoted_text(descriptor_path(table.fd));
  switch (table.format) {
    case TableFormat::kParquet: return "read_parquet(" + file + ")";
    case TableFormat::kCsv:
      // Nothing is guessed but the types: a guess that is wrong gives wrong rows and no error.
      // Dates are no candidates, so that they stay as they are written.
      return "read_csv(" + file +
             ", header = true, skip = 0, delim = ',', quote = '\"', escape = '\"', comment = ''"
             ", compression = 'none', auto_type_candidates = ['BOOLEAN', 'DOUBLE', 'VARCHAR']" +
             (columns.empty() ? "" : ", types = " + types_of(columns)) + ")";
    case TableFormat::kJsonLines: break;
  }
  return "read_json(" + file + ", format = 'newline_delimited', records = true" +
         ", compression = 'uncompressed', " +
         (columns.empty() ? "sample_size = -1" : "columns = " + types_of(columns)) + ")";
}

std::string query_of(const OpenTable& table, std::span<const TableColumn> columns) {
  std::string out;
  for (const auto& column : columns) {
    std::string value = quoted_name(column.name);
    const bool number = column.kind == ColumnKind::kNumber;
    // It may have been parsed as a text, where it is wanted as one too.
    if (number && column.stored == "BOOLEAN") value = "CAST(" + value + " AS BOOLEAN)";
    value = "CAST(" + value + " AS " + (number ? "DOUBLE)" : "VARCHAR)");
    out += (out.empty() ? "SELECT " : ", ") + value;
  }
  return out + " FROM " + source_of(table, columns);
}

// ---- cells -------------------------------------------------------------------------------------

std::string_view text_of(const void* data, std::size_t row) {
  const auto& cell = static_cast<const duckdb_string_t*>(data)[row];
  const std::uint32_t length = cell.value.inlined.length;
  const bool inlined = length <= sizeof(cell.value.inlined.inlined);
  return {inlined ? cell.value.inlined.inlined : cell.value.pointer.ptr, length};
}

// Every row of a statement that gives texts, as many as `columns`; none to see whether it succeeds.
DuckdbResult<std::vector<std::vector<std::string>>> all_texts(DuckdbConnection& connection,
                                                              const std::string& sql,
                                                              std::size_t columns) {
  auto rows = connection.stream(sql);
  if (!rows) return std::unexpected(rows.error());
  std::vector<std::vector<std::string>> out;
  const auto& library = connection.library();
  while (true) {
    const auto chunk = rows->fetch();
    if (!chunk) return std::unexpected(chunk.error());
    if (!chunk->get()) return out;
    const auto count = library.data_chunk_get_size(chunk->get());
    for (idx_t row = 0; columns > 0 && row < count; ++row) {
      auto& cells = out.emplace_back();
      for (idx_t column = 0; column < columns; ++column) {
        const auto vector = library.data_chunk_get_vector(chunk->get(), column);
        cells.emplace_back(text_of(library.vector_get_data(vector), row));
      }
    }
  }
}

// ---- columns -----------------------------------------------------------------------------------

Failure unknown_column(const fs::path& file, std::span<const TableColumn> there,
                       std::string_view name) {
  std::vector<std::string_view> names;
  for (const auto& column : there) names.push_back(column.name);
  return invalid("unknown_column", shown_name(file) + " has no column '" + printable(name) + "'" +
                                       did_you_mean(name, names) + "; it has " +
                                       name_list(names, kShownNames));
}

const TableColumn* find_column(std::span<const TableColumn> columns, std::string_view name) {
  const auto at = std::ranges::find(columns, name, &TableColumn::name);
  return at == columns.end() ? nullptr : &*at;
}

Result<std::vector<TableColumn>> choose(const fs::path& file, std::span<const TableColumn> there,
                                        std::span<const WantedColumn> wanted) {
  std::vector<TableColumn> out;
  for (const auto& one : wanted) {
    const auto* const found = find_column(there, one.name);
    if (!found) return unknown_column(file, there, one.name);
    const bool convertible =
        found->kind == ColumnKind::kNumber || found->stored == "VARCHAR" || found->stored == "JSON";
    if (one.kind == ColumnKind::kNumber && !convertible) {
      return invalid("bad_column", "column '" + printable(one.name) + "' of " + shown_name(file) +
                                       " is a " + printable(found->stored) +
                                       " and cannot be read as numbers; read it as text, or "
                                       "leave it out");
    }
    out.push_back(*found);
    out.back().kind = one.kind.value_or(found->kind);
  }
  return out;
}

}  // namespace

std::string_view TableChunk::text(std::size_t column, std::size_t row) const {
  if (is_null(column, row)) return {};
  return text_of(columns_[column].data, row);
}

struct TableReader::Impl {
  explicit Impl(DuckdbConnection connection) : connection(std::move(connection)) {}

  Result<void> open(const fs::path& pattern, std::span<const WantedColumn> wanted);
  Result<std::optional<TableChunk>> next();

  Result<std::vector<TableColumn>> describe(const OpenTable& table);
  Result<std::uint64_t> count(const OpenTable& table);
  Result<void> start_file();
  Result<void> end_file();
  TableChunk wrap(Held<duckdb_data_chunk> chunk) const;

  DuckdbConnection connection;
  TableFormat format{};
  std::vector<fs::path> files;
  std::vector<TableColumn> columns;
  std::vector<std::uint64_t> counts;  // of the files, where they are known
  std::size_t begun = 0;              // files that have been opened for their rows
  std::optional<OpenTable> table;     // the one that is being read, and
  std::optional<DuckdbRows> stream;   // its rows
  std::uint64_t rows_of_file = 0;     // read so far
};

Result<std::vector<TableColumn>> TableReader::Impl::describe(const OpenTable& described) {
  auto rows = all_texts(connection, "DESCRIBE SELECT * FROM " + source_of(described, {}), 2);
  if (!rows && format == TableFormat::kJsonLines) {
    // Only when it is read for a column it is told which line is not an object.
    const TableColumn any{"any", ColumnKind::kText, "VARCHAR"};
    auto read = all_texts(connection, query_of(described, {&any, 1}), 0);
    if (!read) rows = std::move(read);
  }
  if (!rows) return read_failure(rows.error(), described, connection.engine().limits);
  std::vector<TableColumn> out;
  for (const auto& row : *rows) {
    // A statement ends at a zero.
    if (row[0].find('\0') != std::string::npos || !is_utf8(row[0])) {
      return invalid("bad_table", shown_name(described.file) +
                                      " has a column whose name is not a "
                                      "text; give it another");
    }
    out.push_back({row[0], is_number(row[1]) ? ColumnKind::kNumber : ColumnKind::kText, row[1]});
  }
  return out;
}

Result<std::uint64_t> TableReader::Impl::count(const OpenTable& counted) {
  const auto rows = all_texts(connection,
                              "SELECT CAST(num_rows AS VARCHAR) FROM parquet_file_metadata(" +
                                  quoted_text(descriptor_path(counted.fd)) + ")",
                              1);
  if (!rows) return read_failure(rows.error(), counted, connection.engine().limits);
  const auto number = rows->size() == 1 ? parse_uint((*rows)[0][0]) : std::nullopt;
  if (number) return *number;
  return invalid("bad_table",
                 shown_name(counted.file) + " does not say how many rows it has; write it again");
}

Result<void> TableReader::Impl::open(const fs::path& pattern,
                                     std::span<const WantedColumn> wanted) {
  SLUICE_TRY(format, table_format(pattern));
  SLUICE_TRY(files, table_files(pattern));
  SLUICE_TRY(const auto first, open_table(files.front(), format));
  SLUICE_TRY(columns, describe(first));
  if (!wanted.empty()) {
    SLUICE_TRY(columns, choose(first.file, columns, wanted));
  }
  if (format != TableFormat::kParquet) return {};
  for (const auto& file : files) {
    SLUICE_TRY(const auto opened, open_table(file, format));
    SLUICE_TRY(const auto rows, count(opened));
    counts.push_back(rows);
  }
  return {};
}

// The first file may have changed since it was described, and others are seen for the first time.
Result<void> TableReader::Impl::start_file() {
  SLUICE_TRY(table, open_table(files[begun], format));
  if (format != TableFormat::kJsonLines) {
    SLUICE_TRY(const auto there, describe(*table));
    std::vector<WantedColumn> same;
    for (const auto& column : columns) same.push_back({column.name, column.kind});
    SLUICE_CHECK(choose(table->file, there, same));
  }
  auto rows = connection.stream(query_of(*table, columns));
  if (!rows) return read_failure(rows.error(), *table, connection.engine().limits);
  stream = std::move(*rows);
  rows_of_file = 0;
  ++begun;
  return {};
}

Result<void> TableReader::Impl::end_file() {
  const auto file = std::move(table->file);
  stream.reset();
  table.reset();
  if (counts.empty() || counts[begun - 1] == rows_of_file) return {};
  return unavailable("changing",
                     shown_name(file) +
                         " has not as many rows as it says: it was changed while it was "
                         "read, or is damaged; read it again when nobody writes it");
}

TableChunk TableReader::Impl::wrap(Held<duckdb_data_chunk> held) const {
  const auto& library = connection.library();
  const auto owner = std::make_shared<Held<duckdb_data_chunk>>(std::move(held));
  TableChunk chunk;
  chunk.owner_ = owner;
  chunk.rows_ = library.data_chunk_get_size(owner->get());
  for (std::size_t index = 0; index < columns.size(); ++index) {
    const auto vector = library.data_chunk_get_vector(owner->get(), index);
    void* const data = library.vector_get_data(vector);
    chunk.columns_.push_back({data, library.vector_get_validity(vector)});
    if (columns[index].kind == ColumnKind::kText || !chunk.columns_.back().valid) continue;
    for (std::size_t row = 0; row < chunk.rows_; ++row) {
      // What is in the place of a null is anything.
      if (chunk.is_null(index, row)) {
        static_cast<double*>(data)[row] = std::numeric_limits<double>::quiet_NaN();
      }
    }
  }
  return chunk;
}

Result<std::optional<TableChunk>> TableReader::Impl::next() {
  while (true) {
    if (!stream) {
      if (begun == files.size()) return std::nullopt;
      SLUICE_CHECK(start_file());
    }
    auto chunk = stream->fetch();
    if (!chunk) return read_failure(chunk.error(), *table, connection.engine().limits);
    if (chunk->get()) {
      rows_of_file += connection.library().data_chunk_get_size(chunk->get());
      return wrap(std::move(*chunk));
    }
    SLUICE_CHECK(end_file());
  }
}

TableReader::TableReader(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TableReader::TableReader(TableReader&&) noexcept = default;
TableReader& TableReader::operator=(TableReader&&) noexcept = default;
TableReader::~TableReader() = default;

std::span<const TableColumn> TableReader::columns() const { return impl_->columns; }

std::optional<std::uint64_t> TableReader::rows() const {
  if (impl_->format != TableFormat::kParquet) return std::nullopt;
  std::uint64_t sum = 0;
  for (const auto count : impl_->counts) sum += count;
  return sum;
}

Result<std::optional<TableChunk>> TableReader::next() {
  auto chunk = impl_->next();
  if (!chunk) {
    impl_->stream.reset();
    impl_->begun = impl_->files.size();
  }
  return chunk;
}

Result<TableReader> Duckdb::read(const std::filesystem::path& files,
                                 std::span<const WantedColumn> wanted) const {
  SLUICE_TRY(auto connection, DuckdbConnection::open(engine_));
  auto impl = std::make_unique<TableReader::Impl>(std::move(connection));
  SLUICE_CHECK(impl->open(files, wanted));
  return TableReader(std::move(impl));
}

}  // namespace sluice::clients
