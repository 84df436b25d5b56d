// The same load on one model with batching off, eager and waiting, by connections: what batching
// is worth for it.
//
// Each setting has a server of its own, this same binary as a child process, which is stopped and
// cleaned up whatever happens. Every cell is measured in kParts parts, interleaved with the
// others', so that a machine that changes its mood changes it for all.
//
// Thread-safety: a function without state; runs on the calling thread.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "tools/bench/load_result.h"
#include "tools/bench/served_copy.h"

namespace sluice::tools {

struct SweepPlan {
  static constexpr int kParts = 3;

  ModelPlace model;
  std::string body;  // of every request
  std::vector<int> connections;
  std::chrono::milliseconds duration{5000};  // of each cell
  std::chrono::milliseconds timeout{0};      // as LoadPlan's
  // The body of a server's answer to GET: (port, path). Nothing where it is not a 200.
  std::function<Result<std::string>(const std::string&, const std::string&)> get;
  const std::atomic<bool>* stop = nullptr;  // ends it early
};

struct SweepCell {
  std::string_view batching;
  int connections = 0;
  LoadResult load;
  double average_batch = 0;  // rows a run of the engine
};

// By connections, then as the settings are listed. Errors: what copies, servers and loads say;
// kUnavailable/`stopped` when it was stopped.
Result<std::vector<SweepCell>> run_sweep(const SweepPlan& plan);

}  // namespace sluice::tools
