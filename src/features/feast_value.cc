#include "features/feast_value.h"

#include <bit>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "base/protowire.h"
#include "features/convert.h"

namespace sluice::features {
namespace {

using Wire = WireReader::Type;

constexpr Unreadable kNoValue{"is not a value of Feast's"};
constexpr Unreadable kUnknown{"is of a type that is not supported"};
constexpr Unreadable kTooLarge{"has an integer in its list that a 64-bit float cannot hold"};

// What an alternative of Value holds, alone or in a list.
enum class Scalar : std::uint8_t { kNone, kText, kInt32, kInt64, kDouble, kFloat, kBool };

struct Alternative {
  Scalar scalar = Scalar::kNone;
  bool list = false;
};

constexpr std::uint32_t kNullField = 19;

Scalar scalar_of(std::uint32_t number) {
  switch (number) {
    case 1:
    case 2: return Scalar::kText;
    case 3: return Scalar::kInt32;
    case 4:
    case 8: return Scalar::kInt64;
    case 5: return Scalar::kDouble;
    case 6: return Scalar::kFloat;
    case 7: return Scalar::kBool;
    default: return Scalar::kNone;
  }
}

// 1 to 8, the same as lists from 11 and as sets from 22; behind them what is a text or a list of
// texts: JSON, UUIDs and decimals.
Alternative alternative_of(std::uint32_t field) {
  if (field <= 8) return {scalar_of(field), false};
  if (field >= 11 && field <= 18) return {scalar_of(field - 10), true};
  if (field >= 22 && field <= 29) return {scalar_of(field - 21), true};
  switch (field) {
    case 32:
    case 36:
    case 37:
    case 44: return {Scalar::kText, false};
    case 33:
    case 38:
    case 39:
    case 40:
    case 41:
    case 45:
    case 46: return {Scalar::kText, true};
    default: return {};
  }
}

Wire wire_of(Scalar scalar) {
  switch (scalar) {
    case Scalar::kText: return Wire::kBytes;
    case Scalar::kDouble: return Wire::kFixed64;
    case Scalar::kFloat: return Wire::kFixed32;
    default: return Wire::kVarint;
  }
}

std::int64_t integer_of(Scalar scalar, std::uint64_t number) {
  if (scalar == Scalar::kInt32) return static_cast<std::int32_t>(number);
  if (scalar == Scalar::kBool) return number != 0 ? 1 : 0;
  return static_cast<std::int64_t>(number);
}

double real_of(Scalar scalar, std::uint64_t number) {
  if (scalar == Scalar::kDouble) return std::bit_cast<double>(number);
  return std::bit_cast<float>(static_cast<std::uint32_t>(number));
}

bool is_real(Scalar scalar) { return scalar == Scalar::kDouble || scalar == Scalar::kFloat; }

// The field that was read last, alone.
FeatureData single(const WireReader& reader, Scalar scalar) {
  if (reader.type() != wire_of(scalar)) return kNoValue;
  if (scalar == Scalar::kText) return std::string(reader.bytes());
  if (scalar == Scalar::kBool) return reader.number() != 0;
  if (is_real(scalar)) return real_of(scalar, reader.number());
  return integer_of(scalar, reader.number());
}

// Numbers and truth values of one list.
class Numbers {
 public:
  explicit Numbers(Scalar scalar) : scalar_(scalar) {}

  void add(std::uint64_t number) {
    if (is_real(scalar_)) {
      values_.push_back(real_of(scalar_, number));
      return;
    }
    const auto integer = integer_of(scalar_, number);
    const auto real = static_cast<double>(integer);
    // 2^63 is what the largest integers are rounded to, and no integer itself.
    exact_ = exact_ && real < 0x1p63 && static_cast<std::int64_t>(real) == integer;
    values_.push_back(real);
  }
  // Packed: one behind the other, without tags.
  bool add_packed(std::string_view bytes) {
    const auto wire = wire_of(scalar_);
    if (wire == Wire::kVarint) {
      WireReader reader(bytes);
      while (!reader.at_end() && reader.ok()) add_varint(reader);
      return reader.ok();
    }
    const std::size_t size = wire == Wire::kFixed64 ? 8 : 4;
    if (bytes.size() % size != 0) return false;
    values_.reserve(values_.size() + bytes.size() / size);
    for (; !bytes.empty(); bytes.remove_prefix(size)) {
      std::uint64_t number = 0;
      std::memcpy(&number, bytes.data(), size);
      add(number);
    }
    return true;
  }
  FeatureData take() && {
    if (!exact_) return kTooLarge;
    return std::move(values_);
  }

 private:
  void add_varint(WireReader& reader) {
    const auto number = reader.varint();
    if (reader.ok()) add(number);
  }

  const Scalar scalar_;
  std::vector<double> values_;
  bool exact_ = true;
};

FeatureData list_of_numbers(WireReader reader, Scalar scalar) {
  Numbers numbers(scalar);
  while (reader.next()) {
    if (reader.field() != 1) continue;
    if (reader.type() == Wire::kBytes) {
      if (!numbers.add_packed(reader.bytes())) return kNoValue;
    } else if (reader.type() == wire_of(scalar)) {
      numbers.add(reader.number());
    } else {
      return kNoValue;
    }
  }
  return reader.ok() ? std::move(numbers).take() : kNoValue;
}

FeatureData list_of_texts(WireReader reader) {
  std::vector<std::string> out;
  while (reader.next()) {
    if (reader.field() != 1) continue;
    if (reader.type() != Wire::kBytes) return kNoValue;
    out.emplace_back(reader.bytes());
  }
  if (!reader.ok()) return kNoValue;
  return out;
}

FeatureData read_field(const WireReader& reader) {
  if (reader.field() == kNullField) return Null{};
  const auto alternative = alternative_of(reader.field());
  if (alternative.scalar == Scalar::kNone) return kUnknown;
  if (!alternative.list) return single(reader, alternative.scalar);
  if (reader.type() != Wire::kBytes) return kNoValue;
  if (alternative.scalar == Scalar::kText) return list_of_texts(WireReader(reader.bytes()));
  return list_of_numbers(WireReader(reader.bytes()), alternative.scalar);
}

}  // namespace

FeatureData feast_value(std::string_view bytes, FeatureType type) {
  WireReader reader(bytes);
  FeatureData out = Null{};
  // Of several alternatives the last one counts, as everywhere in protobuf.
  while (reader.next()) out = read_field(reader);
  return reader.ok() ? coerce(std::move(out), type) : kNoValue;
}

std::optional<std::int64_t> feast_timestamp(std::string_view bytes) {
  WireReader reader(bytes);
  std::int64_t seconds = 0;
  std::int64_t nanos = 0;
  while (reader.next()) {
    if (reader.field() > 2) continue;
    if (reader.type() != Wire::kVarint) return std::nullopt;
    (reader.field() == 1 ? seconds : nanos) = static_cast<std::int64_t>(reader.number());
  }
  std::int64_t out = 0;
  if (!reader.ok() || nanos < 0 || nanos > 999'999'999 ||
      __builtin_mul_overflow(seconds, std::int64_t{1'000'000'000}, &out) ||
      __builtin_add_overflow(out, nanos, &out)) {
    return std::nullopt;
  }
  return out;
}

}  // namespace sluice::features
