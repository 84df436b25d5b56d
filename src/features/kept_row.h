// A row of features as the cache keeps it, and what was made of it for a model the first time: most
// requests by entity are of one row as it is, and need nothing else.
//
// Thread-safety: immutable but for `ready`, which is set once.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/feature_value.h"
#include "core/tensor.h"

namespace sluice::features {

// The inputs of one row, and what is told of them.
struct ReadyRow {
  std::uint64_t plan = 0;                                               // whose; see Plan::id
  std::vector<std::byte> bytes;                                         // of all inputs
  std::vector<TensorView> inputs;                                       // views of `bytes`
  std::vector<std::int64_t> times;                                      // as Request::feature_times
  std::string used;                                                     // as JSON
  std::string of_when;                                                  // the same
  std::int64_t sound_until = std::numeric_limits<std::int64_t>::max();  // then it is stale
};

class KeptRow : public FeatureRow {
 public:
  explicit KeptRow(FeatureRow row) : FeatureRow(std::move(row)) {}
  ~KeptRow() { delete ready_.load(std::memory_order_acquire); }
  KeptRow(const KeptRow&) = delete;
  KeptRow& operator=(const KeptRow&) = delete;

  // Null: nothing was made of it yet.
  const ReadyRow* ready() const { return ready_.load(std::memory_order_acquire); }
  // The first that is given stays.
  void keep(std::unique_ptr<const ReadyRow> ready) const {
    const ReadyRow* none = nullptr;
    if (ready_.compare_exchange_strong(none, ready.get(), std::memory_order_acq_rel)) {
      ready.release();
    }
  }

 private:
  mutable std::atomic<const ReadyRow*> ready_{nullptr};
};

}  // namespace sluice::features
