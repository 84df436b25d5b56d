#include "base/option.h"

#include <array>
#include <cmath>
#include <limits>

#include "base/checked.h"
#include "base/text.h"

namespace sluice {
namespace {

struct Unit {
  std::string_view suffix;
  std::uint64_t factor;
};
constexpr std::array<Unit, 5> kDurations = {
    {{"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}}};
constexpr std::array<Unit, 8> kSizes = {{{"KiB", 1ULL << 10},
                                         {"MiB", 1ULL << 20},
                                         {"GiB", 1ULL << 30},
                                         {"kB", 1000},
                                         {"KB", 1000},
                                         {"MB", 1'000'000},
                                         {"GB", 1'000'000'000},
                                         {"B", 1}}};

// "10ms" → 10 * factor, or nothing.
template <std::size_t N>
std::optional<std::uint64_t> parse_with_unit(std::string_view text,
                                             const std::array<Unit, N>& units) {
  const auto digits = std::min(text.find_first_not_of("0123456789"), text.size());
  const auto number = parse_uint(text.substr(0, digits));
  const auto suffix = trim(text.substr(digits));
  if (!number) return std::nullopt;
  for (const auto& unit : units) {
    if (suffix == unit.suffix) return checked_mul(*number, unit.factor);
  }
  return std::nullopt;
}

void wrong(const Node& node, std::string_view expected, Problems& problems) {
  report(problems, node.place, "'" + printable(node.scalar) + "' is not " + std::string(expected));
}

}  // namespace

void report(Problems& problems, const Place& place, std::string message) {
  problems.push_back({place, std::move(message)});
}

bool expect_scalar(const Node& node, std::string_view expected, Problems& problems) {
  return expect_kind(node, Node::Kind::kScalar, expected, problems);
}

bool expect_kind(const Node& node, Node::Kind kind, std::string_view expected, Problems& problems) {
  if (node.kind == kind) return true;
  static constexpr std::array kNames = {"nothing", "a single value", "a list", "a mapping"};
  report(problems, node.place,
         "expected " + std::string(expected) + ", found " +
             kNames[static_cast<std::size_t>(node.kind)]);
  return false;
}

std::string unknown_key_message(std::string_view key, const std::vector<std::string_view>& known) {
  std::string out = "unknown key '" + printable(key) + "'" + did_you_mean(key, known);
  if (out.back() == '?') return out;
  out += "; known keys: ";
  for (std::size_t i = 0; i < known.size(); ++i) {
    out += (i > 0 ? ", " : "") + std::string(known[i]);
  }
  return out;
}

std::string OptionType<bool>::name() { return "true | false"; }
std::string OptionType<bool>::show(const bool& value) { return value ? "true" : "false"; }
void OptionType<bool>::read(const Node& node, bool& value, Problems& problems) {
  if (!expect_scalar(node, "true or false", problems)) return;
  if (node.scalar == "true" || node.scalar == "True") {
    value = true;
  } else if (node.scalar == "false" || node.scalar == "False") {
    value = false;
  } else {
    wrong(node, "true or false", problems);
  }
}

std::string OptionType<std::int64_t>::name() { return "integer"; }
std::string OptionType<std::int64_t>::show(const std::int64_t& value) {
  return std::to_string(value);
}
void OptionType<std::int64_t>::read(const Node& node, std::int64_t& value, Problems& problems) {
  if (!expect_scalar(node, "an integer", problems)) return;
  const auto parsed = node.quoted ? std::nullopt : parse_int(node.scalar);
  if (!parsed) return wrong(node, "an integer", problems);
  value = *parsed;
}

std::string OptionType<double>::name() { return "number"; }
std::string OptionType<double>::show(const double& value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%g", value);
  return text.data();
}
void OptionType<double>::read(const Node& node, double& value, Problems& problems) {
  if (!expect_scalar(node, "a number", problems)) return;
  const auto parsed = node.quoted ? std::nullopt : parse_double(node.scalar);
  if (!parsed || !std::isfinite(*parsed)) return wrong(node, "a finite number", problems);
  value = *parsed;
}

std::string OptionType<std::string>::name() { return "text"; }
std::string OptionType<std::string>::show(const std::string& value) {
  return value.empty() ? "empty" : value;
}
void OptionType<std::string>::read(const Node& node, std::string& value, Problems& problems) {
  if (expect_scalar(node, "text", problems)) value = node.scalar;
}

std::string OptionType<Millis>::name() { return "duration (ms, s, m, h, d)"; }
std::string OptionType<Millis>::show(const Millis& value) {
  const auto count = value.count();
  if (count != 0 && count % 60'000 == 0) return std::to_string(count / 60'000) + "m";
  if (count != 0 && count % 1000 == 0) return std::to_string(count / 1000) + "s";
  return std::to_string(count) + "ms";
}
void OptionType<Millis>::read(const Node& node, Millis& value, Problems& problems) {
  if (!expect_scalar(node, "a duration such as 10ms", problems)) return;
  const auto parsed = parse_with_unit(node.scalar, kDurations);
  if (!parsed || *parsed > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
    return wrong(node, "a duration; write a whole number and a unit, such as 10ms, 60s or 5m",
                 problems);
  }
  value = Millis(static_cast<std::int64_t>(*parsed));
}

std::string OptionType<Bytes>::name() { return "size (B, kB, MB, GB, KiB, MiB, GiB)"; }
std::string OptionType<Bytes>::show(const Bytes& value) {
  if (value.value != 0 && value.value % (1 << 20) == 0) {
    return std::to_string(value.value >> 20) + "MiB";
  }
  return std::to_string(value.value) + "B";
}
void OptionType<Bytes>::read(const Node& node, Bytes& value, Problems& problems) {
  if (!expect_scalar(node, "a size such as 64MiB", problems)) return;
  auto parsed = parse_with_unit(node.scalar, kSizes);
  if (!parsed) parsed = parse_uint(node.scalar);
  if (!parsed) {
    return wrong(node, "a size; write a whole number and a unit, such as 64MiB", problems);
  }
  value.value = *parsed;
}

}  // namespace sluice
