#include "tools/batch/file_bytes.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

namespace sluice::tools {
namespace {

constexpr std::uint64_t kPiece = 4 << 20;

// The system's words for an error number never contain a path.
Failure unreadable(std::string_view name, int error) {
  return unavailable("unreadable", std::string(name) + " cannot be read: " + std::strerror(error));
}

Failure unwritable(int error) {
  return unavailable("unwritable",
                     std::string("the output cannot be written: ") + std::strerror(error));
}

Failure changing(std::string_view name) {
  return unavailable("changing", std::string(name) +
                                     " became shorter while it was read; start again when nobody "
                                     "writes to it");
}

// As many as there are, at most `size`; 0 at the end of the file.
Result<std::size_t> read_some(int fd, char* to, std::size_t size, std::uint64_t offset,
                              std::string_view name) {
  while (true) {
    const auto got = ::pread(fd, to, size, static_cast<off_t>(offset));
    if (got >= 0) return static_cast<std::size_t>(got);
    if (errno != EINTR) return unreadable(name, errno);
  }
}

}  // namespace

Result<std::uint64_t> size_of_file(const Fd& fd, std::string_view name) {
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return unreadable(name, errno);
  if (!S_ISREG(info.st_mode)) {
    return invalid("unreadable", std::string(name) + " is not a regular file; expected a file");
  }
  return static_cast<std::uint64_t>(info.st_size);
}

Result<std::string> read_at(const Fd& fd, std::uint64_t offset, std::size_t size,
                            std::string_view name) {
  std::string out(size, '\0');
  std::size_t done = 0;
  while (done < size) {
    SLUICE_TRY(const auto got,
               read_some(fd.get(), out.data() + done, size - done, offset + done, name));
    if (got == 0) return changing(name);
    done += got;
  }
  return out;
}

Result<void> ByteWriter::put(std::string_view bytes) const {
  while (!bytes.empty()) {
    const auto done = ::write(to_, bytes.data(), bytes.size());
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) return unwritable(errno);
    bytes.remove_prefix(static_cast<std::size_t>(done));
  }
  return {};
}

Result<void> ByteWriter::write(std::string_view bytes) {
  SLUICE_CHECK(flush());
  if (to_ >= 0) SLUICE_CHECK(put(bytes));
  position_ += bytes.size();
  return {};
}

Result<void> ByteWriter::copy(const Fd& from, std::uint64_t offset, std::uint64_t length,
                              std::string_view name) {
  if (length == 0) return {};
  if (to_ < 0) {
    note(from, offset, length);
    position_ += length;
    return {};
  }
  if (from.get() != from_ || offset != offset_ + length_) {
    SLUICE_CHECK(flush());
    from_ = from.get();
    offset_ = offset;
    name_ = name;
  }
  length_ += length;
  position_ += length;
  return {};
}

Result<void> ByteWriter::flush() {
  while (length_ > 0) {
    auto at = static_cast<off_t>(offset_);
    const auto done = ::copy_file_range(from_, &at, to_, nullptr, length_, 0);
    if (done < 0 && errno == EINTR) continue;
    // Pipes, files that are only added to, and two kinds of file systems cannot do it; and some
    // systems say 0 where they cannot.
    if (done <= 0) return copy_in_pieces();
    offset_ += static_cast<std::uint64_t>(done);
    length_ -= static_cast<std::uint64_t>(done);
  }
  return {};
}

void ByteWriter::note(const Fd& from, std::uint64_t offset, std::uint64_t length) {
  const bool goes_on = !noted_.empty() && noted_.back().fd == &from &&
                       noted_.back().offset + noted_.back().length == offset;
  if (goes_on) {
    noted_.back().length += length;
  } else {
    noted_.push_back({&from, offset, length});
  }
}

// The system reads what it writes from the pages of the other file: there is no copy between.
Result<void> ByteWriter::copy_in_pieces() {
  while (length_ > 0) {
    const auto size = std::min<std::uint64_t>(kPiece, length_);
    SLUICE_TRY(const auto piece, MappedPiece::map(from_, offset_, size, name_));
    const auto done = ::write(to_, piece.bytes().data(), size);
    if (done < 0 && errno == EINTR) continue;
    if (done < 0 && errno == EFAULT) return changing(name_);
    if (done < 0) return unwritable(errno);
    offset_ += static_cast<std::uint64_t>(done);
    length_ -= static_cast<std::uint64_t>(done);
  }
  return {};
}

Result<MappedPiece> MappedPiece::map(int fd, std::uint64_t offset, std::uint64_t length,
                                     std::string_view name) {
  static const auto kPage = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  MappedPiece out;
  if (length == 0) return out;
  const auto front = offset % kPage;
  const auto size = static_cast<std::size_t>(front + length);
  void* const at = ::mmap(nullptr, size, PROT_READ, MAP_SHARED | MAP_POPULATE, fd,
                          static_cast<off_t>(offset - front));
  if (at == MAP_FAILED) return unreadable(name, errno);
  out.pages_ = std::shared_ptr<const void>(
      at, [size](const void* pages) { ::munmap(const_cast<void*>(pages), size); });
  out.bytes_ = {static_cast<const std::byte*>(at) + front, static_cast<std::size_t>(length)};
  return out;
}

}  // namespace sluice::tools
