// The server's end of a host (host_child.h): one process with one model.
//
// What comes from it is checked: an engine that has damaged its process may say anything.
//
// Thread-safety: one thread at a time, but `kill` by any.
#pragma once

#include <chrono>
#include <memory>
#include <span>

#include "base/arena.h"
#include "base/file.h"
#include "repository/probe.h"

namespace sluice::repository {

// All errors with the reason `host_ended` mean that the process is over, or has been ended because
// of it; with others it goes on.
inline constexpr std::string_view kHostEnded = "host_ended";

class HostProcess {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  // Returns once there is a process, which loads the model. Errors: those of Probe::start_host.
  static Result<std::shared_ptr<HostProcess>> start(const Probe& probe, const ModelFile& file,
                                                    const Trial& trial, const HostFaults& faults);
  // Kills it.
  ~HostProcess();
  HostProcess(const HostProcess&) = delete;
  HostProcess& operator=(const HostProcess&) = delete;

  // Answers how much of a processor that took. Errors: those of the engine; `host_ended`.
  Result<std::chrono::nanoseconds> wait_loaded();
  // The outputs' memory lies in `arena`; `took` is the engine's own time. Errors: of the model;
  // kResourceExhausted/`too_large`; `host_ended`, also after `limit`.
  Result<void> run(std::span<const TensorView> inputs, std::span<TensorView> outputs, Arena& arena,
                   std::chrono::milliseconds limit, std::chrono::nanoseconds& took);
  bool gone() const;
  void kill() const;

 private:
  struct Answer;

  HostProcess(Fd socket, unsigned load_seconds)
      : socket_(std::move(socket)), load_seconds_(load_seconds) {}
  void get_hold_of(int process);
  Failure ended(std::string why) const;
  Result<Answer> answer(TimePoint until, std::chrono::milliseconds limit, Arena& arena) const;

  const Fd socket_;  // does not block
  const unsigned load_seconds_;
  Fd process_;  // to kill it and no other; not there on kernels before 5.3
  int number_ = 0;
};

}  // namespace sluice::repository
