// The prediction log's own thread: what it is given it writes, however long the disk takes, and
// nobody waits for it. At most `waiting` bytes lie with it; what comes beyond is refused, so that
// the caller counts it as dropped.
//
// A disk that is full or fails is said once, in the process log, and tried again every second with
// what it refused; nothing is lost until there is no more room to wait in. At the end it is given
// `grace`; what a disk that hangs still has then is dropped and counted.
//
// Thread-safety: every function may be called from any thread; `close` once.
#pragma once

#include <memory>

#include "base/option.h"
#include "observers/log_target.h"

namespace sluice::observers {

class LogWriter {
 public:
  static constexpr std::size_t kWaiting = std::size_t{16} << 20;

  // `log` has a target.
  explicit LogWriter(OpenLog log, std::size_t waiting = kWaiting);
  ~LogWriter();
  LogWriter(const LogWriter&) = delete;
  LogWriter& operator=(const LogWriter&) = delete;

  // False, and counted as dropped, where there is no room.
  bool give(LogBatch batch);
  // Writes what waits. False: it did not end in time, and its thread is left behind.
  bool close(Millis grace);

 private:
  struct State;
  std::shared_ptr<State> state_;
  bool closed_ = false;
};

}  // namespace sluice::observers
