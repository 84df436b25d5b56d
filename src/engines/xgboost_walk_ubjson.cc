// UBJSON (ubjson.org), of it what XGBoost reads: lengths are always of type L.
#include <fmt/format.h>

#include <bit>
#include <cstring>

#include "base/checked.h"
#include "engines/xgboost_walk.h"

namespace sluice::engines {
namespace {

// XGBoost moves on by 32 bits behind a text.
constexpr std::uint64_t kLongestText = std::uint64_t{1} << 30;

// Of a number's bytes; 0: it is none.
std::size_t width_of(char type) {
  switch (type) {
    case 'i':
    case 'U':
    case 'C': return 1;
    case 'I': return 2;
    case 'l':
    case 'd': return 4;
    case 'L':
    case 'D': return 8;
    default: return 0;
  }
}

bool is_fraction(char type) { return type == 'd' || type == 'D'; }

class Walk {
 public:
  Walk(std::string_view bytes, XgboostEvents& events) : bytes_(bytes), events_(events) {}

  Result<void> run() {
    SLUICE_CHECK(value(0));
    if (left() > 0) return damaged_xgboost(fmt::format("{} bytes follow its end", left()));
    return {};
  }

 private:
  std::size_t left() const { return bytes_.size() - at_; }

  static Failure cut_off(std::string_view what, std::size_t at) {
    return damaged_xgboost(fmt::format("{} at byte {} goes on behind its end", what, at));
  }

  Result<char> next() {
    if (left() == 0) return damaged_xgboost("it ends too early");
    return bytes_[at_++];
  }

  Result<void> expect(char wanted) {
    const auto at = at_;
    SLUICE_TRY(const char found, next());
    if (found == wanted) return {};
    return damaged_xgboost(fmt::format("byte {} should be '{}'", at, wanted));
  }

  // Big-endian, with its sign. As many bytes are there.
  std::int64_t number(char type) {
    std::uint64_t bits = 0;
    const auto width = width_of(type);
    for (std::size_t i = 0; i < width; ++i) {
      bits = bits << 8 | static_cast<unsigned char>(bytes_[at_++]);
    }
    if (type == 'U') return static_cast<std::int64_t>(bits);
    const auto shift = 64 - 8 * width;
    return static_cast<std::int64_t>(bits << shift) >> shift;
  }

  // How many follow, of at least `each` bytes. `what`: "an array of {} values".
  Result<std::size_t> count(fmt::format_string<std::int64_t&> what, std::size_t each) {
    const auto at = at_;
    SLUICE_CHECK(expect('L'));
    if (left() < 8) return damaged_xgboost("it ends too early");
    auto said = number('L');
    const auto bytes = checked_mul(said, static_cast<std::int64_t>(each));
    if (said < 0 || !bytes || static_cast<std::uint64_t>(*bytes) > left()) {
      return cut_off(fmt::format(what, said), at);
    }
    return static_cast<std::size_t>(said);
  }

  Result<std::string_view> text() {
    const auto at = at_;
    SLUICE_TRY(const auto size, count("a text of {} bytes", 1));
    if (size > kLongestText) {
      return damaged_xgboost(fmt::format("a text at byte {} is longer than 1 GiB", at));
    }
    const auto out = bytes_.substr(at_, size);
    at_ += size;
    return out;
  }

  Result<void> value(int depth) {
    const auto at = at_;
    SLUICE_TRY(const char type, next());
    switch (type) {
      case '{': return object(depth);
      case '[': return array(depth);
      case 'S': {
        SLUICE_TRY(const auto found, text());
        events_.text(found);
        return {};
      }
      case 'Z':
      case 'T':
      case 'F': events_.others(1); return {};
      default: break;
    }
    const auto width = width_of(type);
    if (width == 0) return damaged_xgboost(fmt::format("byte {} begins no value", at));
    if (left() < width) return cut_off("a number", at);
    numbers(type, 1);
    return {};
  }

  void numbers(char type, std::size_t count) {
    if (is_fraction(type)) {
      at_ += count * width_of(type);
      return events_.others(count);
    }
    for (std::size_t i = 0; i < count; ++i) events_.whole(number(type));
  }

  Result<void> object(int depth) {
    if (depth >= kXgboostDepth) return damaged_xgboost("it is nested too deeply");
    events_.begin(true);
    while (left() > 0 && bytes_[at_] != '}') {
      SLUICE_TRY(const auto name, text());
      events_.key(name);
      SLUICE_CHECK(value(depth + 1));
    }
    SLUICE_CHECK(expect('}'));
    events_.end();
    return {};
  }

  Result<void> array(int depth) {
    if (depth >= kXgboostDepth) return damaged_xgboost("it is nested too deeply");
    events_.begin(false);
    const char first = left() > 0 ? bytes_[at_] : ']';
    if (first == '$') {
      SLUICE_CHECK(typed());
    } else if (first == '#') {
      SLUICE_CHECK(counted(depth));
    } else {
      while (left() > 0 && bytes_[at_] != ']') SLUICE_CHECK(value(depth + 1));
      SLUICE_CHECK(expect(']'));
    }
    events_.end();
    return {};
  }

  // Numbers of one type, one behind the other.
  Result<void> typed() {
    ++at_;
    SLUICE_TRY(const char type, next());
    const auto width = width_of(type);
    if (width == 0) {
      return damaged_xgboost(fmt::format("the array at byte {} is of no type of numbers", at_ - 1));
    }
    SLUICE_CHECK(expect('#'));
    SLUICE_TRY(const auto many, count("an array of {} numbers", width));
    numbers(type, many);
    return {};
  }

  // A value has at least one byte.
  Result<void> counted(int depth) {
    ++at_;
    SLUICE_TRY(const auto many, count("an array of {} values", 1));
    for (std::size_t i = 0; i < many; ++i) SLUICE_CHECK(value(depth + 1));
    return {};
  }

  const std::string_view bytes_;
  XgboostEvents& events_;
  std::size_t at_ = 0;
};

}  // namespace

Result<void> walk_xgboost_ubjson(std::string_view bytes, XgboostEvents& events) {
  return Walk(bytes, events).run();
}

Failure damaged_xgboost(std::string_view what) {
  return invalid("bad_model",
                 fmt::format("the file is damaged: {}; copy it again, or save the model again with "
                             "XGBoost's Booster.save_model(\"model.ubj\")",
                             what));
}

}  // namespace sluice::engines
