// What a label, the class that a model itself names in an answer, means.
//
// Thread-safety: a function without state.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "core/tensor.h"

namespace sluice {

// Where the element `at` of `labels`, a text or a number, stands in the list of classes; nothing
// where it does not. Not for labels that say places themselves (TensorSpec::says_places).
std::optional<std::size_t> place_of_label(const TensorView& labels, std::size_t at,
                                          const std::vector<std::string>& classes);

}  // namespace sluice
