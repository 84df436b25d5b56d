// One process of the user's Python that has a model loaded, and how to talk to it.
//
// Tensors go through memory that both map; what travels over the socket are messages of 32 bytes
// that say how many rows there are and where. The memory is sealed against shrinking, and what
// comes out of it is copied before it is looked at: the process is not trusted. The other side is
// engines/sklearn_worker.py.
//
// Thread-safety: until it is ready it belongs to its supervisor; then `run` is for one thread at a
// time, `hang_up` for any.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/option.h"
#include "core/tensor.h"
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
  std::span<const std::span<std::byte>> outputs;  // at most two
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
  void limit_runs(Millis limit);
  // `said`: the exception, of kBadInput and kRaised.
  WorkerOutcome run(const WorkerJob& job, std::string& said);
  // Whoever waits for an answer gets none.
  void hang_up();

 private:
  struct Message {
    std::uint32_t kind = 0;
    std::uint32_t detail = 0;
    std::uint64_t rows = 0;
    std::array<std::uint64_t, 2> places{};
  };
  static_assert(sizeof(Message) == 32);

  PythonWorker() = default;
  bool map_memory(std::size_t size);
  bool make_room(std::size_t size);
  bool send(const Message& message, const Fd* with = nullptr);
  ssize_t receive(Message& answer, bool awake) const;
  std::string text_of(const Message& message) const;
  WorkerOutcome answered(const WorkerJob& job, const Message& sent, std::string& said);

  std::unique_ptr<WorkerProcess> process_;
  Fd socket_;
  Fd memory_fd_;
  std::shared_ptr<const void> mapping_;
  std::span<std::byte> memory_;
};

}  // namespace sluice::engines
