#include "tools/batch/thrift_compact.h"

#include <utility>

namespace sluice::tools {
namespace {

constexpr std::size_t kUuidSize = 16;

bool is_type(unsigned number) { return number >= 1 && number <= 13; }
bool is_integer(ThriftType type) { return type >= ThriftType::kI8 && type <= ThriftType::kI64; }
bool is_truth(ThriftType type) { return type <= ThriftType::kFalse; }

class Reader {
 public:
  explicit Reader(std::string_view bytes) : all_(bytes), rest_(bytes) {}

  std::string_view rest() const { return rest_; }

  Result<ThriftStruct> structure(std::size_t depth, std::int16_t encoded = 0);
  // Passes over a value that is checked like one that is made.
  Result<void> skip(ThriftType type, bool is_field, std::size_t depth);
  struct ListHead {
    std::size_t count;
    ThriftType element;
    ThriftType key = ThriftType::kI32;
  };
  Result<ListHead> list_head();

 private:
  struct FieldHead {
    std::int16_t id;
    ThriftType type;
  };
  Failure bad(const std::string& what) const {
    return invalid("bad_thrift",
                   what + " at byte " + std::to_string(all_.size() - rest_.size()) + " of it");
  }
  Result<std::string_view> take(std::size_t size) {
    if (size > rest_.size()) return bad("it ends within a value");
    const auto out = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return out;
  }
  Result<std::uint8_t> byte() {
    SLUICE_TRY(const auto one, take(1));
    return static_cast<std::uint8_t>(one.front());
  }
  Result<std::uint64_t> varint();
  Result<std::int64_t> integer(ThriftType type);
  Result<std::string_view> binary();
  Result<std::size_t> count(std::uint64_t said);
  Result<ListHead> map_head();
  // Nothing at the end of the structure.
  Result<std::optional<FieldHead>> field_head(std::int16_t last);
  Result<ThriftValue> value(ThriftType type, bool is_field, std::size_t depth);
  Result<ThriftValue> list(ThriftType type, std::size_t depth);
  Result<void> skip_struct(std::size_t depth);
  Result<void> skip_list(ThriftType type, std::size_t depth);

