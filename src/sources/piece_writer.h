// Writes what comes in small pieces (libcurl hands over 16 KiB at a time) to a file in large ones:
// a write costs the file system a lock, a look-up and a note in its journal besides the bytes, and
// large ones can have large pages. With 256 KiB a gigabyte takes 0.4 s of a processor instead of
// 0.75 (`./dev bench --only sources`, ext4), what is received with it.
//
// Those that write to the same file take turns: a file system lets one of them in at a time anyway,
// and Linux lets the others burn a processor until it is their turn (ext4's i_rwsem spins on its
// owner). Asleep they leave it to the digest, and to the server that sends where it is this
// machine: where memory was short a gigabyte took 1.0 s of the processors and not 2.0.
//
// Thread-safety: one thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>

#include "base/file.h"

namespace sluice::sources {

class PieceWriter {
 public:
  static constexpr std::size_t kBuffer = std::size_t{256} << 10;

  // Of a piece that begins at `start` of the file and of which `had` bytes are there. `turn` is of
  // all that write to the file. It, `buffer` and `file` must outlive it.
  PieceWriter(const Fd& file, std::mutex& turn, std::uint64_t start, std::uint64_t had,
              std::span<std::byte> buffer)
      : file_(file), turn_(turn), start_(start), written_(had), buffer_(buffer) {}

  // The next bytes. False: the disk does not take them; `error` is the system's number.
  bool add(std::span<const std::byte> bytes);
  // What was added is in the file.
  bool flush();
  // The piece comes once more from its start. Answers how much there was of it.
  std::uint64_t restart();

  std::uint64_t written() const { return written_; }
  int error() const { return error_; }

 private:
  bool put(std::span<const std::byte> bytes);

  const Fd& file_;
  std::mutex& turn_;
  const std::uint64_t start_;
  std::uint64_t written_;
  const std::span<std::byte> buffer_;
  std::size_t held_ = 0;  // bytes of the buffer that are to be written
  int error_ = 0;
};

}  // namespace sluice::sources
