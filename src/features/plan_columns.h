// Which feature each column of a model gets. Internal to features.
//
// Columns that have names get the features of these names. Where not one of them is a feature's
// name (or they have none), the features of `features.names` are taken in order. Some of both is
// refused: an order that was guessed would be wrong without a sound.
//
// Thread-safety: a function without state.
#pragma once

#include "features/plan.h"

namespace sluice::features {

// Fills `columns` and `row_widths`, and names the signature's columns where nobody has.
Result<void> place_columns(Plan& plan, Signature& signature, bool columns_declared);

}  // namespace sluice::features
