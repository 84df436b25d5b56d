#include "tools/batch/output_rows.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/digest.h"

namespace sluice::tools::batch {
namespace {

namespace fs = std::filesystem;
using clients::TableFormat;

Failure unwritable(int error) {
  return unavailable("unwritable", std::string("the output cannot be written: ") +
                                       std::strerror(error) +
                                       "; check its directory and that its disk has room");
}

constexpr std::string_view kPart = "a part of the output";  // for messages

}  // namespace

std::uint64_t MadePart::bytes() const {
  std::uint64_t out = 0;
  for (const auto& piece : pieces) out += piece.length;
  return out;
}

Result<MadePart> part_of(TableFormat format, std::shared_ptr<const Fd> fd) {
  MadePart out;
  Piece all{fd.get(), 0, 0};
  SLUICE_TRY(all.length, size_of_file(*fd, kPart));
  if (format == TableFormat::kParquet) {
    SLUICE_TRY(out.footer, read_footer_text(*fd, kPart));
    all.offset = kParquetFront;
    all.length -= kParquetFront + kParquetTail + out.footer.size();
  }
  out.pieces.push_back(all);
  out.keep.push_back(std::move(fd));
  return out;
}

Result<std::string> sha256_of(const MadePart& part) {
  Digest digest(Digest::Kind::kSha256);
  for (const auto& piece : part.pieces) {
    SLUICE_TRY(const auto mapped,
               MappedPiece::map(piece.fd->get(), piece.offset, piece.length, kPart));
    digest.update(mapped.bytes());
  }
  return to_hex(digest.finish());
}

OutputRows::OutputRows(TableFormat format, const Fd& to) : to_(to) {
  if (format == TableFormat::kParquet) parquet_.emplace();
}

Result<std::uint64_t> OutputRows::add(const MadePart& part) {
  SLUICE_TRY(auto at, end());
  ByteWriter writer(to_);
  if (parquet_ && at == 0) {
    SLUICE_CHECK(writer.write(kParquetMagic));
    at = kParquetFront;
  }
  for (const auto& piece : part.pieces) {
    SLUICE_CHECK(writer.copy(*piece.fd, piece.offset, piece.length, kPart));
  }
  SLUICE_CHECK(writer.flush());
  SLUICE_CHECK(note_footer(part.footer, part.bytes()));
  begin_writing(at + part.bytes());
  return at;
}

// `bytes`: of the part's rows.
Result<void> OutputRows::note_footer(std::string_view text, std::uint64_t bytes) {
  if (!parquet_) return {};
  SLUICE_TRY(const auto footer, parse_footer(text, kParquetFront + bytes, kPart));
  return parquet_->add({to_, footer});
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
  for (const auto& [index, done] : journal.done()) {
    SLUICE_TRY(const auto footer,
               read_at(journal.footers(), done.footer_offset, done.footer_bytes, kPart));
    SLUICE_CHECK(note_footer(footer, done.bytes));
  }
  return {};
}

Result<void> OutputRows::add(const Journal& journal) {
  for (const auto& [index, done] : journal.done()) {
    MadePart part;
    part.pieces.push_back({&journal.rows(), done.offset, done.bytes});
    SLUICE_TRY(part.footer,
               read_at(journal.footers(), done.footer_offset, done.footer_bytes, kPart));
    SLUICE_CHECK(add(part));
  }
  return {};
}

Result<void> OutputRows::finish() {
  if (parquet_) {
    SLUICE_TRY(const auto footer, parquet_->footer());
    ByteWriter writer(to_);
    SLUICE_CHECK(writer.write(footer + parquet_end(footer.size())));
  }
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
