// XGBoost's models as the JSON text of its documented schema (xgboost.readthedocs.io, "Introduction
// to Model IO"), and back. XGBoost itself reads and writes them, so whatever it loads can be had.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"

namespace sluice::engines {

// From any format that XGBoost loads. Errors: kInvalidArgument/`bad_model`. Thread-safety: any.
Result<std::string> xgboost_as_json(std::span<const std::byte> model);

// A file's bytes of a model in JSON: UBJSON, or JSON as XGBoost writes it. Errors: those of
// `xgboost_as_json`. Thread-safety: any.
Result<std::string> xgboost_from_json(std::string_view json, bool ubj);

// XGBoost's JSON has the literals NaN, Infinity and -Infinity (a split by category has such a
// threshold), which no other reader takes: as JSON in which texts stand for them, each beginning
// with the character U+0007, and back. Whatever is not JSON stays so. Thread-safety: any.
std::string strict_json(std::string_view text);
std::string loose_json(std::string_view text);

}  // namespace sluice::engines
