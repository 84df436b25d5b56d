// The groups of cells, by what they are about. Methods and targets: shared/statistics.md.
//
// `runs`: of each cell; groups that need less take a part of it.
#pragma once

#include <cstdint>

#include "report.h"

namespace bench {

void false_rollbacks(Report& report, std::uint64_t runs);
void detection(Report& report, std::uint64_t runs);
void regrets(Report& report, std::uint64_t runs);
void learning(Report& report, std::uint64_t runs);
void sample_ratios(Report& report, std::uint64_t runs);

}  // namespace bench
