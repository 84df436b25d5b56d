// The features of one entity as bytes, for the embedded store: one row of its table.
//
//   u8 version (1), i64 time, then for each feature
//   varint id, u8 type (with 0x80: i64, a time of its own), value
//
// All little endian. A time is in nanoseconds since 1970. Values: a truth value is a byte, integers
// and reals are 8 bytes, a text is its length (varint) and its bytes, a list the number of its
// values (varint) and the values; null is nothing. Types have the order of PackedType; new ones are
// added at its end.
//
// Thread-safety: plain values.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "core/feature_value.h"

namespace sluice::features {

struct PackedFeature {
  std::uint32_t id = 0;
  FeatureValue value;  // neither Absent nor Unreadable, which are left out
};

// Appends them to `out`, which is empty.
void pack(std::span<const PackedFeature> features, std::string& out);

// Goes through a body, which may be damaged and must outlive it.
class PackReader {
 public:
  explicit PackReader(std::string_view body);

  // The next feature, if there is one. False at the end, and where the rest cannot be read.
  bool next();
  bool damaged() const { return damaged_; }

  std::uint32_t id() const { return id_; }
  FeatureValue value() const;

 private:
  bool head();
  bool skip_value();
  bool varint(std::uint64_t& out);
  bool bytes(std::uint64_t count, std::string_view& out);
  bool fixed(std::int64_t& out);

  std::string_view rest_;
  bool damaged_ = false;
  std::int64_t common_time_ = 0;
  // Of the feature that was read last.
  std::uint32_t id_ = 0;
  std::uint8_t type_ = 0;
  std::int64_t time_ = 0;
  std::string_view value_;  // checked to be whole
};

}  // namespace sluice::features
