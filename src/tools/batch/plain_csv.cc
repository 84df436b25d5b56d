#include "tools/batch/plain_csv.h"

#include <array>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>

#include "tools/batch/element.h"

namespace sluice::tools::batch {
namespace {

// The engine for tables has a limit of its own for lines, and a message.
constexpr std::ptrdiff_t kLongestLine = 1 << 20;

// Powers of ten that are doubles, all of them exactly.
constexpr std::array<double, 23> kPowers = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                            1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                            1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
constexpr std::uint64_t kExact = std::uint64_t{1} << 53;
constexpr std::ptrdiff_t kMostDigits = 19;  // of a number of 64 bits

bool is_digit(char c) { return static_cast<unsigned char>(c - '0') < 10; }

// Digits with or without a point, few enough for the quotient of two exact doubles, which is
// rounded once and so is the nearest (Clinger, "How to read floating point numbers accurately",
// 1990).
std::optional<double> short_decimal(const char* at, const char* end) {
  const bool negative = at != end && *at == '-';
  if (negative) ++at;
  std::uint64_t whole = 0;
  const char* const digits = at;
  for (; at != end && is_digit(*at); ++at) whole = whole * 10 + static_cast<unsigned>(*at - '0');
  std::ptrdiff_t count = at - digits;
  std::ptrdiff_t places = 0;
  if (at != end && *at == '.') {
    const char* const behind = ++at;
    for (; at != end && is_digit(*at); ++at) whole = whole * 10 + static_cast<unsigned>(*at - '0');
    places = at - behind;
    count += places;
  }
  if (at != end || count == 0 || count > kMostDigits || whole > kExact) return std::nullopt;
  const double value = static_cast<double>(whole) / kPowers[static_cast<std::size_t>(places)];
  return negative ? -value : value;
}

bool is_plain(std::string_view text) {
  // No branch: many bytes at once.
  unsigned other = 0;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    other |= static_cast<unsigned>(byte >= 0x80) | static_cast<unsigned>(byte == 0) |
             static_cast<unsigned>(byte == '"');
  }
  if (other != 0) return false;
  for (auto at = text.find('\r'); at != std::string_view::npos; at = text.find('\r', at + 1)) {
    if (at + 1 == text.size() || text[at + 1] != '\n') return false;
  }
  return true;
}

}  // namespace

PlainCsv::PlainCsv(std::string_view text, std::size_t columns, std::span<const std::size_t> wanted)
    : at_(text.data()),
      end_(text.data() + text.size()),
      columns_(columns),
      wanted_of_(columns),
      values_(wanted.size() * kMostRows),
      plain_(is_plain(text)) {
  for (std::size_t i = 0; i < wanted.size(); ++i) wanted_of_[wanted[i]].push_back(i);
}

std::size_t PlainCsv::next() {
  std::size_t rows = 0;
  while (plain_ && rows < kMostRows && at_ != end_) {
    plain_ = read_row(rows);
    ++rows;
  }
  return plain_ ? rows : 0;
}

bool PlainCsv::read_row(std::size_t row) {
  const char* const begin = at_;
  // An empty line is a row, or none, or an end: whoever knows, knows.
  if (*at_ == '\n' || *at_ == '\r') return false;
  for (std::size_t column = 0; column < columns_; ++column) {
    const char* const end = read_field(at_, column, row);
    if (!end) return false;
    const bool last = column + 1 == columns_;
    if (end == end_) {
      at_ = end;
      return last;
    }
    if (last != (*end == '\n')) return false;
    at_ = end + 1;
  }
  return at_ - begin <= kLongestLine;
}

// Where it ends: at a comma, a line end or that of the text. Null: it is no number and should be.
const char* PlainCsv::read_field(const char* at, std::size_t column, std::size_t row) {
  const char* end = at;
  while (end != end_ && *end != ',' && *end != '\n') ++end;
  if (wanted_of_[column].empty()) return end;
  const bool carriage = end != at && end[-1] == '\r';
  const char* const behind = carriage ? end - 1 : end;
  auto number = short_decimal(at, behind);
  if (!number) number = number_of({at, static_cast<std::size_t>(behind - at)});
  if (!number) return nullptr;
  for (const auto place : wanted_of_[column]) values_[place * kMostRows + row] = *number;
  return end;
}

}  // namespace sluice::tools::batch
