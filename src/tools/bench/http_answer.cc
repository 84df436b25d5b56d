#include "tools/bench/http_answer.h"

#include "base/text.h"

namespace sluice::tools {
namespace {

constexpr std::string_view kEnd = "\r\n\r\n";

// Of "HTTP/1.1 200 OK"; 0 where it is none.
int status_of(std::string_view line) {
  if (!line.starts_with("HTTP/1.") || line.size() < 12 || line[8] != ' ') return 0;
  return static_cast<int>(parse_uint(line.substr(9, 3)).value_or(0));
}

// What of one header line matters. Most lines are told apart by their first letter.
bool read_line(std::string_view line, AnswerHead& out, bool& sized) {
  const char first = static_cast<char>(line[0] | 0x20);
  if (first != 'c' && first != 't') return true;
  const auto colon = line.find(':');
  if (colon == std::string_view::npos) return true;
  const auto name = line.substr(0, colon);
  const auto value = trim(line.substr(colon + 1));
  if (iequals(name, "content-length")) {
    const auto size = parse_uint(value);
    out.body_size = size.value_or(0);
    sized = true;
    return size.has_value();
  }
  if (iequals(name, "connection")) {
    if (iequals(value, "close")) out.close = true;
    if (iequals(value, "keep-alive")) out.close = false;
  }
  return !iequals(name, "transfer-encoding");
}

}  // namespace

AnswerHead read_answer_head(std::string_view text) {
  AnswerHead out;
  const auto end = text.find(kEnd);
  if (end == std::string_view::npos) return out;
  out.head_size = end + kEnd.size();
  auto rest = text.substr(0, end);
  const auto next_line = [&rest] {
    const auto line = rest.substr(0, rest.find('\r'));
    rest.remove_prefix(line.size() < rest.size() ? line.size() + 2 : rest.size());
    return line;
  };
  const auto first = next_line();
  out.status = status_of(first);
  bool good = out.status >= 200;
  bool sized = out.status == 204 || out.status == 304;
  out.close = first.starts_with("HTTP/1.0");
  while (good && !rest.empty()) {
    const auto line = next_line();
    if (!line.empty()) good = read_line(line, out, sized);
  }
  out.state = good ? AnswerHead::State::kWhole : AnswerHead::State::kBroken;
  out.to_end = !sized;
  out.close = out.close || out.to_end;
  return out;
}

}  // namespace sluice::tools
