// Rows for a model that nobody gave rows for.
//
// Thread-safety: a function without state.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/model_config.h"
#include "tools/compress/dataset.h"

namespace sluice::tools::compress {

// The most that one call makes, of all inputs together.
inline constexpr std::size_t kMostMadeUp = std::size_t{1} << 27;  // elements

// `learned` is `inputs:` of model.yaml: of a model with one two-dimensional input its columns, in
// the model's order where it names them. A column with `training` quantiles gets values that are
// spread as those are (missing ones included, where the input has such a thing), one with `bounds`
// stays within them; the columns are independent of each other, which real ones seldom are. All
// others get standard normal numbers, integers 0 to 9, and booleans both. Free dimensions are 1, as
// in core/sample.h. The same seed makes the same rows. A note says what was made up.
// Errors: kInvalidArgument/`no_rows` for an input of texts, of which nothing is known, and where
// the rows would be more than kMostMadeUp.
Result<Dataset> synthesise(const Signature& signature, const std::vector<InputColumn>& learned,
                           std::size_t rows, std::uint64_t seed);

}  // namespace sluice::tools::compress
