#include "codecs/number_list.h"

#include <algorithm>
#include <charconv>

namespace sluice::codecs {
namespace {

std::string_view skip_digits(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of("0123456789"), text.size()));
  return text;
}

}  // namespace

bool is_json_number(std::string_view text) {
  text = text.substr(0, text.find_last_not_of(" \t\r\n") + 1);
  if (text.starts_with('-')) text.remove_prefix(1);
  const auto whole = skip_digits(text);
  const auto digits = text.size() - whole.size();
  if (digits == 0 || (digits > 1 && text.front() == '0')) return false;
  text = whole;
  if (text.starts_with('.')) {
    const auto rest = skip_digits(text.substr(1));
    if (rest.size() == text.size() - 1) return false;
    text = rest;
  }
  if (text.starts_with('e') || text.starts_with('E')) {
    text.remove_prefix(1);
    if (text.starts_with('+') || text.starts_with('-')) text.remove_prefix(1);
    const auto rest = skip_digits(text);
    if (rest.size() == text.size()) return false;
    text = rest;
  }
  return text.empty();
}

const char* long_decimal(const char* at, const char* end, double& out) {
  constexpr std::size_t kLongest = 64;
  std::string_view text(at, std::min<std::size_t>(static_cast<std::size_t>(end - at), kLongest));
  text = text.substr(0, text.find_first_not_of("0123456789+-.eE"));
  if (text.size() == kLongest || !is_json_number(text)) return nullptr;
  const char* const last = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), last, out);
  return error == std::errc() && stop == last ? last : nullptr;
}

}  // namespace sluice::codecs
