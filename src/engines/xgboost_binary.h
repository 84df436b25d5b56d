// The binary format of XGBoost before JSON (files called .model, .bst and .bin; XGBoost up to 3.0
// reads it): records of fixed sizes, texts and lists behind their lengths.
#pragma once

#include <string_view>

#include "engines/xgboost_sound.h"

namespace sluice::engines {

// Whether it can be one: nothing else says so than that what follows the first record, two names,
// is text. Thread-safety: any.
bool looks_like_xgboost_binary(std::string_view bytes);

// What is in it, if XGBoost can read it without coming to harm. Errors: kInvalidArgument/
// `bad_model`. Thread-safety: any.
Result<XgboostParts> check_xgboost_binary(std::string_view bytes);

}  // namespace sluice::engines
