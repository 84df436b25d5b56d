// Reads and writes protobuf's wire format field by field, without a schema and without copies
// (protobuf.dev/programming-guides/encoding). Lengths are checked against what is there before
// anything is looked at, so hostile bytes can only end the reading.
//
//   WireReader reader(bytes);
//   while (reader.next()) if (reader.field() == 7) use(reader.bytes());
//   if (!reader.ok()) ...
//
// Thread-safety: one owner; reads memory that it does not own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace sluice {

class WireReader {
 public:
  enum class Type { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

  explicit WireReader(std::string_view bytes) : rest_(bytes) {}

  // Moves to the next field; false at the end and on malformed input.
  bool next() {
    if (!ok_ || rest_.empty()) return false;
    const auto tag = varint();
    field_ = static_cast<std::uint32_t>(tag >> 3);
    type_ = static_cast<Type>(tag & 7);
    if (field_ == 0) ok_ = false;
    switch (type_) {
      case Type::kVarint: number_ = varint(); break;
      case Type::kFixed64: number_ = fixed<std::uint64_t>(); break;
      case Type::kFixed32: number_ = fixed<std::uint32_t>(); break;
      case Type::kBytes: take_bytes(); break;
      default: ok_ = false;
    }
    return ok_;
  }

  bool ok() const { return ok_; }
  std::uint32_t field() const { return field_; }
  Type type() const { return type_; }
  // The value of a varint or fixed field.
  std::uint64_t number() const { return number_; }
  // The value of a length-delimited field.
  std::string_view bytes() const { return type_ == Type::kBytes ? bytes_ : std::string_view(); }

  // Reads one bare varint, as in packed fields; 0 and !ok() when there is none.
  std::uint64_t varint() {
    std::uint64_t out = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (rest_.empty()) break;
      const auto byte = static_cast<unsigned char>(rest_.front());
      rest_.remove_prefix(1);
      out |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) return out;
    }
    ok_ = false;
    return 0;
  }
  bool at_end() const { return rest_.empty(); }
  // Bytes behind the field that was read last.
  std::size_t left() const { return rest_.size(); }

 private:
  template <class T>
  std::uint64_t fixed() {
    T out = 0;
    if (rest_.size() < sizeof(T)) {
      ok_ = false;
      return 0;
    }
    std::memcpy(&out, rest_.data(), sizeof(T));
    rest_.remove_prefix(sizeof(T));
    return out;
  }
  void take_bytes() {
    const auto length = varint();
    if (!ok_ || length > rest_.size()) {
      ok_ = false;
      return;
    }
    bytes_ = rest_.substr(0, length);
    rest_.remove_prefix(length);
  }

  std::string_view rest_;
  std::string_view bytes_;
  std::uint64_t number_ = 0;
  std::uint32_t field_ = 0;
  Type type_ = Type::kVarint;
  bool ok_ = true;
};

// Appends fields to a string. What is left out is the field's default, as in proto3.
class WireWriter {
 public:
  explicit WireWriter(std::string& out) : out_(out) {}

  void varint(std::uint64_t value) {
    while (value >= 0x80) {
      out_ += static_cast<char>(value | 0x80);
      value >>= 7;
    }
    out_ += static_cast<char>(value);
  }
  void number(std::uint32_t field, std::uint64_t value) {
    tag(field, WireReader::Type::kVarint);
    varint(value);
  }
  // Texts, bytes and messages that are written already.
  void bytes(std::uint32_t field, std::string_view value) {
    begin_bytes(field, value.size());
    out_ += value;
  }
  // The caller appends `size` bytes himself.
  void begin_bytes(std::uint32_t field, std::size_t size) {
    tag(field, WireReader::Type::kBytes);
    varint(size);
  }

 private:
  void tag(std::uint32_t field, WireReader::Type type) {
    varint(std::uint64_t{field} << 3 | static_cast<std::uint64_t>(type));
  }

  std::string& out_;
};

}  // namespace sluice
