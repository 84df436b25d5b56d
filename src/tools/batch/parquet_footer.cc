#include "tools/batch/parquet_footer.h"

#include <algorithm>

#include "base/checked.h"
#include "base/text.h"
#include "tools/batch/file_bytes.h"
#include "tools/batch/parquet_fields.h"

namespace sluice::tools {
namespace {

using namespace parquet;

constexpr std::size_t kMagic = kParquetFront;
constexpr std::size_t kTail = kParquetTail;  // the length of the footer and the magic
constexpr std::size_t kLongestFooter = std::size_t{256} << 20;
constexpr std::size_t kNesting = 64;

Failure bad(std::string_view name, std::string_view what) {
  return invalid("bad_table",
                 std::string(name) + " cannot be read as Parquet: " + std::string(what));
}

Failure damaged(std::string_view name, const std::string& what) {
  return bad(name, "its footer is damaged (" + what + "); write the file again");
}

// ---- the bytes ---------------------------------------------------------------------------------

Result<std::string> footer_bytes(const Fd& fd, std::uint64_t size, std::string_view name) {
  if (size < kMagic + kTail) return bad(name, "it is too short; is it whole?");
  SLUICE_TRY(const auto front, read_at(fd, 0, kMagic, name));
  SLUICE_TRY(const auto tail, read_at(fd, size - kTail, kTail, name));
  const auto magic = std::string_view(tail).substr(kTail - kMagic);
  if (magic == "PARE" || front == "PARE") {
    return bad(name, "its footer is encrypted; expected a file that is not: write it without");
  }
  if (front != "PAR1") return bad(name, "it does not begin with PAR1; is it another kind of file?");
  if (magic != "PAR1") return bad(name, "it does not end with PAR1; is it cut off?");
  std::uint32_t length = 0;
  for (std::size_t at = 4; at-- > 0;) length = length << 8 | static_cast<std::uint8_t>(tail[at]);
  if (length > size - kMagic - kTail) return damaged(name, "it is longer than the file");
  if (length > kLongestFooter) {
    return bad(name, "its footer has " + human_bytes(length) + ", more than " +
                         human_bytes(kLongestFooter) + "; write it with fewer row groups");
  }
  return read_at(fd, size - kTail - length, length, name);
}

// ---- the schema --------------------------------------------------------------------------------

class Schema {
 public:
  Schema(const ThriftList& list, std::string_view name) : list_(list), name_(name) {}

  // Fills in the columns. Errors where the tree is not one.
  Result<void> read(ParquetFooter& footer);

 private:
  // Passes over the element at `at_` and what is in it.
  Result<void> pass(std::size_t depth);
  Failure broken() const { return damaged(name_, "its schema is no tree"); }

  const ThriftList& list_;
  std::string_view name_;
  std::size_t at_ = 0;
  std::size_t leaves_ = 0;
};

Result<void> Schema::pass(std::size_t depth) {
  if (at_ >= list_.items.size() || depth > kNesting) return broken();
  const auto* const element = list_.items[at_].structure();
  if (!element || !element->binary(kElementName)) return broken();
  ++at_;
  const auto children = element->integer(kElementChildren).value_or(0);
  const bool leaf = element->find(kElementType);
  if (children < 0 || (leaf && children > 0)) return broken();
  if (leaf) ++leaves_;
  for (std::int64_t child = 0; child < children; ++child) {
    SLUICE_CHECK(pass(depth + 1));
  }
  return {};
}

Result<void> Schema::read(ParquetFooter& footer) {
  const auto* const root = list_.items.empty() ? nullptr : list_.items.front().structure();
  if (!root) return broken();
  const auto columns = root->integer(kElementChildren).value_or(0);
  at_ = 1;
  for (std::int64_t index = 0; index < columns; ++index) {
    ParquetColumn column;
    column.first_element = at_;
    column.first_leaf = leaves_;
    SLUICE_CHECK(pass(1));
    column.name = *list_.items[column.first_element].structure()->binary(kElementName);
    column.elements = at_ - column.first_element;
    column.leaves = leaves_ - column.first_leaf;
    footer.columns.push_back(std::move(column));
  }
  if (at_ != list_.items.size()) return broken();
  footer.leaves = leaves_;
  return {};
}

// ---- row groups --------------------------------------------------------------------------------

std::optional<std::uint64_t> natural(const ThriftStruct& from, Id id) {
  const auto number = from.integer(id);
  if (!number || *number < 0) return std::nullopt;
  return static_cast<std::uint64_t>(*number);
}

class RowGroups {
 public:
  // `data_end`: where the footer begins.
  RowGroups(ParquetFooter& footer, std::uint64_t data_end)
      : footer_(footer), data_end_(data_end), free_(data_end - kMagic) {}

  Result<void> read();

 private:
  Result<ParquetRowGroup> group(std::string_view written);
  Result<void> chunk(const ThriftStruct& chunk, ParquetRowGroup& group);
  Failure wrong(const std::string& what) const {
    return damaged(footer_.name,
                   "row group " + std::to_string(footer_.row_groups.size() + 1) + ": " + what);
  }

