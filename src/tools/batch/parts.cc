#include "tools/batch/parts.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "tools/batch/file_bytes.h"
#include "tools/batch/line_splitter.h"
#include "tools/batch/memory_files.h"
#include "tools/batch/parquet_file.h"

namespace sluice::tools::batch {
namespace {

constexpr std::uint64_t kTextBytes = std::uint64_t{8} << 20;
// Row groups smaller than these are taken together: a part costs a turn of its own.
constexpr std::uint64_t kFewRows = 50'000;
constexpr std::uint64_t kFewBytes = std::uint64_t{16} << 20;

Result<void> cut_parquet(const Input& input, std::size_t file, Parts& out) {
  SLUICE_TRY(const auto table, open_input(input, file));
  SLUICE_TRY(auto footer, read_footer(table.fd, clients::shown_name(input.files[file].path)));
  const std::size_t first_part = out.parts.size();
  Part part;
  part.file = file;
  std::uint64_t bytes = 0;
  std::uint64_t before = 0;
  const auto begin = [&](std::size_t group) {
    part.begin = group;
    part.first_row = out.rows;
    part.row_in_file = before;
    part.rows = 0;
    bytes = 0;
  };
  begin(0);
  for (std::size_t group = 0; group < footer.row_groups.size(); ++group) {
    const auto& next = footer.row_groups[group];
    const bool full = part.rows + next.rows > kFewRows || bytes + next.uncompressed > kFewBytes;
    if (part.rows > 0 && full) {
      out.parts.push_back(part);
      begin(group);
    }
    part.rows += next.rows;
    part.end = group + 1;
    bytes += next.uncompressed;
    before += next.rows;
    out.rows += next.rows;
  }
  if (part.rows > 0) out.parts.push_back(part);
  const bool several = out.parts.size() > first_part + 1;
  out.footers.push_back(several ? std::make_shared<const ParquetFooter>(std::move(footer))
                                : nullptr);
  return {};
}

Result<void> cut_lines(const Input& input, std::size_t file, Parts& out) {
  SLUICE_TRY(const auto table, open_input(input, file));
  const bool csv = input.format == clients::TableFormat::kCsv;
  const auto name = clients::shown_name(input.files[file].path);
  LineSplitter lines(table.fd, name, csv ? LineKind::kCsv : LineKind::kJsonLines, kTextBytes);
  SLUICE_TRY(const auto header, lines.header());
  if (csv) {
    SLUICE_TRY(auto text,
               read_at(table.fd, header ? header->offset : 0, header ? header->length : 0, name));
    // A file of nothing else may end without a line's end.
    if (!text.ends_with('\n')) text += '\n';
    out.headers.push_back(std::move(text));
  }
  while (true) {
    SLUICE_TRY(const auto piece, lines.next());
    if (!piece) return {};
    Part part;
    part.file = file;
    part.begin = piece->offset;
    part.end = piece->offset + piece->length;
    part.first_row = out.rows;
    part.row_in_file = piece->first_row;
    part.rows = piece->rows;
    out.rows += piece->rows;
    out.parts.push_back(part);
  }
}

}  // namespace

std::string row_words(const Input& input, const Part& part, std::uint64_t place) {
  const auto of_all = "row " + std::to_string(part.first_row + place + 1) + " of the input";
  if (input.files.size() == 1) return of_all;
  return "row " + std::to_string(part.row_in_file + place + 1) + " of " +
         clients::shown_name(input.files[part.file].path) + " (" + of_all + ")";
}

Result<Parts> cut(const Input& input) {
  Parts out;
  for (std::size_t file = 0; file < input.files.size(); ++file) {
    const bool parquet = input.format == clients::TableFormat::kParquet;
    SLUICE_CHECK(parquet ? cut_parquet(input, file, out) : cut_lines(input, file, out));
  }
  if (out.parts.empty()) out.parts.emplace_back();
  return out;
}

Result<void> part_bytes(const Input& input, const Parts& parts, const Part& part, const Fd& to) {
  SLUICE_TRY(const auto table, open_input(input, part.file));
  if (input.format == clients::TableFormat::kParquet) {
    if (const auto& kept = parts.footers.at(part.file)) {
      SLUICE_CHECK(extract({table.fd, *kept, part.begin, part.end}, to));
    } else {
      SLUICE_TRY(const auto footer, read_footer(table.fd, clients::shown_name(table.file)));
      SLUICE_CHECK(extract({table.fd, footer, part.begin, part.end}, to));
    }
    return cut_behind(to);
  }
  if (input.format == clients::TableFormat::kCsv) {
    const std::string& header = parts.headers[part.file];
    if (::write(to.get(), header.data(), header.size()) != static_cast<ssize_t>(header.size())) {
      return internal("the names of the columns could not be kept");
    }
  }
  ByteWriter writer(to);
  SLUICE_CHECK(
      writer.copy(table.fd, part.begin, part.end - part.begin, clients::shown_name(table.file)));
  SLUICE_CHECK(writer.flush());
  return cut_behind(to);
}

}  // namespace sluice::tools::batch
