// The label of each row's largest score.
//
// Thread-safety: a function without state.
#pragma once

#include <cstdint>
#include <span>

namespace sluice::engines {

// `scores`: [rows, classes], row by row; `labels`: one for each class; `out`: one for each row.
// False where some row has no single largest, or it is not finite: `out` is worth nothing then.
bool largest_labels(std::span<const double> scores, std::span<const std::int64_t> labels,
                    std::span<std::int64_t> out);

}  // namespace sluice::engines