  ParquetFooter& footer_;
  std::uint64_t data_end_;
  std::uint64_t free_;  // bytes of data that belong to no chunk so far
};

Result<void> RowGroups::chunk(const ThriftStruct& chunk, ParquetRowGroup& group) {
  if (chunk.find(kChunkCrypto) || chunk.find(kChunkEncryptedMeta)) {
    return bad(footer_.name, "its columns are encrypted; expected a file that is not");
  }
  if (!chunk.binary(kChunkPath).value_or("").empty()) {
    return bad(footer_.name, "its columns lie in other files; expected a file with its own data");
  }
  const auto* const meta = chunk.structure(kChunkMeta);
  if (!meta || !natural(*meta, kMetaValues) || !natural(*meta, kMetaUncompressed)) {
    return wrong("a column is not described");
  }
  const auto place = place_of_chunk(*meta);
  if (!place || place->offset > data_end_ || place->length > data_end_ - place->offset) {
    return wrong("a column lies outside the data");
  }
  if (place->length > free_) return wrong("two columns lie at the same place");
  free_ -= place->length;
  group.bytes += place->length;
  if (place->length > 0 && (group.offset == 0 || place->offset < group.offset)) {
    group.offset = place->offset;
  }
  return {};
}

Result<ParquetRowGroup> RowGroups::group(std::string_view written) {
  ParquetRowGroup out;
  out.written_at = static_cast<std::size_t>(written.data() - footer_.groups.data());
  out.written_size = written.size();
  const auto read = read_thrift(written);
  if (!read) return wrong(read.error().message);
  const auto rows = natural(*read, kGroupRows);
  const auto uncompressed = natural(*read, kGroupBytes);
  const auto* const columns = read->list(kGroupColumns);
  if (!rows || !uncompressed || !columns) return wrong("it is not described");
  if (columns->items.size() != footer_.leaves) {
    return wrong("it has " + std::to_string(columns->items.size()) +
                 " columns where the schema has " + std::to_string(footer_.leaves));
  }
  out.rows = *rows;
  out.uncompressed = *uncompressed;
  for (const auto& column : columns->items) {
    if (!column.structure()) return wrong("a column is not described");
    SLUICE_CHECK(chunk(*column.structure(), out));
  }
  return out;
}

Result<void> RowGroups::read() {
  const auto written = items_of_list(footer_.groups, ThriftType::kStruct);
  if (!written) return damaged(footer_.name, written.error().message);
  std::uint64_t rows = 0;
  for (const auto& one : *written) {
    SLUICE_TRY(const auto read, group(one));
    const auto sum = checked_add(rows, read.rows);
    if (!sum) return wrong("it has too many rows");
    rows = *sum;
    footer_.row_groups.push_back(read);
  }
  if (natural(footer_.head, kFileRows) != rows) {
    return damaged(footer_.name, "the row groups have " + std::to_string(rows) +
                                     " rows, the file says another number");
  }
  footer_.rows = rows;
  return {};
}

void read_texts(ParquetFooter& footer) {
  footer.created_by = footer.head.binary(kFileCreatedBy).value_or("");
  const auto* const pairs = footer.head.list(kFileKeyValues);
  if (!pairs) return;
  for (const auto& pair : pairs->items) {
    const auto* const fields = pair.structure();
    if (!fields || !fields->binary(kKey)) continue;
    footer.key_values.emplace_back(*fields->binary(kKey), fields->binary(kValue).value_or(""));
  }
}

}  // namespace

ThriftStruct ParquetFooter::row_group(std::size_t index) const {
  auto written =
      std::string_view(groups).substr(row_groups[index].written_at, row_groups[index].written_size);
  return read_thrift(written).value();  // it was read before
}

std::optional<ChunkPlace> place_of_chunk(const ThriftStruct& meta) {
  const auto length = natural(meta, kMetaCompressed);
  const auto data = natural(meta, kMetaDataOffset);
  if (!length || !data) return std::nullopt;
  if (*length == 0) return ChunkPlace{};
  // Some writers say 0 where there is no dictionary: a page cannot lie there.
  const auto dictionary = natural(meta, kMetaDictionaryOffset).value_or(0);
  const auto start = dictionary < kMagic ? *data : dictionary;
  // The dictionary is the first page of a chunk that has one.
  if (start < kMagic || start > *data || *data - start >= *length) return std::nullopt;
  return ChunkPlace{start, *length};
}

Result<std::string> read_footer_text(const Fd& fd, std::string_view name) {
  SLUICE_TRY(const auto size, size_of_file(fd, name));
  return footer_bytes(fd, size, name);
}

Result<ParquetFooter> read_footer(const Fd& fd, std::string_view name) {
  SLUICE_TRY(const auto size, size_of_file(fd, name));
  SLUICE_TRY(const auto text, footer_bytes(fd, size, name));
  return parse_footer(text, size - kTail - text.size(), name);
}

Result<ParquetFooter> parse_footer(std::string_view text, std::uint64_t data_end,
                                   std::string_view name) {
  std::string_view rest = text;
  auto head = read_thrift(rest, kFileRowGroups);
  if (!head) return damaged(name, head.error().message);
  if (head->find(kFileEncryption)) {
    return bad(name, "its columns are encrypted; expected a file that is not");
  }
  ParquetFooter out;
  out.name = name;
  out.head = *std::move(head);
  auto* const groups = out.head.find(kFileRowGroups);
  if (!groups || groups->type != ThriftType::kList) return damaged(name, "no row groups");
  out.groups = std::move(std::get<ThriftEncoded>(groups->held).bytes);
  const auto* const schema = out.head.list(kFileSchema);
  if (!schema) return damaged(name, "no schema");
  SLUICE_CHECK(Schema(*schema, name).read(out));
  SLUICE_CHECK(RowGroups(out, data_end).read());
  read_texts(out);
  return out;
}

}  // namespace sluice::tools