  std::string_view all_;
  std::string_view rest_;
  std::size_t values_ = 0;
};

Result<std::uint64_t> Reader::varint() {
  std::uint64_t out = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    SLUICE_TRY(const auto next, byte());
    if (shift == 63 && next > 1) break;
    out |= std::uint64_t{next & 0x7Fu} << shift;
    if (next < 0x80) return out;
  }
  return bad("a number is longer than 64 bits");
}

Result<std::int64_t> Reader::integer(ThriftType type) {
  if (type == ThriftType::kI8) {
    SLUICE_TRY(const auto one, byte());
    return static_cast<std::int8_t>(one);
  }
  SLUICE_TRY(const auto folded, varint());
  const auto out = static_cast<std::int64_t>(folded >> 1) ^ -static_cast<std::int64_t>(folded & 1);
  const bool fits =
      type == ThriftType::kI64 || (type == ThriftType::kI32 ? std::in_range<std::int32_t>(out)
                                                            : std::in_range<std::int16_t>(out));
  if (!fits) return bad("a number is too large for its type");
  return out;
}

Result<std::string_view> Reader::binary() {
  SLUICE_TRY(const auto size, varint());
  if (size > rest_.size()) return bad("a text is longer than what is left");
  return take(static_cast<std::size_t>(size));
}

// Every item has at least a byte, so that a count that cannot be true is known before it is used.
Result<std::size_t> Reader::count(std::uint64_t said) {
  if (said > rest_.size()) return bad("a list is longer than what is left");
  return static_cast<std::size_t>(said);
}

Result<Reader::ListHead> Reader::list_head() {
  SLUICE_TRY(const auto head, byte());
  if (!is_type(head & 0x0Fu)) return bad("a list has items of an unknown type");
  std::uint64_t said = head >> 4;
  if (said == 15) {
    SLUICE_TRY(said, varint());
  }
  SLUICE_TRY(const auto items, count(said));
  return ListHead{items, static_cast<ThriftType>(head & 0x0Fu)};
}

Result<Reader::ListHead> Reader::map_head() {
  SLUICE_TRY(const auto said, varint());
  SLUICE_TRY(const auto pairs, count(said));
  if (pairs == 0) return ListHead{0, ThriftType::kI32};
  SLUICE_TRY(const auto types, byte());
  if (!is_type(types >> 4) || !is_type(types & 0x0Fu)) return bad("a map is of an unknown type");
  return ListHead{pairs * 2, static_cast<ThriftType>(types & 0x0Fu),
                  static_cast<ThriftType>(types >> 4)};
}

Result<std::optional<Reader::FieldHead>> Reader::field_head(std::int16_t last) {
  SLUICE_TRY(const auto head, byte());
  if (head == 0) return std::nullopt;
  if (!is_type(head & 0x0Fu)) return bad("a field is of an unknown type");
  std::int64_t id = last + (head >> 4);
  if ((head >> 4) == 0) {
    SLUICE_TRY(id, integer(ThriftType::kI16));
  }
  if (!std::in_range<std::int16_t>(id)) return bad("a field has a number that is too large");
  return FieldHead{static_cast<std::int16_t>(id), static_cast<ThriftType>(head & 0x0Fu)};
}

Result<ThriftStruct> Reader::structure(std::size_t depth, std::int16_t encoded) {
  if (depth > kThriftDepth) return bad("structures lie too deep in one another");
  ThriftStruct out;
  std::int16_t last = 0;
  while (true) {
    SLUICE_TRY(const auto head, field_head(last));
    if (!head) return out;
    const auto [id, type] = *head;
    if (id <= last && out.find(id)) return bad("a field is there twice");
    if (out.fields.size() == kThriftFields) return bad("a structure has too many fields");
    last = id;
    if (id == encoded && encoded != 0) {
      const auto from = rest_;
      SLUICE_CHECK(skip(type, true, depth + 1));
      const auto size = from.size() - rest_.size();
      out.fields.push_back({id, {type, ThriftEncoded{std::string(from.substr(0, size))}}});
      continue;
    }
    SLUICE_TRY(auto held, value(type, true, depth + 1));
    out.fields.push_back({id, std::move(held)});
  }
}

Result<ThriftValue> Reader::value(ThriftType type, bool is_field, std::size_t depth) {
  if (++values_ > kThriftValues) return bad("there are too many values");
  if (is_truth(type)) {
    if (is_field) return ThriftValue{type, std::int64_t{0}};
    SLUICE_TRY(const auto one, byte());
    return ThriftValue{type, std::int64_t{one}};
  }
  if (is_integer(type)) {
    SLUICE_TRY(const auto number, integer(type));
    return ThriftValue{type, number};
  }
  switch (type) {
    case ThriftType::kDouble: {
      SLUICE_TRY(const auto bytes, take(8));
      std::uint64_t bits = 0;
      for (std::size_t at = 8; at-- > 0;) bits = bits << 8 | static_cast<std::uint8_t>(bytes[at]);
      return ThriftValue{type, static_cast<std::int64_t>(bits)};
    }
    case ThriftType::kBinary: {
      SLUICE_TRY(const auto bytes, binary());
      return ThriftValue{type, std::string(bytes)};
    }
    case ThriftType::kUuid: {
      SLUICE_TRY(const auto bytes, take(kUuidSize));
      return ThriftValue{type, std::string(bytes)};
    }
    case ThriftType::kStruct: {
      SLUICE_TRY(auto fields, structure(depth));
      return ThriftValue{type, std::move(fields)};
    }
    default: return list(type, depth);
  }
}

Result<ThriftValue> Reader::list(ThriftType type, std::size_t depth) {
  if (depth > kThriftDepth) return bad("lists lie too deep in one another");
  const bool is_map = type == ThriftType::kMap;
  SLUICE_TRY(const auto head, is_map ? map_head() : list_head());
  if (head.count > kThriftValues - values_) return bad("there are too many values");
  ThriftList out{head.element, head.key, {}};
  out.items.reserve(head.count);
  for (std::size_t index = 0; index < head.count; ++index) {
    const auto of = is_map && index % 2 == 0 ? head.key : head.element;
    SLUICE_TRY(auto item, value(of, false, depth + 1));
    out.items.push_back(std::move(item));
  }
  return ThriftValue{type, std::move(out)};
}

Result<void> Reader::skip(ThriftType type, bool is_field, std::size_t depth) {
  if (depth > kThriftDepth) return bad("structures lie too deep in one another");
  Result<std::string_view> bytes;
  switch (type) {
    case ThriftType::kTrue:
    case ThriftType::kFalse: bytes = take(is_field ? 0 : 1); break;
    case ThriftType::kDouble: bytes = take(8); break;
    case ThriftType::kUuid: bytes = take(kUuidSize); break;
    case ThriftType::kBinary: bytes = binary(); break;
    case ThriftType::kStruct: return skip_struct(depth);
    case ThriftType::kList:
    case ThriftType::kSet:
    case ThriftType::kMap: return skip_list(type, depth);
    default: {
      SLUICE_CHECK(integer(type));
    }
  }
  SLUICE_CHECK(bytes);
  return {};
}

Result<void> Reader::skip_struct(std::size_t depth) {
  std::int16_t last = 0;
  while (true) {
    SLUICE_TRY(const auto head, field_head(last));
    if (!head) return {};
    last = head->id;
    SLUICE_CHECK(skip(head->type, true, depth + 1));
  }
}

Result<void> Reader::skip_list(ThriftType type, std::size_t depth) {
  const bool is_map = type == ThriftType::kMap;
  SLUICE_TRY(const auto head, is_map ? map_head() : list_head());
  for (std::size_t index = 0; index < head.count; ++index) {
    const auto of = is_map && index % 2 == 0 ? head.key : head.element;
    SLUICE_CHECK(skip(of, false, depth + 1));
  }
  return {};
}

}  // namespace

Result<ThriftStruct> read_thrift(std::string_view& bytes, std::int16_t encoded) {
  Reader reader(bytes);
  SLUICE_TRY(auto out, reader.structure(0, encoded));
  bytes = reader.rest();
  return out;
}

Result<std::vector<std::string_view>> items_of_list(std::string_view bytes, ThriftType element) {
  Reader reader(bytes);
  SLUICE_TRY(const auto head, reader.list_head());
  if (head.count > 0 && head.element != element) {
    return invalid("bad_thrift", "a list has items of another type than expected");
  }
  if (head.count > kThriftValues) return invalid("bad_thrift", "a list has too many items");
  std::vector<std::string_view> out;
  for (std::size_t index = 0; index < head.count; ++index) {
    const auto from = reader.rest();
    SLUICE_CHECK(reader.skip(element, false, 1));
    out.push_back(from.substr(0, from.size() - reader.rest().size()));
  }
  return out;
}

}  // namespace sluice::tools
