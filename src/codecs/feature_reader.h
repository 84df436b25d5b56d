// Turns the `features` of a simple request into the inputs of a model: by position or by name, one
// row or many. Internal to codecs.
//
//   [5.1, 3.5]                     one row          {"age": 41, "income": 3e4}      one row by name
//   [[5.1, 3.5], [4.9, 3.0]]       two rows         [{"age": 41}, {"age": 29}]      two rows by
//   name
//
// Names are the columns of a single two-dimensional input, or the model's inputs. A row of a model
// with more dimensions may be nested as the model has it, or flat.
//
// Thread-safety: a function without state.
#pragma once

#include "codecs/json_input.h"
#include "core/request.h"
#include "core/signature.h"

namespace sluice::codecs {

// Fills out.inputs, out.rows and out.many_rows. Errors: kInvalidArgument with a reason of
// `wrong_width`, `ragged`, `wrong_type`, `out_of_range`, `unknown_feature`, `missing_feature` …
Result<void> read_features(od::value features, const Signature& signature, Request& out);

}  // namespace sluice::codecs
