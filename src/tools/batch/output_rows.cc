#include "tools/batch/output_rows.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "tools/batch/file_bytes.h"

namespace sluice::tools::batch {
namespace {

namespace fs = std::filesystem;
using clients::TableFormat;

Failure unwritable(int error) {
  return unavailable("unwritable", std::string("the output cannot be written: ") +
                                       std::strerror(error) +
                                       "; check its directory and that its disk has room");
}

// The footer of one part among those of a journal. Places in it are those of the part's own file.
Result<ParquetFooter> footer_of(const Journal& journal, const PartDone& done) {
  constexpr std::string_view kName = "a part of the output";
  SLUICE_TRY(const auto text,
             read_at(journal.footers(), done.footer_offset, done.footer_bytes, kName));
  return parse_footer(text, kParquetFront + done.bytes, kName);
}

}  // namespace

Result<MadePart> look_at_part(TableFormat format, const Fd& fd, std::string name) {
  MadePart out{fd, std::move(name), 0, 0, {}};
  SLUICE_TRY(out.bytes, size_of_file(fd, out.name));
  if (format != TableFormat::kParquet) return out;
  SLUICE_TRY(out.footer, read_footer_text(fd, out.name));
  out.begin = kParquetFront;
  out.bytes -= kParquetFront + kParquetTail + out.footer.size();
  return out;
}

OutputRows::OutputRows(TableFormat format, const Fd& to) : format_(format), to_(to) {
  if (format == TableFormat::kParquet) parquet_.emplace(to);
}

Result<std::uint64_t> OutputRows::add(const MadePart& part) {
  SLUICE_TRY(auto at, end());
  if (!parquet_) {
    ByteWriter writer(to_);
    SLUICE_CHECK(writer.copy(part.fd, part.begin, part.bytes, part.name));
    SLUICE_CHECK(writer.flush());
  } else {
    SLUICE_TRY(const auto footer, parse_footer(part.footer, part.begin + part.bytes, part.name));
    SLUICE_CHECK(parquet_->add({part.fd, footer}));
    at = std::max(at, std::uint64_t{kParquetFront});
  }
  SLUICE_TRY(const auto behind, end());
  if (behind != at + part.bytes) return internal("a part has other bytes than its columns'");
  begin_writing(behind);
  return at;
}

Result<std::uint64_t> OutputRows::end() const {
  const auto at = ::lseek(to_.get(), 0, SEEK_CUR);
  if (at < 0) return unwritable(errno);
  return static_cast<std::uint64_t>(at);
}

// The disk begins now, and not with all of it at the end. Where it cannot, nothing is lost.
void OutputRows::begin_writing(std::uint64_t end) {
  ::sync_file_range(to_.get(), static_cast<off_t>(begun_), static_cast<off_t>(end - begun_),
                    SYNC_FILE_RANGE_WRITE);
  begun_ = end;
}

Result<void> OutputRows::recall(const Journal& journal) {
  if (!parquet_) return {};
  for (const auto& [index, done] : journal.done()) {
    SLUICE_TRY(const auto footer, footer_of(journal, done));
    SLUICE_CHECK(parquet_->recall({to_, footer}));
  }
  return {};
}

Result<void> OutputRows::add(const Journal& journal) {
  for (const auto& [index, done] : journal.done()) {
    if (!parquet_) {
      ByteWriter writer(to_);
      SLUICE_CHECK(writer.copy(journal.rows(), done.offset, done.bytes, "a part of the output"));
      SLUICE_CHECK(writer.flush());
    } else {
      SLUICE_TRY(const auto footer, footer_of(journal, done));
      ParquetRows rows{journal.rows(), footer};
      rows.moved = static_cast<std::int64_t>(done.offset) - std::int64_t{kParquetFront};
      SLUICE_CHECK(parquet_->add(rows));
    }
    SLUICE_TRY(const auto behind, end());
    begin_writing(behind);
  }
  return {};
}

Result<void> OutputRows::finish() {
  if (parquet_) SLUICE_CHECK(parquet_->finish());
  return ::fsync(to_.get()) == 0 ? Result<void>() : unwritable(errno);
}

Result<std::uint64_t> put_in_place(const fs::path& file, const fs::path& output, bool keep) {
  auto from = file;
  if (keep) {
    // A second name, which then replaces whatever has the output's. Not every file system knows
    // two.
    from = output.native() + ".tmp";
    ::unlink(from.c_str());
    std::error_code error;
    if (::link(file.c_str(), from.c_str()) != 0) fs::copy_file(file, from, error);
    if (error) return unwritable(error.value());
  }
  struct stat state {};
  if (::stat(from.c_str(), &state) != 0 || ::rename(from.c_str(), output.c_str()) != 0) {
    const int error = errno;
    if (keep) ::unlink(from.c_str());
    return unwritable(error);
  }
  const auto parent = output.parent_path();
  const auto directory = open_directory(parent.empty() ? fs::path(".") : parent);
  if (!directory || ::fsync(directory->get()) != 0) return unwritable(errno);
  return static_cast<std::uint64_t>(state.st_size);
}

}  // namespace sluice::tools::batch
