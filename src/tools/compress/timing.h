// How long two models take for the same rows, measured turn by turn, so that what else the machine
// does falls on both.
//
// Thread-safety: plain values and a function without state.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <string>

#include "core/engine.h"
#include "tools/compress/dataset.h"

namespace sluice::tools::compress {

struct Timing {
  double p50_us = 0;  // of one row alone
  double p95_us = 0;
  double rows_per_second = 0;  // with `batch` rows at a time, on one thread
  std::size_t batch = 0;
  double batch_p50_us = 0;  // of `batch` rows together
  double batch_p95_us = 0;
};

struct TimingPair {
  Timing before;
  Timing after;
  double faster = 1;      // before's p50 over after's
  double throughput = 1;  // after's rows a second over before's
};

// About `budget` for all of it: of slow models fewer rows are in a batch and fewer turns are taken,
// three at least. Both are loaded with one thread. Errors: the models'; kCancelled.
Result<TimingPair> time_both(const Model& before, const Model& after, const Dataset& dataset,
                             std::chrono::milliseconds budget, const std::atomic<bool>& stop);

// A sentence where the new one is slower by more than a machine's moods, by one row or by a batch:
// nobody should have to find that among the numbers. Else empty.
std::string slower_note(const TimingPair& timing);

}  // namespace sluice::tools::compress
