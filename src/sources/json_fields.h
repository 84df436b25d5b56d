// Members of JSON objects that came from outside, or from a file that may be damaged: what is
// missing or of another type is empty. (nlohmann's own accessors throw.)
//
// Thread-safety: functions without state.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

namespace sluice::sources {

inline const nlohmann::json* member_of(const nlohmann::json& object, const char* name) {
  const auto found = object.is_object() ? object.find(name) : object.end();
  return found == object.end() ? nullptr : &*found;
}

// Integers are shown as text, too.
inline std::string text_of(const nlohmann::json& object, const char* name) {
  const auto* found = member_of(object, name);
  if (found == nullptr) return {};
  if (found->is_string()) return found->get<std::string>();
  return found->is_number_integer() ? found->dump() : std::string();
}

inline std::uint64_t number_of(const nlohmann::json& object, const char* name,
                               std::uint64_t otherwise = 0) {
  const auto* found = member_of(object, name);
  if (found == nullptr || !found->is_number_unsigned()) return otherwise;
  return found->get<std::uint64_t>();
}

}  // namespace sluice::sources
