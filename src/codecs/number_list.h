// Reads a JSON list of numbers without asking about each one. Internal to codecs.
//
// Most lists hold short decimals ("17.99", "-3", "0.0876"). Their digits are found and read eight
// at a time, without a branch that depends on how many there are; where that does not do, the
// number is read by std::from_chars. Both round correctly, so the result is that of any correct
// reader.
//
// The text must be followed by at least 16 readable bytes.
//
// Sources: reading eight digits with three multiplications is D. Lemire's (2022, "Parsing series of
// integers with SIMD" and the fast_float library); exactness of small decimals is W. D. Clinger's
// fast path (PLDI 1990).
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string_view>

namespace sluice::codecs {

static_assert(std::endian::native == std::endian::little);

// ±digits / 10^fraction
struct Decimal {
  std::uint64_t digits = 0;
  unsigned fraction = 0;
  bool negative = false;

  // Exact while digits < 2^53 and fraction <= 22, which `short_decimal` sees to.
  double value() const;
};

inline constexpr std::array<double, 23> kPowersOfTen = {
    1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
    1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
inline constexpr std::array<std::uint64_t, 9> kSmallPowersOfTen = {
    1, 10, 100, 1'000, 10'000, 100'000, 1'000'000, 10'000'000, 100'000'000};

inline double Decimal::value() const {
  const double magnitude = static_cast<double>(digits) / kPowersOfTen[fraction];
  return negative ? -magnitude : magnitude;
}

inline std::uint64_t eight_bytes(const char* at) {
  std::uint64_t out = 0;
  std::memcpy(&out, at, sizeof(out));
  return out;
}

// How many of the bytes, from the first, are digits.
inline unsigned digit_run(std::uint64_t bytes) {
  const std::uint64_t values = bytes ^ 0x3030303030303030ULL;  // a digit's is below 10
  const std::uint64_t others =
      (((values & 0x7F7F7F7F7F7F7F7FULL) + 0x7676767676767676ULL) | values) & 0x8080808080808080ULL;
  return static_cast<unsigned>(std::countr_zero(others)) / 8;
}

// The number that the first `count` (1 to 8) bytes spell.
inline std::uint64_t digits_value(std::uint64_t bytes, unsigned count) {
  bytes = (bytes << (64 - 8 * count)) & 0x0F0F0F0F0F0F0F0FULL;  // zeros in front
  bytes = (bytes * 2561) >> 8;
  bytes = ((bytes & 0x00FF00FF00FF00FFULL) * 6553601) >> 16;
  return ((bytes & 0x0000FFFF0000FFFFULL) * 42949672960001ULL) >> 32;
}

// Reads a number of up to seven digits before the point and sixteen behind it, that a double
// divides exactly. Answers where it ends, or null when it is not of this form.
inline const char* short_decimal(const char* at, Decimal& out) {
  out.negative = *at == '-';
  at += out.negative ? 1 : 0;
  std::uint64_t bytes = eight_bytes(at);
  const unsigned whole = digit_run(bytes);
  if (whole - 1 > 6 || (whole > 1 && *at == '0')) return nullptr;
  out.digits = digits_value(bytes, whole);
  out.fraction = 0;
  at += whole;
  if (*at != '.') return at;
  bytes = eight_bytes(++at);
  unsigned run = digit_run(bytes);
  if (run == 0) return nullptr;
  out.digits = out.digits * kSmallPowersOfTen[run] + digits_value(bytes, run);
  out.fraction = run;
  at += run;
  if (run < 8) return at;
  bytes = eight_bytes(at);
  run = digit_run(bytes);
  if (run == 0) return at;
  // Below 10^15 so far: eight more fit 64 bits only while there are few.
  if (run == 8 && static_cast<unsigned char>(at[8] - '0') < 10) return nullptr;
  constexpr std::uint64_t kExact = std::uint64_t{1} << 53;
  if (out.digits >= kExact / kSmallPowersOfTen[run]) return nullptr;
  out.digits = out.digits * kSmallPowersOfTen[run] + digits_value(bytes, run);
  out.fraction += run;
  return at + run;
}

// Any JSON number (RFC 8259, section 6) that a double can hold; null where there is none.
const char* long_decimal(const char* at, const char* end, double& out);

// RFC 8259, section 6: tells a number that is too large from text that is no number.
bool is_json_number(std::string_view text);

inline const char* skip_space(const char* at) {
  while (*at == ' ' || *at == '\n' || *at == '\t' || *at == '\r') ++at;
  return at;
}

// Reads a list that begins at `text`'s first byte and gives each element to `take`, which is called
// with a Decimal, or with a double where the number is long or null (NaN), and says whether it can
// use it. False: something in it is not a number or was not taken; what it was is for a reader to
// say that explains itself.
template <class Take>
bool read_number_list(std::string_view text, Take&& take) {
  const char* const end = text.data() + text.size();
  const char* at = skip_space(text.data() + 1);
  while (at < end) {
    Decimal number;
    const char* next = short_decimal(at, number);
    if (next != nullptr && (*next | 0x20) != 'e') {
      if (!take(number)) return false;
    } else {
      double value = std::numeric_limits<double>::quiet_NaN();
      next = std::memcmp(at, "null", 4) == 0 ? at + 4 : long_decimal(at, end, value);
      if (next == nullptr || !take(value)) return false;
    }
    at = skip_space(next);
    if (*at == ']') return at < end;
    if (*at != ',') return false;
    at = skip_space(at + 1);
  }
  return false;
}

}  // namespace sluice::codecs
