// Writes what comes in small pieces (libcurl hands over 16 KiB at a time) to a file in larger ones:
// a write costs the file system a lock, a look-up and a note in its journal besides the bytes.
//
// Those that write to the same file take turns: a file system lets one of them in at a time anyway,
// and Linux lets the others burn a processor until it is their turn (ext4's i_rwsem spins on its
// owner). Asleep they leave it to the digest, and to the server that sends where it is this
// machine.
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
  static constexpr std::size_t kBuffer = std::size_t{256} << 10;  // for one turn
  // Of one write. The file system takes pages of up to its size: of 32 KiB (order 3) they are the
  // largest of which Linux keeps some at hand for each processor. Larger ones may be memory that a
  // virtual machine's host has taken back, and takes microseconds for each 4 KiB to give again:
  // with writes of 256 KiB a gigabyte took 0.9 to 2.2 s of the processors, with 32 KiB 1.0 to 1.3
  // (`./dev bench --only sources`, ext4 and Linux 6.18), what is received and digested with it.
  static constexpr std::size_t kWrite = std::size_t{32} << 10;

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
