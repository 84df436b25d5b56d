#include "base/time_text.h"

#include <chrono>
#include <cmath>

#include "base/text.h"

namespace sluice {
namespace {

constexpr std::int64_t kBillion = 1'000'000'000;

// Digits at `text`'s front; they are taken off it.
std::optional<int> take_digits(std::string_view& text, std::size_t count) {
  if (text.size() < count) return std::nullopt;
  int out = 0;
  for (std::size_t i = 0; i < count; ++i) {
    if (text[i] < '0' || text[i] > '9') return std::nullopt;
    out = out * 10 + (text[i] - '0');
  }
  text.remove_prefix(count);
  return out;
}

bool take(std::string_view& text, std::string_view any_of) {
  if (text.empty() || any_of.find(text.front()) == std::string_view::npos) return false;
  text.remove_prefix(1);
  return true;
}

// Minutes east of UTC, at the end of a time.
std::optional<int> take_zone(std::string_view& text) {
  if (text.empty() || take(text, "Zz")) return 0;
  const int sign = text.front() == '-' ? -1 : 1;
  if (!take(text, "+-")) return std::nullopt;
  const auto hours = take_digits(text, 2);
  if (!hours) return std::nullopt;
  take(text, ":");
  const auto minutes = text.empty() ? std::optional(0) : take_digits(text, 2);
  if (!minutes || *hours > 23 || *minutes > 59) return std::nullopt;
  return sign * (*hours * 60 + *minutes);
}

struct DayTime {
  int hours = 0, minutes = 0, seconds = 0;
  std::int64_t nanos = 0;
};

// "10:11:12.5"; the rest of the text is the zone.
std::optional<DayTime> take_day_time(std::string_view& text) {
  DayTime out;
  const auto hours = take_digits(text, 2);
  if (!hours || !take(text, ":")) return std::nullopt;
  const auto minutes = take_digits(text, 2);
  if (!minutes) return std::nullopt;
  out.hours = *hours;
  out.minutes = *minutes;
  if (take(text, ":")) {
    const auto seconds = take_digits(text, 2);
    if (!seconds) return std::nullopt;
    out.seconds = *seconds;
  }
  if (take(text, ".,")) {
    std::int64_t unit = kBillion / 10;
    while (!text.empty() && text.front() >= '0' && text.front() <= '9') {
      out.nanos += (text.front() - '0') * unit;
      unit /= 10;
      text.remove_prefix(1);
    }
  }
  // 60: a leap second counts as the next.
  if (out.hours > 23 || out.minutes > 59 || out.seconds > 60) return std::nullopt;
  return out;
}

std::optional<std::int64_t> nanos_of(std::int64_t seconds, std::int64_t nanos) {
  std::int64_t out = 0;
  if (__builtin_mul_overflow(seconds, kBillion, &out)) return std::nullopt;
  if (__builtin_add_overflow(out, nanos, &out)) return std::nullopt;
  return out;
}

std::optional<std::int64_t> parse_date(std::string_view text) {
  const auto year = take_digits(text, 4);
  if (!year || !take(text, "-")) return std::nullopt;
  const auto month = take_digits(text, 2);
  if (!month || !take(text, "-")) return std::nullopt;
  const auto day = take_digits(text, 2);
  if (!day) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(*year),
                                         std::chrono::month(static_cast<unsigned>(*month)),
                                         std::chrono::day(static_cast<unsigned>(*day))};
  if (!date.ok()) return std::nullopt;
  DayTime time;
  int zone = 0;
  if (!text.empty()) {
    if (!take(text, "Tt ")) return std::nullopt;
    const auto told = take_day_time(text);
    const auto east = told ? take_zone(text) : std::nullopt;
    if (!told || !east || !text.empty()) return std::nullopt;
    time = *told;
    zone = *east;
  }
  const std::int64_t days = std::chrono::sys_days(date).time_since_epoch().count();
  const std::int64_t minutes = (days * 24 + time.hours) * 60 + time.minutes - zone;
  return nanos_of(minutes * 60 + time.seconds, time.nanos);
}

std::optional<std::int64_t> parse_seconds(std::string_view text) {
  if (const auto whole = parse_int(text)) return nanos_of(*whole, 0);
  const auto real = parse_double(text);
  if (!real || !(std::fabs(*real) < 9.2e9)) return std::nullopt;
  const double whole = std::floor(*real);
  // Microseconds are what a double of today's times holds.
  const auto micros = static_cast<std::int64_t>(std::llround((*real - whole) * 1e6));
  return nanos_of(static_cast<std::int64_t>(whole), micros * 1000);
}

}  // namespace

std::optional<std::int64_t> parse_time(std::string_view text) {
  text = trim(text);
  const bool date = text.size() >= 10 && text[4] == '-';
  return date ? parse_date(text) : parse_seconds(text);
}

void append_time(std::int64_t ns, std::string& out) {
  std::int64_t seconds = ns / kBillion;
  std::int64_t nanos = ns % kBillion;
  if (nanos < 0) {
    nanos += kBillion;
    --seconds;
  }
  const std::chrono::sys_seconds at{std::chrono::seconds(seconds)};
  const auto day = std::chrono::floor<std::chrono::days>(at);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss time(at - day);
  const auto digits = [&out](std::int64_t value, int count) {
    char buffer[16];
    for (int i = count; i-- > 0; value /= 10) buffer[i] = static_cast<char>('0' + value % 10);
    out.append(buffer, static_cast<std::size_t>(count));
  };
  digits(static_cast<int>(date.year()), 4);
  out += '-';
  digits(static_cast<unsigned>(date.month()), 2);
  out += '-';
  digits(static_cast<unsigned>(date.day()), 2);
  out += 'T';
  digits(time.hours().count(), 2);
  out += ':';
  digits(time.minutes().count(), 2);
  out += ':';
  digits(time.seconds().count(), 2);
  if (nanos != 0) {
    out += '.';
    if (nanos % 1'000'000 == 0) {
      digits(nanos / 1'000'000, 3);
    } else if (nanos % 1000 == 0) {
      digits(nanos / 1000, 6);
    } else {
      digits(nanos, 9);
    }
  }
  out += 'Z';
}

}  // namespace sluice
