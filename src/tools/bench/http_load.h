// A load generator for one HTTP endpoint.
//
// Closed loop: `connections` requests are always under way. Open loop: requests start at `rate` a
// second whether or not earlier ones have been answered, and latency counts from the moment a
// request should have started, so a slow server cannot hide behind a generator that waits for it.
//
// Thread-safety: a function without state; runs on the calling thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"

namespace sluice::tools {

struct LoadPlan {
  std::string host;
  std::string port;
  std::string path;
  std::string body;  // empty: GET
  int connections = 1;
  double rate = 0;  // 0: closed loop
  std::chrono::milliseconds duration{5000};
};

struct LoadResult {
  std::uint64_t answered = 0;
  std::uint64_t refused = 0;  // answered with a status other than 2xx
  std::uint64_t failed = 0;   // no answer
  double seconds = 0;
  std::vector<float> micros;  // sorted latencies of what was answered

  double quantile(double q) const;
};

// Errors: kUnavailable when no connection can be made.
Result<LoadResult> run_http_load(const LoadPlan& plan);

}  // namespace sluice::tools
