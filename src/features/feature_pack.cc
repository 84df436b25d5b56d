#include "features/feature_pack.h"

#include <bit>
#include <cstring>
#include <optional>
#include <variant>
#include <vector>

namespace sluice::features {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr std::uint8_t kVersion = 1;
constexpr std::uint8_t kOwnTime = 0x80;

enum PackedType : std::uint8_t { kNull, kTruth, kInteger, kReal, kText, kReals, kTexts };

template <class T>
void put(T value, std::string& out) {
  out.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

void put_varint(std::uint64_t value, std::string& out) {
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  out += static_cast<char>(value);
}

void put_text(std::string_view text, std::string& out) {
  put_varint(text.size(), out);
  out += text;
}

struct TypeOf {
  using Type = std::optional<PackedType>;
  Type operator()(Null) const { return kNull; }
  Type operator()(bool) const { return kTruth; }
  Type operator()(std::int64_t) const { return kInteger; }
  Type operator()(double) const { return kReal; }
  Type operator()(const std::string&) const { return kText; }
  Type operator()(const std::vector<double>&) const { return kReals; }
  Type operator()(const std::vector<std::string>&) const { return kTexts; }
  // Absent and Unreadable are nothing that is kept.
  Type operator()(Absent) const { return std::nullopt; }
  Type operator()(Unreadable) const { return std::nullopt; }
};

struct AppendValue {
  std::string& out;
  void operator()(bool value) const { out += value ? '\1' : '\0'; }
  void operator()(std::int64_t value) const { put(value, out); }
  void operator()(double value) const { put(value, out); }
  void operator()(const std::string& value) const { put_text(value, out); }
  void operator()(const std::vector<double>& values) const {
    put_varint(values.size(), out);
    out.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(double));
  }
  void operator()(const std::vector<std::string>& values) const {
    put_varint(values.size(), out);
    for (const auto& value : values) put_text(value, out);
  }
  template <class T>
  void operator()(const T&) const {}
};

}  // namespace

void pack(std::span<const PackedFeature> features, std::string& out) {
  // Most often all of them are of one import.
  const std::int64_t common = features.empty() ? 0 : features.front().value.time_ns;
  out += static_cast<char>(kVersion);
  put(common, out);
  for (const auto& [id, value] : features) {
    const auto type = std::visit(TypeOf{}, value.data);
    if (!type) continue;
    const bool own = value.time_ns != common;
    put_varint(id, out);
    out += static_cast<char>(*type | (own ? kOwnTime : 0));
    if (own) put(value.time_ns, out);
    std::visit(AppendValue{out}, value.data);
  }
}

PackReader::PackReader(std::string_view body) : rest_(body) {
  if (!rest_.empty() && static_cast<std::uint8_t>(rest_.front()) == kVersion) {
    rest_.remove_prefix(1);
    damaged_ = !fixed(common_time_);
  } else {
    damaged_ = true;
  }
}

bool PackReader::next() {
  if (damaged_ || rest_.empty()) return false;
  damaged_ = !head() || !skip_value();
  return !damaged_;
}

bool PackReader::head() {
  std::uint64_t id = 0;
  std::string_view type;
  if (!varint(id) || id > UINT32_MAX || !bytes(1, type)) return false;
  id_ = static_cast<std::uint32_t>(id);
  const auto flagged = static_cast<std::uint8_t>(type.front());
  type_ = flagged & ~kOwnTime;
  time_ = common_time_;
  return (flagged & kOwnTime) == 0 || fixed(time_);
}

// Takes the value off the rest, so that value() need not check anything any more.
bool PackReader::skip_value() {
  const auto before = rest_;
  std::uint64_t count = 0;
  std::string_view ignored;
  bool whole = false;
  switch (type_) {
    case kNull: whole = true; break;
    case kTruth: whole = bytes(1, ignored); break;
    case kInteger:
    case kReal: whole = bytes(8, ignored); break;
    case kText: whole = varint(count) && bytes(count, ignored); break;
    case kReals:
      whole = varint(count) && count <= rest_.size() / sizeof(double) &&
              bytes(count * sizeof(double), ignored);
      break;
    case kTexts: {
      // Each takes a byte at least.
      whole = varint(count) && count <= rest_.size();
      std::uint64_t size = 0;
      for (; whole && count > 0; --count) whole = varint(size) && bytes(size, ignored);
      break;
    }
    default: break;
  }
  value_ = before.substr(0, before.size() - rest_.size());
  return whole;
}

FeatureValue PackReader::value() const {
  PackReader in(*this);
  in.rest_ = value_;
  std::uint64_t count = 0;
  std::int64_t number = 0;
  std::string_view text;
  switch (type_) {
    case kTruth: return {value_.front() != '\0', time_};
    case kInteger: in.fixed(number); return {number, time_};
    case kReal: in.fixed(number); return {std::bit_cast<double>(number), time_};
    case kText: in.varint(count); return {std::string(in.rest_), time_};
    case kReals: {
      in.varint(count);
      std::vector<double> out(count);
      if (count > 0) std::memcpy(out.data(), in.rest_.data(), count * sizeof(double));
      return {std::move(out), time_};
    }
    case kTexts: {
      in.varint(count);
      std::vector<std::string> out;
      out.reserve(count);
      for (std::uint64_t size = 0; count > 0; --count) {
        if (in.varint(size) && in.bytes(size, text)) out.emplace_back(text);
      }
      return {std::move(out), time_};
    }
    default: return {Null{}, time_};
  }
}

bool PackReader::varint(std::uint64_t& out) {
  out = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    std::string_view byte;
    if (!bytes(1, byte)) return false;
    const auto bits = static_cast<std::uint8_t>(byte.front());
    out |= std::uint64_t{bits & 0x7fu} << shift;
    if ((bits & 0x80) == 0) return true;
  }
  return false;
}

bool PackReader::bytes(std::uint64_t count, std::string_view& out) {
  if (count > rest_.size()) return false;
  out = rest_.substr(0, count);
  rest_.remove_prefix(count);
  return true;
}

bool PackReader::fixed(std::int64_t& out) {
  std::string_view eight;
  if (!bytes(sizeof(out), eight)) return false;
  std::memcpy(&out, eight.data(), sizeof(out));
  return true;
}

}  // namespace sluice::features
