#include "sources/piece_writer.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace sluice::sources {

bool PieceWriter::put(std::span<const std::byte> bytes) {
  const std::lock_guard turn(turn_);
  while (!bytes.empty()) {
    const auto at = static_cast<off_t>(start_ + written_);
    const auto put = ::pwrite(file_.get(), bytes.data(), std::min(bytes.size(), kWrite), at);
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) {
      error_ = put == 0 ? EIO : errno;
      return false;
    }
    bytes = bytes.subspan(static_cast<std::size_t>(put));
    written_ += static_cast<std::uint64_t>(put);
  }
  return true;
}

bool PieceWriter::add(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const auto take = std::min(bytes.size(), buffer_.size() - held_);
    std::memcpy(buffer_.data() + held_, bytes.data(), take);
    held_ += take;
    bytes = bytes.subspan(take);
    if (held_ == buffer_.size() && !flush()) return false;
  }
  return true;
}

bool PieceWriter::flush() { return put(buffer_.first(std::exchange(held_, 0))); }

std::uint64_t PieceWriter::restart() {
  held_ = 0;
  return std::exchange(written_, 0);
}

}  // namespace sluice::sources
