// Writes JSON into a string, forward only. Numbers are the shortest text that reads back to the
// same value; what is not finite becomes null, since bare NaN is not JSON. Text is escaped, and
// bytes that are not UTF-8 are replaced, so the output is always valid.
//
// Thread-safety: one owner.
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>

namespace sluice {

class JsonWriter {
 public:
  explicit JsonWriter(std::string& out) : out_(out) {}

  JsonWriter& begin_object() { return open('{'); }
  JsonWriter& end_object() { return close('}'); }
  JsonWriter& begin_array() { return open('['); }
  JsonWriter& end_array() { return close(']'); }

  JsonWriter& key(std::string_view name);
  // One that is written already, quotes and all.
  JsonWriter& quoted_key(std::string_view name);
  JsonWriter& value(std::string_view text);
  JsonWriter& value(const char* text) { return value(std::string_view(text)); }
  JsonWriter& value(bool flag);
  JsonWriter& value(std::same_as<float> auto number) { return real(number); }
  JsonWriter& value(std::same_as<double> auto number) { return real(number); }
  template <std::integral T>
  requires(!std::same_as<T, bool>) JsonWriter& value(T number) {
    if constexpr (std::is_signed_v<T>)
      return integer(static_cast<std::int64_t>(number));
    else
      return unsigned_integer(static_cast<std::uint64_t>(number));
  }
  JsonWriter& null();
  // Text that is JSON already.
  JsonWriter& raw(std::string_view json);

  template <class T>
  JsonWriter& field(std::string_view name, const T& v) {
    return key(name).value(v);
  }

 private:
  JsonWriter& open(char c);
  JsonWriter& close(char c);
  JsonWriter& real(float number);
  JsonWriter& real(double number);
  JsonWriter& integer(std::int64_t number);
  JsonWriter& unsigned_integer(std::uint64_t number);
  void separate() {
    if (comma_) out_ += ',';
    comma_ = true;
  }
  void quote(std::string_view text);

  std::string& out_;
  bool comma_ = false;
};

}  // namespace sluice
