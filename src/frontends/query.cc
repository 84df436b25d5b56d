#include "frontends/query.h"

#include "base/text.h"

namespace sluice::frontends {
namespace {

int hex(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// What is no escape stays as it is.
std::string decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool escape =
        text[i] == '%' && i + 2 < text.size() && hex(text[i + 1]) >= 0 && hex(text[i + 2]) >= 0;
    if (escape) {
      out += static_cast<char>(hex(text[i + 1]) * 16 + hex(text[i + 2]));
      i += 2;
    } else {
      out += text[i] == '+' ? ' ' : text[i];
    }
  }
  return out;
}

}  // namespace

std::optional<std::string> query_value(std::string_view query, std::string_view name) {
  for (const auto piece : split(query, '&')) {
    const auto equals = piece.find('=');
    if (decoded(piece.substr(0, equals)) != name) continue;
    return equals == std::string_view::npos ? "" : decoded(piece.substr(equals + 1));
  }
  return std::nullopt;
}

}  // namespace sluice::frontends
