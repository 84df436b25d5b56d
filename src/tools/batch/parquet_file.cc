#include "tools/batch/parquet_file.h"

#include <algorithm>
#include <array>

#include "base/checked.h"
#include "tools/batch/parquet_fields.h"

namespace sluice::tools {
namespace {

using namespace parquet;

ThriftValue number(std::uint64_t value) {
  return ThriftValue::i64(static_cast<std::int64_t>(value));
}

std::vector<std::size_t> groups_of(const ParquetRows& rows, bool empty_ones_too) {
  std::vector<std::size_t> out;
  const auto last = std::min(rows.last, rows.footer.row_groups.size());
  for (auto group = rows.first; group < last; ++group) {
    if (empty_ones_too || rows.footer.row_groups[group].rows > 0) out.push_back(group);
  }
  return out;
}

Result<void> check_fit(const ParquetRows& left, std::span<const std::size_t> of_left,
                       const ParquetRows& right, std::span<const std::size_t> of_right) {
  const auto& [left_name, right_name] = std::tie(left.footer.name, right.footer.name);
  if (of_left.size() != of_right.size()) {
    return invalid("bad_table", left_name + " has " + std::to_string(of_left.size()) +
                                    " row groups, " + right_name + " has " +
                                    std::to_string(of_right.size()) +
                                    "; to put columns side by side they must be the same");
  }
  for (std::size_t index = 0; index < of_left.size(); ++index) {
    const auto wanted = left.footer.row_groups[of_left[index]].rows;
    const auto there = right.footer.row_groups[of_right[index]].rows;
    if (wanted == there) continue;
    return invalid("bad_table", "row group " + std::to_string(of_right[index] + 1) + " of " +
                                    right_name + " has " + std::to_string(there) +
                                    " rows, expected " + std::to_string(wanted) + " as in " +
                                    left_name);
  }
  return {};
}

// Columns by which the rows are sorted count up to the first that is left out.
void keep_sorting(ThriftStruct& group, const std::vector<bool>& leaves) {
  auto* const sorting = group.list(kGroupSorting);
  if (!sorting) return group.erase(kGroupSorting);
  std::size_t kept = 0;
  for (auto& item : sorting->items) {
    auto* const column = item.structure();
    const auto leaf = column ? column->integer(kSortingColumn).value_or(-1) : -1;
    if (leaf < 0 || static_cast<std::size_t>(leaf) >= leaves.size()) break;
    const auto at = leaves.begin() + leaf;
    if (!*at) break;
    const auto place = std::count(leaves.begin(), at, true);
    column->set(kSortingColumn, ThriftValue::i32(static_cast<std::int32_t>(place)));
    ++kept;
  }
  sorting->items.resize(kept);
  if (kept == 0) group.erase(kGroupSorting);
}

void drop_bounds(ThriftStruct& meta) {
  auto* const statistics = meta.structure(kMetaStatistics);
  if (!statistics) return;
  for (const auto id : kBoundsOld) statistics->erase(id);
  for (const auto id : kBounds) statistics->erase(id);
}

}  // namespace

Result<ParquetTable> ParquetJoin::fit(std::span<const ParquetSide> sides) {
  SLUICE_TRY(auto table, table_of(sides));
  if (table_) {
    if (table.meanings.size() != table_->meanings.size()) {
      return internal("rows of one file and of two were added to the same output");
    }
    SLUICE_CHECK(check_same(*table_, table));
    return table;
  }
  SLUICE_CHECK(out_.write(kParquetMagic));
  head_ = head_of(sides);
  table_ = table;
  return table;
}

Result<void> ParquetJoin::add(const ParquetRows& rows) {
  const std::array sides{side_of(rows.footer, {})};
  SLUICE_TRY(const auto table, fit(sides));
  const Source source{rows, sides[0], bounds_hold(*table_, table, 0), groups_of(rows, true)};
  for (std::size_t index = 0; index < source.groups.size(); ++index) {
    SLUICE_CHECK(add_group({&source, 1}, index));
  }
  return out_.flush();
}

Result<void> ParquetJoin::add(const ParquetRows& left, std::span<const std::string> without,
                              const ParquetRows& right) {
  const std::array sides{side_of(left.footer, without), side_of(right.footer, {})};
  SLUICE_TRY(const auto table, fit(sides));
  const std::array sources{
      Source{left, sides[0], bounds_hold(*table_, table, 0), groups_of(left, false)},
      Source{right, sides[1], bounds_hold(*table_, table, 1), groups_of(right, false)}};
  SLUICE_CHECK(check_fit(left, sources[0].groups, right, sources[1].groups));
  for (std::size_t index = 0; index < sources[0].groups.size(); ++index) {
    SLUICE_CHECK(add_group(sources, index));
  }
  return out_.flush();
}

Result<void> ParquetJoin::move_chunk(const Source& source, ThriftStruct& chunk) {
  auto& meta = *chunk.structure(kChunkMeta);
  const auto place = *place_of_chunk(meta);  // the footer was checked
  const auto start = out_.position();
  const auto data = static_cast<std::uint64_t>(*meta.integer(kMetaDataOffset));
  const auto dictionary = meta.integer(kMetaDictionaryOffset).value_or(0);
  SLUICE_CHECK(out_.copy(source.rows.fd, place.offset, place.length, source.rows.footer.name));
  const bool empty = place.length == 0;
  meta.set(kMetaDataOffset, number(empty ? start : data - place.offset + start));
  if (empty || dictionary < static_cast<std::int64_t>(kParquetMagic.size())) {
    meta.erase(kMetaDictionaryOffset);
  } else {
    meta.set(kMetaDictionaryOffset, number(start));
  }
  for (const auto id : {kMetaIndexOffset, kMetaBloomOffset, kMetaBloomLength}) meta.erase(id);
  for (Id id = kChunkOffsetIndex; id <= kChunkColumnIndexLength; ++id) chunk.erase(id);
  // "0 if no ColumnMetaData has been written outside the footer".
  chunk.set(kChunkOffset, ThriftValue::i64(0));
  if (!source.bounds_hold) drop_bounds(meta);
  return {};
}

Result<void> ParquetJoin::take_chunks(const Source& source, ThriftStruct& group,
                                      ThriftList& chunks) {
  auto& all = group.list(kGroupColumns)->items;
  for (std::size_t leaf = 0; leaf < all.size(); ++leaf) {
    if (!source.side.leaves[leaf]) continue;
    SLUICE_CHECK(move_chunk(source, *all[leaf].structure()));
    chunks.items.push_back(std::move(all[leaf]));
  }
  return {};
}

Result<void> ParquetJoin::add_group(std::span<const Source> sources, std::size_t index) {
  const auto start = out_.position();
  const auto& first = sources.front();
  auto out = first.rows.footer.row_group(first.groups[index]);
  ThriftList chunks{ThriftType::kStruct, ThriftType::kI32, {}};
  for (const auto& source : sources) {
    if (&source == &first) {
      SLUICE_CHECK(take_chunks(source, out, chunks));
      continue;
    }
    auto other = source.rows.footer.row_group(source.groups[index]);
    SLUICE_CHECK(take_chunks(source, other, chunks));
  }
  std::int64_t uncompressed = 0;
  for (const auto& chunk : chunks.items) {
    const auto size = *chunk.structure()->structure(kChunkMeta)->integer(kMetaUncompressed);
    uncompressed = checked_add(uncompressed, size).value_or(uncompressed);
  }
  // Of a group that is whole the file's own word stays.
  if (sources.size() > 1) out.set(kGroupBytes, ThriftValue::i64(uncompressed));
  out.set(kGroupColumns, {ThriftType::kList, std::move(chunks)});
  keep_sorting(out, first.side.leaves);
  out.set(kGroupOffset, number(start));
  out.set(kGroupCompressed, number(out_.position() - start));
  if (out.find(kGroupOrdinal) && std::in_range<std::int16_t>(count_)) {
    out.set(kGroupOrdinal, {ThriftType::kI16, static_cast<std::int64_t>(count_)});
  } else {
    out.erase(kGroupOrdinal);
  }
  write_thrift(out, groups_);
  ++count_;
  const auto rows = checked_add(rows_, first.rows.footer.row_groups[first.groups[index]].rows);
  if (!rows || !std::in_range<std::int64_t>(*rows)) {
    return invalid("bad_table", "the files have more rows together than a file can have");
  }
  rows_ = *rows;
  return {};
}

Result<std::string> ParquetJoin::footer() {
  if (!table_) {
    return invalid("bad_table", "there is nothing to write a file of; expected at least one file");
  }
  head_.set(kFileRows, number(rows_));
  head_.set(kFileRowGroups,
            {ThriftType::kList, ThriftEncoded{written_list(ThriftType::kStruct, count_, groups_)}});
  std::string footer;
  write_thrift(head_, footer);
  if (!std::in_range<std::int32_t>(footer.size())) {
    return invalid("bad_table",
                   "the output would have a footer of more than 2 GB; write fewer row groups");
  }
  return footer;
}

std::string parquet_end(std::size_t footer) {
  std::string out;
  auto length = static_cast<std::uint32_t>(footer);
  for (int byte = 0; byte < 4; ++byte, length >>= 8) out += static_cast<char>(length);
  return out += kParquetMagic;
}

Result<void> ParquetJoin::finish() {
  SLUICE_TRY(const auto footer, this->footer());
  return out_.write(footer + parquet_end(footer.size()));
}

Result<void> extract(const ParquetRows& rows, const Fd& to) {
  ParquetJoin join(to);
  SLUICE_CHECK(join.add(rows));
  return join.finish();
}

Result<void> concatenate(std::span<const ParquetRows> files, const Fd& to) {
  ParquetJoin join(to);
  for (const auto& file : files) {
    SLUICE_CHECK(join.add(file));
  }
  return join.finish();
}

Result<void> paste(const ParquetRows& left, std::span<const std::string> without,
                   const ParquetRows& right, const Fd& to) {
  ParquetJoin join(to);
  SLUICE_CHECK(join.add(left, without, right));
  return join.finish();
}

}  // namespace sluice::tools
