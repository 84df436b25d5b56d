// One feature of one entity, as a store keeps it or a client sends it.
//
// Thread-safety: plain values.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace sluice {

struct Absent {};  // there is no such feature
struct Null {};    // there is, without a value
// There is something, and it cannot be read as what it should be. A literal: "is not a number".
struct Unreadable {
  std::string_view why;
};

// A point in time that a store keeps as a value (Feast's UNIX_TIMESTAMP) is an integer: seconds
// since 1970. Bytes are a text.
using FeatureData = std::variant<Absent, Null, bool, std::int64_t, double, std::string,
                                 std::vector<double>, std::vector<std::string>, Unreadable>;

struct FeatureValue {
  FeatureData data;
  std::int64_t time_ns = 0;  // when it was true, since 1970; 0: nobody knows
};

// What is known of one entity, in the order of the lookup's features.
struct FeatureRow {
  bool known = false;  // false: there is no such entity, or it has none of these features
  std::vector<FeatureValue> values;

  // Of memory, about.
  std::size_t bytes() const;
};

}  // namespace sluice
