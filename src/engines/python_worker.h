// One process of the user's Python that has a model loaded, and how to talk to it.
//
// Tensors go through memory that both map; how many rows there are and where is said in a mailbox
// (engines/worker_mailbox.h), and over the socket go what is said before the first run, rings for
// whoever sleeps, and other memory. What comes out of the memory is copied before it is looked at:
// the process is not trusted. The other side is engines/worker_channel.py.
//
// Thread-safety: until it is ready it belongs to its supervisor; then `run` is for one thread at a
// time, `hang_up` for any.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/file.h"
#include "base/option.h"
#include "core/tensor.h"
#include "engines/worker_mailbox.h"
#include "engines/worker_memory.h"
#include "engines/worker_process.h"

namespace sluice::engines {

struct WorkerOrder {
  std::string python;  // path of the interpreter
  FileBytes model;
  int threads = 1;  // of its numerical libraries
  std::uint64_t memory = 0;
  bool own_user = true;
};

// What a worker says of itself.
enum class WorkerNews { kNothing, kHello, kLoaded, kRefused, kGone };

// One run: what goes in, and where the results are to be copied.
struct WorkerJob {
  std::span<const TensorView> inputs;
  std::size_t rows = 0;
  std::span<const std::span<std::byte>> outputs;  // at most two; empty: it is not wanted
  bool alone = false;                             // no other worker of the version is running now
};

enum class WorkerOutcome {
  kDone,
  kUnsent,   // it was gone before: this run did not end it
  kDied,     // in the middle of this run
  kLate,     // no answer within the limit
  kTooMuch,  // more shared memory than there may be
  kBadInput,
  kRaised,
  kNoMemory,
};

class PythonWorker {
 public:
  // Errors: those of WorkerProcess::start; kUnavailable when there is no memory to share.
  static Result<std::unique_ptr<PythonWorker>> start(const WorkerOrder& order);

  WorkerProcess& process() { return *process_; }
  const Fd& socket() const { return socket_; }

  // What it has said since, without waiting; `said` is its text.
  WorkerNews news(std::string& said);
  // How long a run may take.
  void limit_runs(Millis limit) { limit_ = limit; }
  // `said`: the exception, of kBadInput and kRaised.
  WorkerOutcome run(const WorkerJob& job, std::string& said);
  // Whoever waits for an answer gets none.
  void hang_up();

 private:
  using Clock = std::chrono::steady_clock;
  using Message = WorkerMessage;
  // Of the memory that a run needs: it is there; it is, and the worker has to be sent it; there is
  // none.
  enum class Room { kThere, kNew, kNone };

  PythonWorker() = default;
  Room make_room(std::size_t size, bool whole);
  bool ring(const Fd* with = nullptr);
  WorkerOutcome answer(Message& out, bool alone);
  bool looked_for(Message& out, Clock::time_point until) const;
  WorkerOutcome slept_for(Message& out);
  WorkerOutcome ring_or_answer(Message& out);
  bool wait_for_ring(Clock::time_point deadline) const;
  std::string text_of(const Message& message, std::size_t most = SIZE_MAX) const;
  WorkerOutcome read(const Message& answer, const WorkerJob& job, const Message& asked,
                     std::string& said) const;

  std::unique_ptr<WorkerProcess> process_;
  Fd socket_;
  WorkerMailbox mailbox_;
  WorkerMemory memory_;
  Millis limit_{0};        // of a run; none
  bool may_look_ = false;  // there is a processor for it besides the worker's
  Clock::duration last_run_{0};
};

}  // namespace sluice::engines
