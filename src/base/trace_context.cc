#include "base/trace_context.h"

#include <algorithm>
#include <vector>

#include "base/text.h"

namespace sluice {
namespace {

// 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01
constexpr std::size_t kTraceAt = 3;
constexpr std::size_t kParentAt = 36;
constexpr std::size_t kFlagsAt = 53;
constexpr std::size_t kLength = 55;
constexpr std::uint64_t kSampled = 1;

constexpr std::size_t kMostMembers = 32;
constexpr std::size_t kMostKey = 256;
constexpr std::size_t kMostValue = 256;
constexpr std::size_t kLongMember = 128;

// Of up to 16 digits, in lower case alone.
std::optional<std::uint64_t> read_hex(std::string_view digits) {
  std::uint64_t out = 0;
  for (const char c : digits) {
    const bool number = c >= '0' && c <= '9';
    if (!number && (c < 'a' || c > 'f')) return std::nullopt;
    out = out << 4 | static_cast<std::uint64_t>(number ? c - '0' : c - 'a' + 10);
  }
  return out;
}

void append_hex(std::string& out, std::uint64_t value, int digits) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  for (int at = digits - 1; at >= 0; --at) out += kDigits[value >> (4 * at) & 15];
}

void store(std::uint64_t value, std::byte* out) {
  for (int i = 0; i < 8; ++i) out[i] = static_cast<std::byte>(value >> (56 - 8 * i));
}

std::uint64_t load(const std::byte* in) {
  std::uint64_t out = 0;
  for (int i = 0; i < 8; ++i) out = out << 8 | std::to_integer<std::uint64_t>(in[i]);
  return out;
}

// 00 has this length; what comes later may be longer, after another dash.
bool fits_version(std::string_view header) {
  const auto version = read_hex(header.substr(0, 2));
  if (!version || *version == 0xff) return false;
  return header.size() == kLength || (*version > 0 && header[kLength] == '-');
}

bool is_key(std::string_view key) {
  const auto first = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  const auto more = [&](char c) {
    return first(c) || c == '_' || c == '-' || c == '*' || c == '/' || c == '@';
  };
  return !key.empty() && key.size() <= kMostKey && first(key[0]) && std::ranges::all_of(key, more);
}

bool is_value(std::string_view value) {
  const auto fine = [](char c) { return c >= 0x20 && c <= 0x7e && c != '='; };
  return !value.empty() && value.size() <= kMostValue && value.back() != ' ' &&
         std::ranges::all_of(value, fine);
}

bool is_member(std::string_view member) {
  const auto equals = member.find('=');
  return equals != std::string_view::npos && is_key(member.substr(0, equals)) &&
         is_value(member.substr(equals + 1));
}

std::size_t length_of(const std::vector<std::string_view>& members) {
  std::size_t out = members.empty() ? 0 : members.size() - 1;  // commas
  for (const auto member : members) out += member.size();
  return out;
}

// As the Recommendation says, whole members: long ones first, then from the end.
void shorten(std::vector<std::string_view>& members) {
  for (auto at = members.size(); at-- > 0 && length_of(members) > kMostTraceState;) {
    if (members[at].size() > kLongMember)
      members.erase(members.begin() + static_cast<std::ptrdiff_t>(at));
  }
  while (length_of(members) > kMostTraceState) members.pop_back();
}

}  // namespace

std::optional<TraceParent> parse_traceparent(std::string_view header) {
  header = trim(header);
  if (header.size() < kLength || !fits_version(header)) return std::nullopt;
  if (header[2] != '-' || header[kParentAt - 1] != '-' || header[kFlagsAt - 1] != '-') {
    return std::nullopt;
  }
  const auto high = read_hex(header.substr(kTraceAt, 16));
  const auto low = read_hex(header.substr(kTraceAt + 16, 16));
  const auto parent = read_hex(header.substr(kParentAt, 16));
  const auto flags = read_hex(header.substr(kFlagsAt, 2));
  if (!high || !low || !parent || !flags) return std::nullopt;
  if ((*high | *low) == 0 || *parent == 0) return std::nullopt;
  TraceParent out;
  store(*high, out.trace.data());
  store(*low, out.trace.data() + 8);
  out.parent = *parent;
  out.sampled = (*flags & kSampled) != 0;
  return out;
}

std::string print_traceparent(const TraceParent& parent) {
  std::string out = "00-";
  append_hex(out, load(parent.trace.data()), 16);
  append_hex(out, load(parent.trace.data() + 8), 16);
  out += '-';
  append_hex(out, parent.parent, 16);
  return out + (parent.sampled ? "-01" : "-00");
}

std::string clean_tracestate(std::string_view list) {
  std::vector<std::string_view> members;
  std::vector<std::string_view> keys;
  for (const auto piece : split(list, ',')) {
    const auto member = trim(piece);
    if (member.empty()) continue;
    if (!is_member(member) || members.size() == kMostMembers) return {};
    const auto key = member.substr(0, member.find('='));
    if (std::ranges::find(keys, key) != keys.end()) return {};
    keys.push_back(key);
    members.push_back(member);
  }
  shorten(members);
  std::string out;
  for (const auto member : members) {
    if (!out.empty()) out += ',';
    out += member;
  }
  return out;
}

}  // namespace sluice
