// More rows like those that there are.
//
// MUNGE (Bucila, Caruana and Niculescu-Mizil, "Model Compression", KDD 2006): a new row is a given
// one in which some values were taken from another that lies near. Here "near" is the nearest of a
// few drawn at random, which is as near as it has to be and takes no time on many rows.
//
// Thread-safety: a function without state. The same rows and seed give the same rows.
#pragma once

#include <cstdint>

#include "tools/compress/teacher.h"

namespace sluice::tools::compress {

// Columns of whole numbers keep to values that they have; others move about the neighbour's value,
// between the least and the greatest that were given. None where `real` has no row.
TeachingRows mixed_rows(const TeachingRows& real, std::size_t count, std::uint64_t seed);

}  // namespace sluice::tools::compress
