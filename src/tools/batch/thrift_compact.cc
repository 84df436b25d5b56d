#include "tools/batch/thrift_compact.h"

#include <algorithm>
#include <utility>

namespace sluice::tools {
namespace {

bool is_integer(ThriftType type) { return type >= ThriftType::kI8 && type <= ThriftType::kI64; }
bool is_truth(ThriftType type) { return type <= ThriftType::kFalse; }

void write_varint(std::uint64_t value, std::string& out) {
  while (value >= 0x80) {
    out += static_cast<char>(value | 0x80);
    value >>= 7;
  }
  out += static_cast<char>(value);
}

void write_folded(std::int64_t value, std::string& out) {
  write_varint(static_cast<std::uint64_t>(value) << 1 ^ static_cast<std::uint64_t>(value >> 63),
               out);
}

void write_list_head(ThriftType element, std::size_t count, std::string& out) {
  const auto type = static_cast<unsigned>(element);
  out += static_cast<char>((count < 15 ? count << 4 : 0xF0u) | type);
  if (count >= 15) write_varint(count, out);
}

void write_value(const ThriftValue& value, bool is_field, std::string& out);

void write_items(ThriftType type, const ThriftList& list, std::string& out) {
  if (type != ThriftType::kMap) {
    write_list_head(list.element, list.items.size(), out);
  } else {
    write_varint(list.items.size() / 2, out);
    const auto types = static_cast<unsigned>(list.key) << 4 | static_cast<unsigned>(list.element);
    if (!list.items.empty()) out += static_cast<char>(types);
  }
  for (const auto& item : list.items) write_value(item, false, out);
}

void write_number(ThriftType type, std::int64_t number, std::string& out) {
  if (type == ThriftType::kDouble) {
    for (int shift = 0; shift < 64; shift += 8) out += static_cast<char>(number >> shift);
  } else if (type == ThriftType::kI8 || is_truth(type)) {
    out += static_cast<char>(number);
  } else {
    write_folded(number, out);
  }
}

void write_value(const ThriftValue& value, bool is_field, std::string& out) {
  if (is_truth(value.type) && is_field) return;
  if (const auto* const number = std::get_if<std::int64_t>(&value.held)) {
    write_number(value.type, *number, out);
  } else if (const auto* const text = std::get_if<std::string>(&value.held)) {
    if (value.type == ThriftType::kBinary) write_varint(text->size(), out);
    out += *text;
  } else if (const auto* const list = std::get_if<ThriftList>(&value.held)) {
    write_items(value.type, *list, out);
  } else if (const auto* const fields = std::get_if<ThriftStruct>(&value.held)) {
    write_thrift(*fields, out);
  } else {
    out += std::get<ThriftEncoded>(value.held).bytes;
  }
}

}  // namespace

const ThriftValue* ThriftStruct::find(std::int16_t id) const {
  const auto at = std::ranges::find(fields, id, &Field::id);
  return at == fields.end() ? nullptr : &at->value;
}

ThriftValue* ThriftStruct::find(std::int16_t id) {
  return const_cast<ThriftValue*>(std::as_const(*this).find(id));
}

std::optional<std::int64_t> ThriftStruct::integer(std::int16_t id) const {
  const auto* const value = find(id);
  if (!value || !is_integer(value->type)) return std::nullopt;
  return std::get<std::int64_t>(value->held);
}

std::optional<std::string_view> ThriftStruct::binary(std::int16_t id) const {
  const auto* const value = find(id);
  if (!value || value->type != ThriftType::kBinary) return std::nullopt;
  return std::get<std::string>(value->held);
}

const ThriftList* ThriftStruct::list(std::int16_t id) const {
  const auto* const value = find(id);
  if (!value || value->type != ThriftType::kList) return nullptr;
  return std::get_if<ThriftList>(&value->held);
}

ThriftList* ThriftStruct::list(std::int16_t id) {
  return const_cast<ThriftList*>(std::as_const(*this).list(id));
}

const ThriftStruct* ThriftStruct::structure(std::int16_t id) const {
  const auto* const value = find(id);
  return value ? value->structure() : nullptr;
}

ThriftStruct* ThriftStruct::structure(std::int16_t id) {
  return const_cast<ThriftStruct*>(std::as_const(*this).structure(id));
}

void ThriftStruct::set(std::int16_t id, ThriftValue value) {
  if (auto* const there = find(id)) {
    *there = std::move(value);
    return;
  }
  const auto before = std::ranges::find_if(fields, [id](const Field& f) { return f.id > id; });
  fields.insert(before, Field{id, std::move(value)});
}

void ThriftStruct::erase(std::int16_t id) {
  std::erase_if(fields, [id](const Field& field) { return field.id == id; });
}

void write_thrift(const ThriftStruct& from, std::string& out) {
  std::int16_t last = 0;
  for (const auto& [id, value] : from.fields) {
    const auto type = static_cast<unsigned>(value.type);
    const int step = id - last;
    if (step >= 1 && step <= 15) {
      out += static_cast<char>(static_cast<unsigned>(step) << 4 | type);
    } else {
      out += static_cast<char>(type);
      write_folded(id, out);
    }
    last = id;
    write_value(value, true, out);
  }
  out += '\0';
}

std::string written_list(ThriftType element, std::size_t count, std::string_view items) {
  std::string out;
  write_list_head(element, count, out);
  out += items;
  return out;
}

}  // namespace sluice::tools
