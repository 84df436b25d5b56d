#include "tools/batch/line_splitter.h"

#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>

#include "tools/batch/file_bytes.h"

namespace sluice::tools {
namespace {

constexpr std::string_view kMark = "\xEF\xBB\xBF";  // of UTF-8

constexpr std::uint64_t repeated(unsigned char byte) { return 0x0101010101010101u * byte; }

// The highest bit of each byte that is zero, exactly.
constexpr std::uint64_t zeros(std::uint64_t word) {
  constexpr auto kLow = repeated(0x7F);
  return ~(((word & kLow) + kLow) | word | kLow);
}

// The first line end or quote from `at` on, or `end`. Eight bytes at a time.
std::size_t next_mark(const char* text, std::size_t at, std::size_t end) {
  static_assert(std::endian::native == std::endian::little);
  for (; at + 8 <= end; at += 8) {
    std::uint64_t word;
    std::memcpy(&word, text + at, sizeof word);
    const auto hits = zeros(word ^ repeated('\n')) | zeros(word ^ repeated('"'));
    if (hits != 0) return at + static_cast<std::size_t>(std::countr_zero(hits)) / 8;
  }
  while (at < end && text[at] != '\n' && text[at] != '"') ++at;
  return at;
}

bool is_white(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

bool all_white(const char* from, const char* to) {
  while (from != to && is_white(*from)) ++from;
  return from == to;
}

}  // namespace

LineSplitter::LineSplitter(const Fd& fd, std::string_view name, LineKind kind,
                           std::uint64_t part_size, std::size_t piece)
    : fd_(fd),
      name_(name),
      kind_(kind),
      part_size_(part_size),
      piece_(std::max(piece, kMark.size())),
      buffer_(std::make_unique_for_overwrite<char[]>(piece_)) {}

Failure LineSplitter::bad(const std::string& what) const {
  return invalid("bad_table", name_ + ", line " + std::to_string(row_line_) + ": " + what);
}

Result<bool> LineSplitter::refill() {
  if (kind_ == LineKind::kCsv && !quoted_ && size_ > 0) field_front_ = begins_field(size_);
  base_ += size_;
  size_ = 0;
  at_ = 0;
  while (size_ < piece_) {
    const auto got = ::pread(fd_.get(), buffer_.get() + size_, piece_ - size_,
                             static_cast<off_t>(base_ + size_));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0)
      return unavailable("unreadable", name_ + " cannot be read: " + std::strerror(errno));
    if (got == 0) break;
    size_ += static_cast<std::size_t>(got);
  }
  if (base_ == 0 && std::string_view(buffer_.get(), size_).starts_with(kMark)) {
    at_ = kMark.size();
    row_start_ = at_;
  }
  return size_ > 0;
}

bool LineSplitter::begins_field(std::size_t place) const {
  const auto first = row_start_ > base_ ? static_cast<std::size_t>(row_start_ - base_) : 0;
  while (place > first && buffer_[place - 1] == ' ') --place;
  if (place > first) return buffer_[place - 1] == ',';
  // At the front of the row, or before all that is in the buffer.
  return row_start_ >= base_ || field_front_;
}

void LineSplitter::quote(std::size_t place) {
  const auto in_file = base_ + place;
  if (quoted_) {
    quoted_ = false;
    closed_ = in_file + 1;
  } else if ((in_file > row_start_ && closed_ == in_file) || begins_field(place)) {
    quoted_ = true;
  }
}

LineSplitter::Found LineSplitter::find_line() {
  const char* const from = buffer_.get() + at_;
  const auto* const end = static_cast<const char*>(std::memchr(from, '\n', size_ - at_));
  const char* const to = end ? end : buffer_.get() + size_;
  if (!filled_) filled_ = !all_white(from, to);
  at_ = static_cast<std::size_t>(to - buffer_.get()) + (end ? 1 : 0);
  if (!end) return Found::kMore;
  ++line_;
  return Found::kRow;
}

LineSplitter::Found LineSplitter::find_record() {
  const char* const text = buffer_.get();
  if (!filled_ && at_ < size_) {
    // Blanks are a field; only the line end itself is nothing.
    const bool line_end = text[at_] == '\r' && base_ + at_ == row_start_ &&
                          (at_ + 1 == size_ || text[at_ + 1] == '\n');
    filled_ = text[at_] != '\n' && !line_end;
  }
  while (true) {
    const auto place = next_mark(text, at_, size_);
    at_ = place;
    if (place == size_) return Found::kMore;
    ++at_;
    if (text[place] == '"') {
      quote(place);
      continue;
    }
    ++line_;
    if (!quoted_) return Found::kRow;
  }
}

Result<LineSplitter::Row> LineSplitter::end_row() {
  const Row out{row_start_, base_ + at_, filled_ || empty_lines_count_};
  if (out.end - out.start > kLongestRow) {
    return bad("it is longer than 64 MiB; is it a table?");
  }
  if (quoted_) {
    return bad("a field in quotes does not end; expected another \" before the end of the file");
  }
  row_start_ = out.end;
  row_line_ = line_;
  filled_ = false;
  return out;
}

Result<std::optional<LineSplitter::Row>> LineSplitter::row() {
  while (true) {
    if (at_ < size_) {
      const auto found = kind_ == LineKind::kCsv ? find_record() : find_line();
      if (found == Found::kRow) return end_row();
    }
    if (base_ + size_ - row_start_ > kLongestRow && base_ + size_ > row_start_) return end_row();
    SLUICE_TRY(const auto more, refill());
    if (more) continue;
    if (base_ == row_start_) return std::nullopt;
    return end_row();
  }
}

// Commas tell whether there are several columns. A header of one line that has all lines in it
// would give no rows at all.
Result<void> LineSplitter::check_header(const LinePart& header) {
  SLUICE_TRY(const auto text, read_at(fd_, header.offset, header.length, name_));
  bool quoted = false;
  empty_lines_count_ = true;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '"') quoted = !quoted;
    if (quoted) continue;
    if (text[at] == ',') empty_lines_count_ = false;
    if (text[at] == '\r' && at + 1 < text.size() && text[at + 1] != '\n') {
      return invalid("bad_table", name_ +
                                      ", line 1: lines end with \\r alone; expected \\n or \\r\\n: "
                                      "convert the line ends");
    }
  }
  return {};
}

Result<std::optional<LinePart>> LineSplitter::header() {
  if (kind_ != LineKind::kCsv || header_) return header_;
  SLUICE_TRY(const auto first, row());
  if (!first) return std::nullopt;
  if (!first->counts) {
    return invalid("bad_table", name_ + ", line 1: it is empty; expected the names of the columns");
  }
  header_ = LinePart{first->start, first->end - first->start, 0, 0};
  SLUICE_CHECK(check_header(*header_));
  return header_;
}

Result<std::optional<LinePart>> LineSplitter::next() {
  SLUICE_CHECK(header());
  LinePart out;
  out.first_row = rows_;
  while (out.rows == 0 || out.length < part_size_) {
    SLUICE_TRY(const auto found, row());
    if (!found) break;
    if (!found->counts && out.rows == 0) continue;
    if (out.rows == 0) out.offset = found->start;
    out.length = found->end - out.offset;
    if (found->counts) ++out.rows;
  }
  if (out.rows == 0) return std::nullopt;
  rows_ += out.rows;
  return out;
}

}  // namespace sluice::tools
