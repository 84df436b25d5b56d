#include "transport/grpc.h"

#include <algorithm>
#include <set>

#include "base/text.h"

namespace sluice::transport {

void GrpcMethods::add(std::string path, GrpcMethod method) {
  methods_.insert_or_assign(std::move(path), std::move(method));
}

const GrpcMethod* GrpcMethods::find(std::string_view path) const {
  const auto found = methods_.find(path);
  return found == methods_.end() ? nullptr : &found->second;
}

std::set<std::string> GrpcMethods::paths() const {
  std::set<std::string> out;
  for (const auto& [path, method] : methods_) out.insert(path);
  return out;
}

std::vector<std::string> GrpcMethods::services() const {
  std::set<std::string> names;
  for (const auto& [path, method] : methods_) names.insert(path.substr(1, path.rfind('/') - 1));
  return {names.begin(), names.end()};
}

std::optional<std::chrono::nanoseconds> parse_grpc_timeout(std::string_view text) {
  using namespace std::chrono;
  if (text.size() < 2 || text.size() > 9) return std::nullopt;
  const auto number = parse_uint(text.substr(0, text.size() - 1));
  if (!number) return std::nullopt;
  // Eight digits of hours exceed 64 bits of nanoseconds; a year is for ever.
  const auto longest = duration_cast<nanoseconds>(hours(24 * 366));
  const auto scaled = [&](nanoseconds unit) {
    const auto most = static_cast<std::uint64_t>(longest / unit);
    return unit * static_cast<std::int64_t>(std::min(*number, most));
  };
  switch (text.back()) {
    case 'H': return scaled(hours(1));
    case 'M': return scaled(minutes(1));
    case 'S': return scaled(seconds(1));
    case 'm': return scaled(milliseconds(1));
    case 'u': return scaled(microseconds(1));
    case 'n': return scaled(nanoseconds(1));
    default: return std::nullopt;
  }
}

std::string encode_grpc_message(std::string_view text) {
  static constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7F && c != '%') {
      out += c;
    } else {
      out += '%';
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    }
  }
  return out;
}

void append_grpc_prefix(std::string& out, bool compressed, std::size_t length) {
  const auto size = static_cast<std::uint32_t>(length);
  out += static_cast<char>(compressed ? 1 : 0);
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>((size >> shift) & 0xFF);
}

bool accepts_encoding(std::string_view list, std::string_view encoding) {
  const auto items = split(list, ',');
  return std::ranges::any_of(items, [&](auto item) { return iequals(trim(item), encoding); });
}

}  // namespace sluice::transport
