// Names of models and versions as types of their own.
//
// A name is a token: it starts with a letter or digit, goes on with letters, digits, '.', '_' and
// '-', has at most 128 characters and does not end with a dot. It can therefore never be a path,
// contain "..", or break a log line or a metric label. It is checked once, where it enters, and the
// type remembers that it was.
//
// Thread-safety: plain values.
#pragma once

#include <compare>
#include <string>
#include <string_view>

#include "base/error.h"

namespace sluice {

// True when `text` is a valid model or version token.
bool is_token(std::string_view text);

// Natural order: runs of digits compare as numbers, so 1 < 2 < 10 and v1.2 < v1.10. Names that are
// equal as numbers (1 and 01) are ordered by their bytes, so the order is total.
std::strong_ordering natural_compare(std::string_view a, std::string_view b);

template <class Tag>
class Name {
 public:
  // 400 `invalid_name` when `text` is not a token.
  static Result<Name> parse(std::string_view text) {
    if (!is_token(text)) {
      return invalid("invalid_name",
                     std::string(Tag::kWhat) +
                         " name is not valid: use up to 128 letters, digits, '.', '_' or '-', "
                         "beginning with a letter or digit");
    }
    return Name(std::string(text));
  }

  const std::string& str() const { return text_; }
  friend bool operator==(const Name&, const Name&) = default;
  friend auto operator<=>(const Name& a, const Name& b) {
    return natural_compare(a.text_, b.text_);
  }

 private:
  explicit Name(std::string text) : text_(std::move(text)) {}
  std::string text_;
};

struct ModelTag {
  static constexpr std::string_view kWhat = "model";
};
struct VersionTag {
  static constexpr std::string_view kWhat = "version";
};
using ModelName = Name<ModelTag>;
using VersionName = Name<VersionTag>;

}  // namespace sluice
