// A version's model in a process of its own, for runs that nobody waits for (shadows): a crash of
// its engine, in whatever library, ends that process and not the server.
//
// Implemented by repository/hosted_version.h, which starts such processes; handed to versions when
// they are loaded.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "base/error.h"
#include "base/option.h"
#include "core/engine.h"

namespace sluice {

// What is put into the runs on purpose, for tests and drills.
struct HostFaults {
  double crash = 0;  // share of runs, as the others
  Millis delay{0};
  double delay_rate = 0;
};

struct HostOptions {
  Millis run_limit{60'000};  // by the clock; then the process is ended
  HostFaults faults;
};

struct HostStatus {
  enum class State : std::uint8_t {
    kNone,      // it has no process: it runs in the server, or its engine has processes anyway
    kWaiting,   // until it is wanted, or until it may be started again
    kStarting,  // the model is being loaded
    kRunning,
    kGivenUp,  // ended too often; it stays like this
    kStopped,
  };
  State state = State::kNone;
  std::uint64_t ended = 0;  // how often it has ended, or could not be started, so far
  std::string last_end;     // why, the last time; empty: never
};

// The process, presented as a model. The first `ready` starts it; when it has ended it is started
// again after a pause that doubles with each end in a row, and given up after some.
//
// Thread-safety: `ready`, `run` and `take_time` by one thread at a time; the others by any.
class HostedModel : public Model {
 public:
  // Nothing: `run` may be called. Waits for the process to load the model. Errors:
  // kUnavailable/`host_down` where none is started now, since that was tried a moment ago or given
  // up; those of the engine; kInternal/`host_ended` when it ended before it was ready.
  virtual Result<void> ready() const = 0;
  // The engine's own time in the runs since the last call, without what it waited for a processor.
  virtual std::chrono::nanoseconds take_time() const = 0;
  // Ends the process, and with it what runs; nothing is started any more.
  virtual void stop() const = 0;
  virtual HostStatus status() const = 0;
};

// Of one version.
// Thread-safety: any thread.
class ModelHost {
 public:
  virtual ~ModelHost() = default;
  // Starts nothing yet. `signature`: of the version's loaded model.
  virtual std::shared_ptr<const HostedModel> host(const Signature& signature,
                                                  const HostOptions& options) const = 0;
};

}  // namespace sluice
