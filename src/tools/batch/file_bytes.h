// Bytes from files into a file that is written from its front to its end.
//
// Errors: kUnavailable/`changing` where a file is shorter than it was, kUnavailable/`unreadable`
// where the system does not read it, kUnavailable/`unwritable` where it does not write.
//
// Thread-safety: one owner.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/file.h"

namespace sluice::tools {

// Descriptors are borrowed, and read at places: where they stand does not matter. `name` is how
// messages name the file.

// Errors also: kInvalidArgument/`unreadable` when it is no regular file.
Result<std::uint64_t> size_of_file(const Fd& fd, std::string_view name);
// Exactly `size` bytes.
Result<std::string> read_at(const Fd& fd, std::uint64_t offset, std::size_t size,
                            std::string_view name);

// Bytes of a file.
struct Piece {
  const Fd* fd = nullptr;  // borrowed
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
};

// A piece in this process's memory. Who cuts the file off behind its back ends the process, so that
// it is for our own files; the system may read any file so.
class MappedPiece {
 public:
  // Errors: kUnavailable/`unreadable`.
  static Result<MappedPiece> map(int fd, std::uint64_t offset, std::uint64_t length,
                                 std::string_view name);
  std::span<const std::byte> bytes() const { return bytes_; }
  std::string_view text() const {
    return {reinterpret_cast<const char*>(bytes_.data()), bytes_.size()};
  }

 private:
  std::shared_ptr<const void> pages_;
  std::span<const std::byte> bytes_;
};

// Writes where the descriptor stands, which need not be a regular file. Its descriptor, and those
// that are copied from until `flush`, must stay open.
class ByteWriter {
 public:
  explicit ByteWriter(const Fd& to) : to_(to.get()) {}
  // Writes nothing: what would be copied is noted instead.
  ByteWriter() = default;

  // Bytes that were given to it.
  std::uint64_t position() const { return position_; }
  Result<void> write(std::string_view bytes);
  // Without a detour through this process where the system can. What lies side by side is copied at
  // once: an error may come with a later call.
  Result<void> copy(const Fd& from, std::uint64_t offset, std::uint64_t length,
                    std::string_view name);
  Result<void> flush();
  const std::vector<Piece>& noted() const { return noted_; }

 private:
  void note(const Fd& from, std::uint64_t offset, std::uint64_t length);
  Result<void> put(std::string_view bytes) const;
  Result<void> copy_in_pieces();

  int to_ = -1;    // nothing is written
  int from_ = -1;  // of what is still to be copied
  std::uint64_t offset_ = 0;
  std::uint64_t length_ = 0;
  std::string name_;
  std::uint64_t position_ = 0;
  std::vector<Piece> noted_;
};

}  // namespace sluice::tools
