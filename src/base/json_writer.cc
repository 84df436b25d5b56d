#include "base/json_writer.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "base/text.h"

namespace sluice {
namespace {

bool plain(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte >= 0x20 && byte < 0x80 && c != '"' && c != '\\';
}

template <class T>
void append_number(std::string& out, T number) {
  std::array<char, 32> text;
  const auto [end, error] = std::to_chars(text.data(), text.data() + text.size(), number);
  out.append(text.data(), end);
}

constexpr std::size_t kMostReal = 32;  // characters

// Behind what it wrote.
template <class T>
char* write_real(char* to, T number) {
  if (!std::isfinite(number)) return std::ranges::copy(std::string_view("null"), to).out;
  char* const end = std::to_chars(to, to + kMostReal, number).ptr;
  // "1.0", not "1": a reader of a typed language takes the value for a real number.
  for (const char* at = to; at != end; ++at) {
    if (*at == '.' || *at == 'e') return end;
  }
  return std::ranges::copy(std::string_view(".0"), end).out;
}

template <class T>
void append_real(std::string& out, T number) {
  std::array<char, kMostReal + 2> text;
  out.append(text.data(), write_real(text.data(), number));
}

}  // namespace

JsonWriter& JsonWriter::open(char c) {
  separate();
  out_ += c;
  comma_ = false;
  return *this;
}

JsonWriter& JsonWriter::close(char c) {
  out_ += c;
  comma_ = true;
  return *this;
}

JsonWriter& JsonWriter::key(std::string_view name) {
  separate();
  quote(name);
  out_ += ':';
  comma_ = false;
  return *this;
}

JsonWriter& JsonWriter::quoted_key(std::string_view name) {
  separate();
  out_ += name;
  out_ += ':';
  comma_ = false;
  return *this;
}

JsonWriter& JsonWriter::value(std::string_view text) {
  separate();
  quote(text);
  return *this;
}

JsonWriter& JsonWriter::value(bool flag) { return raw(flag ? "true" : "false"); }
JsonWriter& JsonWriter::null() { return raw("null"); }

JsonWriter& JsonWriter::raw(std::string_view json) {
  separate();
  out_ += json;
  return *this;
}

JsonWriter& JsonWriter::real(float number) {
  separate();
  append_real(out_, number);
  return *this;
}
JsonWriter& JsonWriter::real(double number) {
  separate();
  append_real(out_, number);
  return *this;
}
JsonWriter& JsonWriter::integer(std::int64_t number) {
  separate();
  append_number(out_, number);
  return *this;
}
JsonWriter& JsonWriter::unsigned_integer(std::uint64_t number) {
  separate();
  append_number(out_, number);
  return *this;
}

void JsonWriter::quote(std::string_view text) {
  static constexpr std::string_view kHex = "0123456789abcdef";
  out_ += '"';
  while (!text.empty()) {
    std::size_t run = 0;
    while (run < text.size() && plain(text[run])) ++run;
    out_ += text.substr(0, run);
    text.remove_prefix(run);
    if (text.empty()) break;
    const char c = text.front();
    std::size_t used = 1;
    switch (c) {
      case '"': out_ += "\\\""; break;
      case '\\': out_ += "\\\\"; break;
      case '\n': out_ += "\\n"; break;
      case '\r': out_ += "\\r"; break;
      case '\t': out_ += "\\t"; break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          out_ += "\\u00";
          out_ += kHex[static_cast<unsigned char>(c) >> 4];
          out_ += kHex[static_cast<unsigned char>(c) & 15];
        } else if (const auto length = utf8_length(text); length > 0) {
          out_ += text.substr(0, length);
          used = length;
        } else {
          out_ += "\xEF\xBF\xBD";  // U+FFFD, the replacement character
        }
    }
    text.remove_prefix(used);
  }
  out_ += '"';
}

}  // namespace sluice
