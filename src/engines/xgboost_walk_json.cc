// JSON (RFC 8259), with the literals NaN and Infinity, which XGBoost writes and reads.
#include <fmt/format.h>

#include <charconv>

#include "base/text.h"
#include "engines/xgboost_walk.h"

namespace sluice::engines {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

class Walk {
 public:
  Walk(std::string_view text, XgboostEvents& events) : text_(text), events_(events) {}

  Result<void> run() {
    SLUICE_CHECK(value(0));
    skip_spaces();
    if (at_ < text_.size()) return broken("something follows its end");
    return {};
  }

 private:
  Failure broken(std::string_view what) const {
    return damaged_xgboost(fmt::format("it is not valid JSON: {} at byte {}", what, at_));
  }

  // 0 behind the end, where no text of JSON has one.
  char here() const { return at_ < text_.size() ? text_[at_] : '\0'; }

  void skip_spaces() {
    while (here() == ' ' || here() == '\n' || here() == '\r' || here() == '\t') ++at_;
  }

  // Whether it is next, behind spaces; then it is passed.
  bool pass(char wanted) {
    skip_spaces();
    if (here() != wanted) return false;
    ++at_;
    return true;
  }

  bool pass(std::string_view wanted) {
    if (!text_.substr(at_).starts_with(wanted)) return false;
    at_ += wanted.size();
    return true;
  }

  Result<void> value(int depth) {
    skip_spaces();
    switch (here()) {
      case '{': return object(depth);
      case '[': return array(depth);
      case '"': {
        SLUICE_TRY(const auto found, quoted());
        events_.text(found);
        return {};
      }
      default: return literal();
    }
  }

  Result<void> literal() {
    if (here() == '-' || is_digit(here())) return number();
    for (const std::string_view word : {"true", "false", "null", "NaN", "Infinity"}) {
      if (!pass(word)) continue;
      events_.others(1);
      return {};
    }
    return broken(at_ < text_.size() ? "there is no value" : "it ends too early,");
  }

  bool digits() {
    const auto first = at_;
    while (is_digit(here())) ++at_;
    return at_ > first;
  }

  Result<void> number() {
    const auto first = at_;
    if (here() == '-') ++at_;
    if (pass("Infinity")) {
      events_.others(1);
      return {};
    }
    const bool zero = here() == '0';
    const auto leading = at_;
    if (!digits() || (zero && at_ > leading + 1)) return broken("there is no number");
    const auto whole = text_.substr(first, at_ - first);
    const bool fraction = here() == '.' || here() == 'e' || here() == 'E';
    if (here() == '.' && (++at_, !digits())) return broken("there is no number");
    if (here() == 'e' || here() == 'E') {
      ++at_;
      if (here() == '+' || here() == '-') ++at_;
      if (!digits()) return broken("there is no number");
    }
    // One that no integer holds is none, as a fraction.
    const auto held = fraction ? std::nullopt : parse_int(whole);
    if (held) {
      events_.whole(*held);
    } else {
      events_.others(1);
    }
    return {};
  }

  // What is between quotes, as it stands there.
  Result<std::string_view> quoted() {
    const auto first = ++at_;
    while (at_ < text_.size() && text_[at_] != '"') {
      if (static_cast<unsigned char>(text_[at_]) < 0x20)
        return broken("there is a bare control character");
      if (text_[at_] == '\\') ++at_;
      ++at_;
    }
    if (at_ >= text_.size()) return broken("a text does not end");
    return text_.substr(first, at_++ - first);
  }

  Result<void> object(int depth) {
    if (depth >= kXgboostDepth) return broken("it is nested too deeply");
    ++at_;
    events_.begin(true);
    bool more = !pass('}');
    while (more) {
      skip_spaces();
      if (here() != '"') return broken("there is no name in quotes");
      SLUICE_TRY(const auto name, quoted());
      if (!pass(':')) return broken("there is no ':'");
      events_.key(name);
      SLUICE_CHECK(value(depth + 1));
      more = pass(',');
      if (!more && !pass('}')) return broken("there is neither ',' nor '}'");
    }
    events_.end();
    return {};
  }

  Result<void> array(int depth) {
    if (depth >= kXgboostDepth) return broken("it is nested too deeply");
    ++at_;
    events_.begin(false);
    bool more = !pass(']');
    while (more) {
      SLUICE_CHECK(value(depth + 1));
      more = pass(',');
      if (!more && !pass(']')) return broken("there is neither ',' nor ']'");
    }
    events_.end();
    return {};
  }

  const std::string_view text_;
  XgboostEvents& events_;
  std::size_t at_ = 0;
};

}  // namespace

Result<void> walk_xgboost_json(std::string_view text, XgboostEvents& events) {
  return Walk(text, events).run();
}

}  // namespace sluice::engines
