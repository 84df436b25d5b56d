// Takes traced requests away from the data path and sends their spans to a collector: OTLP over
// HTTP in protobuf (opentelemetry.io/docs/specs/otlp), in batches of 512 spans or of a second.
//
// A thread of its own, of low priority (nice 10), does all of it. A collector that is slow, says
// that it has no room (429, 502, 503, 504) or cannot be reached is asked again, five times in all,
// after a pause that doubles or that it names (`Retry-After`); meanwhile requests wait in a queue
// of fixed size, and what finds it full is dropped and counted. Nobody else ever waits.
//
// Thread-safety: every function may be called from any thread; `close` by one.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/bounded_queue.h"
#include "base/error.h"
#include "clients/http.h"
#include "observers/span_record.h"

namespace sluice::observers {

using Millis = std::chrono::milliseconds;

struct ExporterOptions {
  std::string url;  // that batches are posted to
  SpanSource source;
  std::size_t queue = 4096;      // requests; at least
  std::size_t batch = 512;       // spans, and no more requests
  Millis batch_age{1000};        // of its first request, when it is sent though it is not full
  Millis first_pause{1000};      // before the second attempt
  Millis longest_pause{30'000};  // before another, unless the collector names one
  int attempts = 5;
};

// In spans.
struct SpanCounts {
  std::uint64_t exported = 0;  // the collector took them
  std::uint64_t dropped = 0;   // there was no room, or the end came first
  std::uint64_t failed = 0;    // it did not take them, for as often as it was asked
  std::uint64_t rejected = 0;  // it took the rest of their batch
};

class SpanExporter {
 public:
  using Send = std::function<Result<clients::HttpAnswer>(const clients::HttpRequest&)>;

  // `send`: by HttpClient; may be called until `close` has returned true.
  SpanExporter(ExporterOptions options, Send send);
  // Closes without a grace, and waits for the thread.
  ~SpanExporter();
  SpanExporter(const SpanExporter&) = delete;
  SpanExporter& operator=(const SpanExporter&) = delete;

  // Never waits.
  void add(SpanRecord record);
  SpanCounts counts() const;

  // Sends what there is, for so long at most; later requests are dropped. False where the thread
  // does not end: a name is being looked up, which nothing can break off.
  bool close(Millis grace);

 private:
  struct Verdict {
    bool taken = false;
    bool again = false;  // it may be asked again
    Millis at_least{0};  // after this
    std::string why;     // it was not taken, as a sentence's end
  };

  void work();
  void fill();
  void deliver();
  bool attempt(clients::HttpRequest& request, std::size_t spans, Millis& at_least);
  Verdict judge(const Result<clients::HttpAnswer>& answer, std::size_t spans);
  void tell(const Verdict& verdict);
  // Or until the end comes.
  void pause(Millis length);
  bool closing() const;
  Millis time_left() const;

  const ExporterOptions options_;
  const Send send_;
  BoundedQueue<SpanRecord> queue_;
  std::atomic<bool> closed_{false};  // nothing is taken any more
  std::atomic<bool> stop_{false};    // breaks off what is being sent
  std::atomic<std::uint64_t> exported_{0};
  std::atomic<std::uint64_t> dropped_{0};
  std::atomic<std::uint64_t> failed_{0};
  std::atomic<std::uint64_t> rejected_{0};

  // The thread's own.
  std::vector<SpanRecord> batch_;
  std::size_t batch_spans_ = 0;
  TimePoint batch_due_{};
  bool gave_up_ = false;  // at the end: the collector does not take any
  std::string told_;      // what was last said of the collector; empty: that all is well
  TimePoint told_at_{};

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  bool closing_ = false;  // guarded by mutex_
  bool done_ = false;     // guarded by mutex_
  TimePoint end_{};       // guarded by mutex_
  std::thread thread_;
};

}  // namespace sluice::observers
