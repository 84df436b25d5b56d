#include "base/names.h"

#include <algorithm>

namespace sluice {
namespace {

constexpr std::size_t kMaxName = 128;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_alnum(char c) { return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

std::string_view digits_at(std::string_view text, std::size_t from) {
  std::size_t to = from;
  while (to < text.size() && is_digit(text[to])) ++to;
  return text.substr(from, to - from);
}

// Compares two runs of digits by value, however long they are.
std::strong_ordering compare_digits(std::string_view a, std::string_view b) {
  a.remove_prefix(std::min(a.find_first_not_of('0'), a.size()));
  b.remove_prefix(std::min(b.find_first_not_of('0'), b.size()));
  if (a.size() != b.size()) return a.size() <=> b.size();
  return a.compare(b) <=> 0;
}

}  // namespace

bool is_token(std::string_view text) {
  if (text.empty() || text.size() > kMaxName || !is_alnum(text.front()) || text.back() == '.') {
    return false;
  }
  return std::ranges::all_of(
      text, [](char c) { return is_alnum(c) || c == '.' || c == '_' || c == '-'; });
}

std::strong_ordering natural_compare(std::string_view a, std::string_view b) {
  std::size_t i = 0;
  std::size_t j = 0;
  while (i < a.size() && j < b.size()) {
    if (is_digit(a[i]) && is_digit(b[j])) {
      const auto x = digits_at(a, i);
      const auto y = digits_at(b, j);
      if (auto order = compare_digits(x, y); order != 0) return order;
      i += x.size();
      j += y.size();
    } else {
      if (a[i] != b[j]) return a[i] <=> b[j];
      ++i;
      ++j;
    }
  }
  if (auto order = (a.size() - i) <=> (b.size() - j); order != 0) return order;
  return a.compare(b) <=> 0;
}

}  // namespace sluice
