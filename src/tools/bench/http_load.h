// A load generator for one HTTP endpoint.
//
// Closed loop: `connections` requests are always under way. Open loop: requests start at `rate` a
// second whether or not earlier ones have been answered, and latency counts from the moment a
// request should have started, so a slow server cannot hide behind a generator that waits for it.
//
// Under overload requests wait for a free connection. With a time-out the generator gives up those
// that waited that long, and once the oldest has waited half of it takes the newest first, as
// clients would that are independent of each other: taken in order, each would start with its time
// used up, and the measurement would be of the generator's queue. Without one, all wait in order.
//
// It shares its cores with the server, so a request costs a send, a receive and its share of a
// wait, and no allocation. A connection that the server closed is opened again, and what was on it
// without a byte of its answer is sent once more, unless it was the connection's first.
//
// Thread-safety: a function without state; runs on the calling thread.
#pragma once

#include <atomic>
#include <chrono>
#include <string>

#include "base/error.h"
#include "tools/bench/load_result.h"

namespace sluice::tools {

struct LoadPlan {
  std::string host;
  std::string port;
  std::string path;
  std::string body;  // empty: GET
  int connections = 1;
  double rate = 0;  // 0: closed loop
  std::chrono::milliseconds duration{5000};
  std::chrono::milliseconds timeout{0};     // sent as X-Request-Timeout-Ms; 0: none
  const std::atomic<bool>* stop = nullptr;  // ends it early
};

// The result is sorted. Its seconds last from the first request to the last answer, at least the
// plan's duration. Errors: kUnavailable when no connection can be made at first.
Result<LoadResult> run_http_load(const LoadPlan& plan);

}  // namespace sluice::tools
