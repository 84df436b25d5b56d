// Goes through a JSON document, object or list once, strictly: every member is handed to a function
// that must read it, and a key that comes twice is refused. Internal to codecs.
//
// Thread-safety: functions without state; the document belongs to this thread's parser.
#pragma once

#include <algorithm>
#include <array>
#include <set>
#include <string>
#include <string_view>

#include "base/text.h"
#include "codecs/json_input.h"

namespace sluice::codecs {

// Keys seen in one object; a few need no memory of their own. Views must outlive it.
class KeySet {
 public:
  static constexpr std::size_t kMaxKeys = 1024;

  Result<void> add(std::string_view key) {
    const auto so_far = std::span(few_).first(std::min(count_, few_.size()));
    if (std::ranges::find(so_far, key) != so_far.end() || many_.contains(key)) {
      return invalid("duplicate_key", "key '" + printable(key) + "' is given twice");
    }
    if (count_ == kMaxKeys) return invalid("too_many_keys", "an object has more than 1024 keys");
    if (count_ < few_.size()) {
      few_[count_] = key;
    } else {
      many_.insert(key);
    }
    ++count_;
    return {};
  }

 private:
  std::array<std::string_view, 16> few_;
  std::set<std::string_view> many_;
  std::size_t count_ = 0;
};

// `read(key, value)` for each member.
template <class Read>
Result<void> for_each_field(od::object object, Read read) {
  KeySet keys;
  for (auto field : object) {
    std::string_view key;
    od::value value;
    if (auto error = field.unescaped_key().get(key)) {
      return not_json(simdjson::error_message(error));
    }
    if (auto error = field.value().get(value)) return not_json(simdjson::error_message(error));
    SLUICE_CHECK(keys.add(key));
    SLUICE_CHECK(read(key, value));
  }
  return {};
}

// `name` is for messages: "'parameters' must be an object".
template <class Read>
Result<void> for_each_field(od::value value, std::string_view name, Read read) {
  od::object object;
  if (auto error = value.get_object().get(object)) {
    if (error != simdjson::INCORRECT_TYPE) return not_json(simdjson::error_message(error));
    SLUICE_CHECK(visit(value));
    return invalid("wrong_type", "'" + std::string(name) + "' must have objects, not " +
                                     std::string(kind_of(value)));
  }
  return for_each_field(object, read);
}

template <class Read>
Result<void> for_each_element(od::value value, std::string_view name, Read read) {
  od::array array;
  if (auto error = value.get_array().get(array)) {
    if (error != simdjson::INCORRECT_TYPE) return not_json(simdjson::error_message(error));
    SLUICE_CHECK(visit(value));
    return invalid("wrong_type", "'" + std::string(name) + "' must be a list, not " +
                                     std::string(kind_of(value)));
  }
  for (auto element : array) {
    od::value item;
    if (auto error = element.get(item)) return not_json(simdjson::error_message(error));
    SLUICE_CHECK(read(item));
  }
  return {};
}

// A whole document that must be one object. `json` is followed by `kJsonPadding` readable bytes;
// `with` completes the sentence "the body must be a JSON object with …".
template <class Read>
Result<void> read_document(std::string_view json, std::string_view with, Read read) {
  od::document document;
  const simdjson::padded_string_view padded(json.data(), json.size(), json.size() + kJsonPadding);
  if (auto error = thread_parser().iterate(padded).get(document)) {
    return not_json(std::string("the body is not valid JSON: ") + simdjson::error_message(error));
  }
  od::object object;
  if (auto error = document.get_object().get(object)) {
    return not_an_object(error, document, json, with);
  }
  SLUICE_CHECK(for_each_field(object, read));
  const char* rest = nullptr;
  if (document.current_location().get(rest) == simdjson::SUCCESS) {
    return not_json("the body has more after the end of its JSON object");
  }
  return {};
}

}  // namespace sluice::codecs
