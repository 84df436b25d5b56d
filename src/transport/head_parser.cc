#include "transport/head_parser.h"

#include <algorithm>
#include <array>
#include <optional>

#include "base/text.h"

namespace sluice::transport {
namespace {

using Refused = std::unexpected<Refusal>;

Refused bad(std::string_view message) { return Refused(Refusal{400, "bad_request", message}); }

// Every character of every head is looked up: tables, built at compile time.
using CharSet = std::array<bool, 256>;
constexpr CharSet letters_digits_and(std::string_view others) {
  CharSet set{};
  for (int c = 0; c < 256; ++c) {
    set[static_cast<std::size_t>(c)] =
        (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  }
  for (const char c : others) set[static_cast<unsigned char>(c)] = true;
  return set;
}
constexpr CharSet kControls = [] {
  CharSet set{};
  for (std::size_t c = 0; c < 0x20; ++c) set[c] = c != '\t';
  set[0x7F] = true;
  return set;
}();
constexpr CharSet kTokenChars = letters_digits_and("!#$%&'*+-.^_`|~");
constexpr CharSet kHostChars = letters_digits_and("-._~:[]!$&'()*+,;=%");

bool is_token_char(char c) { return kTokenChars[static_cast<unsigned char>(c)]; }
bool is_host_char(char c) { return kHostChars[static_cast<unsigned char>(c)]; }

// Reads the lines of a head one after the other; only CRLF ends a line.
class Lines {
 public:
  explicit Lines(std::string_view head) : rest_(head) {}
  std::optional<std::string_view> next() {
    const auto end = rest_.find("\r\n");
    if (end == std::string_view::npos || end == 0) return std::nullopt;
    const auto line = rest_.substr(0, end);
    rest_.remove_prefix(end + 2);
    return line;
  }

 private:
  std::string_view rest_;
};

bool has_control(std::string_view text) {
  return std::ranges::any_of(text, [](char c) { return kControls[static_cast<unsigned char>(c)]; });
}

std::expected<void, Refusal> read_request_line(std::string_view line, const HttpLimits& limits,
                                               Framing& framing, RequestHead& out,
                                               std::string_view& target) {
  if (line.size() > limits.request_line) {
    return Refused(Refusal{414, "target_too_long", "the request line is longer than 8 KiB"});
  }
  const auto first = line.find(' ');
  const auto last = line.rfind(' ');
  if (first == std::string_view::npos || first == last || first == 0) {
    return bad("the request line must be METHOD TARGET HTTP/1.1");
  }
  out.method = line.substr(0, first);
  if (!std::ranges::all_of(out.method, is_token_char)) return bad("the method is not a token");
  target = line.substr(first + 1, last - first - 1);
  if (target.find(' ') != std::string_view::npos || has_control(target)) {
    return bad("the request target has spaces or control characters");
  }
  const auto version = line.substr(last + 1);
  const bool shape = version.size() == 8 && version.starts_with("HTTP/") && version[6] == '.' &&
                     version[5] >= '0' && version[5] <= '9' && version[7] >= '0' &&
                     version[7] <= '9';
  if (!shape) return bad("the HTTP version is malformed");
  if (version != "HTTP/1.1" && version != "HTTP/1.0") {
    return Refused(
        Refusal{505, "http_version", "only HTTP/1.0, HTTP/1.1 and HTTP/2 are spoken here"});
  }
  framing.http10 = version == "HTTP/1.0";
  framing.keep_alive = !framing.http10;
  return {};
}

// 1*DIGIT and nothing else: no sign, space, list or hexadecimal.
std::optional<std::uint64_t> content_length(std::string_view value) {
  if (value.empty() || value.size() > 19 ||
      value.find_first_not_of("0123456789") != std::string_view::npos) {
    return std::nullopt;
  }
  return parse_uint(value);
}

std::expected<void, Refusal> check_coding(std::string_view value) {
  std::size_t chunked = 0;
  bool last_is_chunked = false;
  bool unknown = false;
  for (const auto coding : split(value, ',')) {
    last_is_chunked = iequals(trim(coding), "chunked");
    chunked += last_is_chunked ? 1 : 0;
    unknown = unknown || !last_is_chunked;
  }
  if (chunked > 1 || (chunked == 1 && !last_is_chunked)) {
    return bad("Transfer-Encoding must be chunked, once");
  }
  if (unknown) {
    return Refused(Refusal{501, "unknown_transfer_coding",
                           "the only transfer coding that is understood is chunked"});
  }
  return {};
}

// The port of an authority is at most five digits (RFC 3986, section 3.2.3).
bool valid_port(std::string_view host) {
  const auto colon = host.rfind(':');
  if (colon == std::string_view::npos || host.find(']', colon) != std::string_view::npos) {
    return true;
  }
  const auto port = host.substr(colon + 1);
  return port.size() <= 5 && port.find_first_not_of("0123456789") == std::string_view::npos;
}

bool valid_host(std::string_view host) {
  if (host.empty() || !valid_port(host)) return false;
  return std::ranges::all_of(host, is_host_char);
}

// What of the header lines matters for framing, and how often it was there.
struct Seen {
  int hosts = 0;
  int lengths = 0;
  int codings = 0;
};

std::expected<void, Refusal> read_connection(std::string_view value, Framing& framing) {
  for (const auto option : split(value, ',')) {
    if (iequals(trim(option), "close")) framing.keep_alive = false;
    if (iequals(trim(option), "keep-alive") && framing.http10) framing.keep_alive = true;
  }
  return {};
}

std::expected<void, Refusal> read_header(const Header& header, Framing& framing, Seen& seen) {
  // Few lengths matter, and most headers have another.
  switch (header.name.size()) {
    case 4:
      if (!iequals(header.name, "host")) break;
      ++seen.hosts;
      if (!valid_host(header.value)) return bad("the Host header is not valid");
      break;
    case 6:
      if (!iequals(header.name, "expect")) break;
      if (!iequals(header.value, "100-continue")) {
        return Refused(
            Refusal{417, "expectation", "the only expectation that is met is 100-continue"});
      }
      framing.expect_continue = true;
      break;
    case 10:
      if (iequals(header.name, "connection")) return read_connection(header.value, framing);
      break;
    case 14: {
      if (!iequals(header.name, "content-length")) break;
      ++seen.lengths;
      const auto length = content_length(header.value);
      if (!length) return bad("Content-Length must be a decimal number");
      framing.content_length = *length;
      break;
    }
    case 17:
      if (!iequals(header.name, "transfer-encoding")) break;
      ++seen.codings;
      framing.chunked = true;
      return check_coding(header.value);
    default: break;
  }
  return {};
}

std::expected<Header, Refusal> read_line(std::string_view line) {
  if (line.front() == ' ' || line.front() == '\t')
    return bad("folded header lines are not accepted");
  const auto colon = line.find(':');
  if (colon == std::string_view::npos || colon == 0) return bad("a header line has no name");
  const auto name = line.substr(0, colon);
  if (!std::ranges::all_of(name, is_token_char)) return bad("a header name is not a token");
  auto value = line.substr(colon + 1);
  if (has_control(value)) return bad("a header value has control characters");
  value.remove_prefix(std::min(value.find_first_not_of(" \t"), value.size()));
  // Only spaces before a length may be cut off: "5 " is not a number for everybody.
  const bool exact = name.size() == 14 && iequals(name, "content-length");
  return Header{name, exact ? value : trim(value)};
}

std::expected<void, Refusal> check_together(const Framing& framing, const Seen& seen) {
  if (seen.lengths > 1) return bad("Content-Length is given twice");
  if (seen.codings > 1) return bad("Transfer-Encoding is given twice");
  if (seen.codings > 0 && seen.lengths > 0) {
    return bad("Content-Length and Transfer-Encoding exclude each other");
  }
  if (framing.chunked && framing.http10) return bad("HTTP/1.0 has no Transfer-Encoding");
  if (seen.hosts > 1) return bad("Host is given twice");
  if (seen.hosts == 0 && !framing.http10) return bad("HTTP/1.1 needs a Host header");
  return {};
}

int hex(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::expected<std::string, Refusal> decode(std::string_view path) {
  std::string out;
  out.reserve(path.size());
  for (std::size_t i = 0; i < path.size(); ++i) {
    if (path[i] != '%') {
      out += path[i];
      continue;
    }
    const int high = i + 2 < path.size() ? hex(path[i + 1]) : -1;
    const int low = i + 2 < path.size() ? hex(path[i + 2]) : -1;
    if (high < 0 || low < 0) return bad("the path has a malformed percent-encoding");
    const char c = static_cast<char>(high * 16 + low);
    if (c == '/' || c == '\\' || c == '\0') return bad("the path hides a separator");
    out += c;
    i += 2;
  }
  return out;
}

}  // namespace

bool is_field_line(std::string_view line) {
  const auto colon = line.find(':');
  return colon != std::string_view::npos && colon > 0 &&
         std::ranges::all_of(line.substr(0, colon), is_token_char) &&
         !has_control(line.substr(colon));
}

std::expected<Framing, Refusal> parse_head(std::string_view head, const HttpLimits& limits,
                                           RequestHead& out, std::string_view& target) {
  if (head.size() > limits.head) {
    return Refused(Refusal{431, "headers_too_large", "the headers are larger than 32 KiB"});
  }
  out.headers.clear();
  Lines lines(head);
  const auto request_line = lines.next();
  if (!request_line) return bad("the request line is missing");
  Framing framing;
  if (auto ok = read_request_line(*request_line, limits, framing, out, target); !ok) {
    return Refused(ok.error());
  }
  Seen seen;
  while (const auto line = lines.next()) {
    if (out.headers.size() == limits.headers) {
      return Refused(Refusal{431, "headers_too_large", "the request has more than 100 headers"});
    }
    auto header = read_line(*line);
    if (!header) return Refused(header.error());
    if (auto ok = read_header(*header, framing, seen); !ok) return Refused(ok.error());
    out.headers.push_back(*header);
  }
  if (auto ok = check_together(framing, seen); !ok) return Refused(ok.error());
  return framing;
}

std::expected<Target, Refusal> check_target(std::string_view target, std::string_view host,
                                            std::string& storage) {
  if (target.starts_with("http://") || target.starts_with("https://")) {
    const auto authority = target.substr(target.find("//") + 2);
    const auto slash = authority.find('/');
    if (!iequals(authority.substr(0, slash), host)) {
      return bad("the target names another host than the Host header");
    }
    target = slash == std::string_view::npos ? "/" : authority.substr(slash);
  }
  if (!target.starts_with('/')) return bad("the target must begin with '/'");
  if (!std::ranges::all_of(target, [](char c) { return c > 0x20 && c < 0x7F; })) {
    return bad("the target has characters that must be percent-encoded");
  }
  Target out;
  const auto question = target.find('?');
  if (question != std::string_view::npos) out.query = target.substr(question + 1);
  out.path = target.substr(0, question);
  if (out.path.find('#') != std::string_view::npos) return bad("the target has a fragment");
  if (out.path.find('%') != std::string_view::npos) {
    auto decoded = decode(out.path);
    if (!decoded) return Refused(decoded.error());
    storage = std::move(*decoded);
    out.path = storage;
  }
  if (has_control(out.path) || out.path.find('\\') != std::string_view::npos) {
    return bad("the path has characters that are not accepted");
  }
  // "//", "/./" and "/../" mean different things to different programs in a row.
  auto rest = out.path.substr(1);
  while (!rest.empty()) {
    const auto end = std::min(rest.find('/'), rest.size());
    const auto segment = rest.substr(0, end);
    const auto name = segment.substr(0, segment.find(';'));
    if (segment.empty() || name == "." || name == "..") {
      return bad("the path has empty or dot segments");
    }
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return out;
}

}  // namespace sluice::transport
