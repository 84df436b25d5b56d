// The features of one request on their way.
//
// Thread-safety: `arrived[i]` is written by whoever fetched it, before it counts down; the request
// is taken out by exactly one: the last to count down, who may read `arrived`, or the clock, who
// may not, since others still write there.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>
#include <vector>

#include "core/request.h"
#include "features/kept_row.h"

namespace sluice {

namespace features {

// Why something could not be fetched.
enum class Trouble : std::uint8_t { kNone, kLate, kDown, kBroken, kBusy };

}  // namespace features

// Rows by look-up, and within one by the rows of the request. Null: not needed, or not to be had.
struct FetchedRows {
  std::vector<std::uint64_t> lookups;  // their ids: whose rows these are
  std::vector<std::shared_ptr<const features::KeptRow>> rows;
  features::Trouble trouble = features::Trouble::kNone;  // why some are missing, or old
  bool old = false;                                      // some are older than their ttl
};

}  // namespace sluice

namespace sluice::features {

class Joiner;

struct Gathering {
  std::shared_ptr<FetchedRows> fetched;
  std::vector<std::size_t> needed;  // places in `rows` that the cache did not have
  // What came, by the same places.
  std::vector<std::shared_ptr<const KeptRow>> arrived;
  // What is in the cache past its time, by the same places; for when nothing better comes.
  std::vector<std::shared_ptr<const KeptRow>> old;
  const Joiner* joiner = nullptr;  // of the request's servable
  std::atomic<std::size_t> missing{0};
  std::atomic<Trouble> trouble{Trouble::kNone};  // the last of them
  std::atomic<bool> taken{false};
  TimePoint due{};
  RequestPtr request;

  // True for one caller alone: the request is its own from then on.
  bool take() { return !taken.exchange(true, std::memory_order_acq_rel); }
};

}  // namespace sluice::features
