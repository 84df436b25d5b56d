// Thrift's compact protocol as far as the footers of Parquet need it: values of any shape, read
// from bytes, changed and written again. What is not known here is kept as it is.
//
// Source: doc/specs/thrift-compact-protocol.md of Apache Thrift. Reading never looks behind the
// bytes and makes no more than they can hold: nesting, the fields of a structure and the number of
// all values are bounded. Errors, of everything that reads: kInvalidArgument/`bad_thrift`, half a
// sentence with the byte, for the caller to complete.
//
// Thread-safety: plain values and functions without state.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/error.h"

namespace sluice::tools {

// Numbers are the protocol's own.
enum class ThriftType : std::uint8_t {
  kTrue = 1,
  kFalse = 2,
  kI8 = 3,
  kI16 = 4,
  kI32 = 5,
  kI64 = 6,
  kDouble = 7,
  kBinary = 8,
  kList = 9,
  kSet = 10,
  kMap = 11,
  kStruct = 12,
  kUuid = 13,
};

constexpr std::size_t kThriftDepth = 32;        // of structures and lists in one another
constexpr std::size_t kThriftFields = 256;      // of a structure
constexpr std::size_t kThriftValues = 4 << 20;  // of all that is read at once

struct ThriftValue;

// Of a list, a set or a map; of a map the items are key, value, key, value and so on.
struct ThriftList {
  ThriftType element = ThriftType::kI32;  // of a map: of its values
  ThriftType key = ThriftType::kI32;      // of a map alone
  std::vector<ThriftValue> items;
};

// Fields in the order in which they were written, none of them twice.
struct ThriftStruct {
  struct Field;
  std::vector<Field> fields;

  const ThriftValue* find(std::int16_t id) const;
  ThriftValue* find(std::int16_t id);
  // Nothing where the field is missing or is of another type.
  std::optional<std::int64_t> integer(std::int16_t id) const;
  std::optional<std::string_view> binary(std::int16_t id) const;
  const ThriftList* list(std::int16_t id) const;
  ThriftList* list(std::int16_t id);
  const ThriftStruct* structure(std::int16_t id) const;
  ThriftStruct* structure(std::int16_t id);

  // Instead of what the field was; a new one comes before the first with a greater number.
  void set(std::int16_t id, ThriftValue value);
  void erase(std::int16_t id);
};

// A value that is written already.
struct ThriftEncoded {
  std::string bytes;
};

struct ThriftValue {
  ThriftType type = ThriftType::kI32;
  // Integers; of a double its bits; of a truth among a list's items its byte. A truth that is a
  // field has all it says in its type.
  std::variant<std::int64_t, std::string, ThriftList, ThriftStruct, ThriftEncoded> held;

  static ThriftValue i32(std::int32_t value) { return {ThriftType::kI32, std::int64_t{value}}; }
  static ThriftValue i64(std::int64_t value) { return {ThriftType::kI64, value}; }
  const ThriftStruct* structure() const { return std::get_if<ThriftStruct>(&held); }
  ThriftStruct* structure() { return std::get_if<ThriftStruct>(&held); }
};

struct ThriftStruct::Field {
  std::int16_t id = 0;
  ThriftValue value;
};

// Takes a structure off the front of `bytes`. The field `encoded` of it (0: none) is looked through
// but stays as it is written: of a long list no items are made.
Result<ThriftStruct> read_thrift(std::string_view& bytes, std::int16_t encoded = 0);

// The items of a written list, each as it is written. They lie in `bytes`.
Result<std::vector<std::string_view>> items_of_list(std::string_view bytes, ThriftType element);

// Appends to `out`. The same values give the same bytes.
void write_thrift(const ThriftStruct& from, std::string& out);
// A list whose `count` items are written already.
std::string written_list(ThriftType element, std::size_t count, std::string_view items);

}  // namespace sluice::tools
