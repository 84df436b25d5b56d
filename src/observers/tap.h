// Takes what is to be known of finished requests away from the data path: copies it, in the moment
// before the answer leaves, into a ring of the thread that answers, and hands it on a thread of its
// own to whoever looks at it: the prediction log, drift, recent requests.
//
// A record that finds its ring full is dropped and counted; nobody waits. The tap's thread has low
// priority (nice 10), so that those who look take what those who answer leave.
//
// A flood costs no more than a stream: drift and recent requests ask for so many a second and
// thread (`Tally::due`); only the log, where it is on, is told of each that its sample picks.
//
// Thread-safety: every function may be called from any thread; sinks are called on the tap's.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "base/byte_ring.h"
#include "core/observer.h"
#include "observers/record.h"
#include "telemetry/sharded.h"

namespace sluice::observers {

// Looks at records. Called on one thread.
class RecordSink {
 public:
  virtual ~RecordSink() = default;
  virtual Wanted wants() const = 0;
  virtual void take(const Record& record) = 0;
  // A few times a second.
  virtual void tick() {}
  // After the last record.
  virtual void close() {}
};

class Tap {
 public:
  static constexpr std::size_t kRing = std::size_t{512} << 10;  // bytes of each answering thread

  // Sinks outlive it.
  explicit Tap(std::vector<RecordSink*> sinks);
  ~Tap();
  Tap(const Tap&) = delete;
  Tap& operator=(const Tap&) = delete;

  // Takes what came before the call and closes the sinks. Records that come later are dropped.
  void close();
  // Of records that the log, drift or recent requests wanted.
  std::uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }
  std::uint64_t log_dropped() const { return log_dropped_.load(std::memory_order_relaxed); }

  // For the observer: who is there at all, and a copy for them.
  std::uint8_t wanted() const { return wanted_; }
  void add(const Request& request, Record::Head& head);

 private:
  // What one thread writes; threads beyond the 63rd share one, and its lock.
  struct Ring {
    std::mutex shared;
    std::atomic<ByteRing*> bytes{nullptr};
    ~Ring() { delete bytes.load(std::memory_order_acquire); }
  };

  void work();
  bool drain(std::size_t most);

  const std::vector<RecordSink*> sinks_;
  std::uint8_t wanted_ = 0;
  Sharded<Ring> rings_;
  std::atomic<std::uint64_t> dropped_{0};
  std::atomic<std::uint64_t> log_dropped_{0};
  Record record_;  // the thread's own

  std::mutex mutex_;
  std::condition_variable wake_;
  bool closing_ = false;  // guarded by mutex_
  std::thread thread_;
};

// `tap` outlives the observer.
std::unique_ptr<const Observer> make_tap_observer(Tap& tap);

}  // namespace sluice::observers
