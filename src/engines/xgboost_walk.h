// One walk over a document in JSON or UBJSON, as XGBoost writes both, before XGBoost's own readers
// see it: those believe every length inside the file, so that a damaged one makes them allocate
// until the process is killed. What is walked to its end has no length that points outside it, and
// is nested no deeper than `kXgboostDepth`.
//
// Memory: none but the stack. Errors: kInvalidArgument/`bad_model`, with the byte where it is.
// Thread-safety: any.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/error.h"

namespace sluice::engines {

// XGBoost's own models are nested eight deep.
constexpr int kXgboostDepth = 64;

// Who is told what a walk finds, in the order of the file. Texts are as they are written, escapes
// and all: XGBoost compares names so.
class XgboostEvents {
 public:
  XgboostEvents() = default;
  virtual ~XgboostEvents() = default;
  XgboostEvents(const XgboostEvents&) = delete;
  XgboostEvents& operator=(const XgboostEvents&) = delete;

  virtual void begin(bool object) = 0;  // else an array
  virtual void end() = 0;
  virtual void key(std::string_view name) = 0;
  virtual void text(std::string_view value) = 0;
  virtual void whole(std::int64_t value) = 0;
  virtual void others(std::size_t count) = 0;  // fractions, truths and nulls
};

Result<void> walk_xgboost_json(std::string_view text, XgboostEvents& events);
Result<void> walk_xgboost_ubjson(std::string_view bytes, XgboostEvents& events);

// "the file is damaged: …", with what to do.
Failure damaged_xgboost(std::string_view what);

}  // namespace sluice::engines
