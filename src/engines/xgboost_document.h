// A model of XGBoost's documented schema (xgboost.readthedocs.io, "Introduction to Model IO"), in
// JSON or UBJSON, looked at while it is walked over: one tree at a time is kept.
#pragma once

#include <string_view>

#include "engines/xgboost_sound.h"

namespace sluice::engines {

// What is in it, if XGBoost can read it without coming to harm. Errors: those of
// `walk_xgboost_json` and `check_parts`. Thread-safety: any.
Result<XgboostParts> check_xgboost_document(std::string_view bytes, bool ubjson);

}  // namespace sluice::engines
