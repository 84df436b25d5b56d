// Writes where the time of single requests went into the process log: the trace extension of the
// Open Inference Protocol, off until a client with the right to switches it on.
//
// Settings are those of Triton: trace_level OFF or TIMESTAMPS, trace_rate (one request of so many),
// trace_count (how many in all; -1 without end). A model's own settings go before the global ones.
// No setting names a file: lines go where the log goes.
//
// Thread-safety: every function may be called from any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/snapshot.h"
#include "core/observer.h"

namespace sluice::observers {

// What a client wants changed: a setting's new values, or nothing to go back to the global one.
using TracePatch = std::map<std::string, std::optional<std::vector<std::string>>>;
// As clients see them.
using TraceView = std::map<std::string, std::vector<std::string>>;

struct TraceSettings {
  std::optional<bool> timestamps;
  std::optional<std::uint64_t> rate;
  std::optional<std::int64_t> count;
};

class TraceControl {
 public:
  TraceControl();

  // Of a model, or the global ones where `model` is empty.
  TraceView view(std::string_view model) const;
  // Errors: kInvalidArgument/`bad_setting`; then nothing has changed.
  Result<void> update(std::string_view model, const TracePatch& patch);

  // Whether this request of `model` is to be traced; counts it.
  bool wanted(std::string_view model) const;

 private:
  struct Entry {
    TraceSettings settings;
    mutable std::atomic<std::uint64_t> seen{0};
    mutable std::atomic<std::int64_t> written{0};
    explicit Entry(const TraceSettings& s) : settings(s) {}
  };
  // By model; "" has the global settings. Empty means that nothing is traced.
  using Entries = std::map<std::string, std::shared_ptr<const Entry>, std::less<>>;

  static TraceSettings of(const Entries& entries, std::string_view model);

  Snapshot<Entries> entries_;
};

// `control` outlives the observer.
std::unique_ptr<const Observer> make_trace_log(const TraceControl& control);

}  // namespace sluice::observers
