// Explains the rows of one request: by the model's own method where it has one, else by Shapley
// values of its answers (statistics/shapley), asking it about rows mixed of the explained one and
// of background rows.
//
// Explained is what the simple protocols answer: of a classifier the predicted class's probability
// (its margin, where the model explains itself), else the value.
//
// Thread-safety: functions without state, on a request of the caller's.
#pragma once

#include <chrono>

#include "core/explanation.h"
#include "core/model_config.h"
#include "core/request.h"

namespace sluice::serving {

inline constexpr std::size_t kMostExplained = 32;  // rows of a request

// What model.yaml says, for a version with this signature. Errors: kInvalidArgument/`bad_config`
// where its background is not as wide as the inputs.
Result<ExplainBasis> make_explain_basis(const Signature& signature, const ModelConfig& config);

// Asked before the model runs: are the inputs, which fit the signature, rows of numbers? Errors:
// kInvalidArgument/`not_explainable`.
Result<void> explainable(const Request& request);

// Fills `reply.explanation` of a request that is answered; adds a warning where what it is compared
// with had to be assumed. Takes as long as the budget does, and asks the model a few milliseconds
// at a time. `background`: for versions whose model.yaml has none; may be null. Errors:
// `not_explainable`; kDeadlineExceeded/`no_time` when the deadline is near; the model's.
Result<void> explain_rows(Request& request, const Background* background);

}  // namespace sluice::serving
