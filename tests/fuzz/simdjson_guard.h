// Checks what simdjson's library does, which is Debian's and not instrumented. It unescapes strings
// into a buffer without looking at the buffer's end: there is room for every string of a document
// once. Here a string that is read twice is told at once, and a write beyond the end with it.
//
// Thread-safety: one thread.
#pragma once

#include <sanitizer/asan_interface.h>
#include <simdjson.h>

#include <memory>
#include <unordered_set>
#include <utility>

#include "fuzz.h"

namespace sluice::fuzz {

// Forwards everything to the library's parser. The indexes of the last document are members of the
// base class, so they are handed over and back.
class GuardedParser final : public simdjson::internal::dom_parser_implementation {
 public:
  explicit GuardedParser(std::unique_ptr<dom_parser_implementation> real) : real_(std::move(real)) {
    _capacity = real_->capacity();
    _max_depth = real_->max_depth();
    take();
  }

  simdjson::error_code parse(const uint8_t* buf, size_t len,
                             simdjson::dom::document& doc) noexcept override {
    return with_real([&] { return real_->parse(buf, len, doc); });
  }
  simdjson::error_code stage1(const uint8_t* buf, size_t len,
                              simdjson::stage1_mode mode) noexcept override {
    seen_.clear();
    strings_ = nullptr;
    return with_real([&] { return real_->stage1(buf, len, mode); });
  }
  simdjson::error_code stage2(simdjson::dom::document& doc) noexcept override {
    return with_real([&] { return real_->stage2(doc); });
  }
  simdjson::error_code stage2_next(simdjson::dom::document& doc) noexcept override {
    return with_real([&] { return real_->stage2_next(doc); });
  }
  uint8_t* parse_string(const uint8_t* src, uint8_t* dst) const noexcept override {
    if (strings_ == nullptr) strings_ = dst;
    uint8_t* end = real_->parse_string(src, dst);
    if (end == nullptr) return end;  // no room is used up
    // Elsewhere is memory of the caller's own.
    const bool shared = dst >= strings_ && dst < strings_ + 2 * _capacity;
    expect(!shared || seen_.insert(src).second, "no string is unescaped twice");
    const auto size = static_cast<std::size_t>(end - dst);
    expect(__asan_region_is_poisoned(dst, size) == nullptr, "there is room for every string");
    return end;
  }
  simdjson::error_code set_capacity(size_t capacity) noexcept override {
    const auto error = with_real([&] { return real_->set_capacity(capacity); });
    _capacity = real_->capacity();
    return error;
  }
  simdjson::error_code set_max_depth(size_t max_depth) noexcept override {
    const auto error = real_->set_max_depth(max_depth);
    _max_depth = real_->max_depth();
    return error;
  }

 private:
  template <class Call>
  simdjson::error_code with_real(Call call) {
    real_->n_structural_indexes = n_structural_indexes;
    real_->structural_indexes = std::move(structural_indexes);
    real_->next_structural_index = next_structural_index;
    const auto error = call();
    take();
    return error;
  }
  void take() {
    n_structural_indexes = real_->n_structural_indexes;
    structural_indexes = std::move(real_->structural_indexes);
    next_structural_index = real_->next_structural_index;
  }

  std::unique_ptr<dom_parser_implementation> real_;
  // Of the current document: where its strings go, and those that have gone there.
  mutable const uint8_t* strings_ = nullptr;
  mutable std::unordered_set<const uint8_t*> seen_;
};

class GuardedImplementation final : public simdjson::implementation {
 public:
  explicit GuardedImplementation(const simdjson::implementation& real)
      : implementation("guarded", "checks what is written", real.required_instruction_sets()),
        real_(real) {}

  simdjson::error_code create_dom_parser_implementation(
      size_t capacity, size_t max_depth,
      std::unique_ptr<simdjson::internal::dom_parser_implementation>& dst) const noexcept override {
    std::unique_ptr<simdjson::internal::dom_parser_implementation> parser;
    const auto error = real_.create_dom_parser_implementation(capacity, max_depth, parser);
    if (!error) dst = std::make_unique<GuardedParser>(std::move(parser));
    return error;
  }
  simdjson::error_code minify(const uint8_t* buf, size_t len, uint8_t* dst,
                              size_t& dst_len) const noexcept override {
    return real_.minify(buf, len, dst, dst_len);
  }
  bool validate_utf8(const char* buf, size_t len) const noexcept override {
    return real_.validate_utf8(buf, len);
  }

 private:
  const simdjson::implementation& real_;
};

// Once, before anything is parsed.
inline void guard_simdjson() {
  // The library's own is chosen by the processor when it is first asked for something.
  (void)simdjson::validate_utf8("", 0);
  static const GuardedImplementation guarded(*simdjson::get_active_implementation());
  simdjson::get_active_implementation() = &guarded;
}

}  // namespace sluice::fuzz
