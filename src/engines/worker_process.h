// A process that runs code which nobody vouches for, with as little power as the system lets it be
// given: limits of memory and of files, no core dumps, no new privileges, descriptors of its own
// alone, no network, a process namespace whose members all end with it, and another user where the
// server may change users. Whatever of this cannot be had is told by `missing` and done without.
//
// It is started without fork: the child shares this process's memory until it has become the other
// program, and does nothing but system calls (clone with CLONE_VM and CLONE_VFORK, as posix_spawn
// does, which can neither enter namespaces nor change users). It ends when the thread that started
// it ends, however that happens.
//
// Thread-safety: one thread at a time.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/file.h"

namespace sluice::engines {

struct ProcessOrder {
  std::vector<std::string> command;      // the first is the program's path
  std::vector<std::string> environment;  // NAME=value
  std::vector<int> descriptors;          // become 3, 4, 5 …; the caller keeps its own
  std::uint64_t memory = 0;              // most bytes that are its own
  bool own_user = true;                  // where this process may change users
};

class WorkerProcess {
 public:
  // Errors: kUnavailable when the system gives no process; kInvalidArgument/`no_program` when the
  // program cannot be executed.
  static Result<std::unique_ptr<WorkerProcess>> start(const ProcessOrder& order);
  // Kills and buries it.
  ~WorkerProcess();
  WorkerProcess(const WorkerProcess&) = delete;
  WorkerProcess& operator=(const WorkerProcess&) = delete;

  int pid() const { return pid_; }
  // Readable once it has ended; not there on kernels before 5.3.
  const Fd& ended() const { return ended_; }
  // What it writes to its standard output and error; does not block.
  const Fd& output() const { return output_; }
  // "a process namespace", "a user of its own" …
  const std::vector<std::string>& missing() const { return missing_; }

  // Until it has ended by itself, but no longer than this.
  void wait(std::chrono::milliseconds most) const;
  // Kills it and its process group, waits for its end and answers how it came: "exit status 3",
  // "SIGSEGV".
  std::string bury();

  // Of its own threads, without what it has started.
  std::chrono::nanoseconds processor_time() const;
  // Memory that is its own alone; 0 where that is not known.
  std::uint64_t memory() const;

 private:
  WorkerProcess(pid_t pid, Fd ended, Fd output)
      : pid_(pid), ended_(std::move(ended)), output_(std::move(output)) {}

  pid_t pid_;
  Fd ended_;
  Fd output_;
  std::vector<std::string> missing_;
  bool buried_ = false;
};

}  // namespace sluice::engines
