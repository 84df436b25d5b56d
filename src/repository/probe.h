// A trial before the real thing: a version is first loaded and run in a child process that is
// thrown away, so that a model file that makes its engine crash, or eats all memory, does not take
// the server down.
//
// A keeper process is forked before the server has any thread (forking later would copy locks that
// nobody opens any more). It does nothing but fork: one child a trial, which gets the copied bytes
// of the model file, its directory and a socket, loads, warms up, answers and ends. Another kind of
// child is a host, which goes on and runs the model for whoever holds its socket (host_child.h).
//
// Thread-safety: `start` while the process has one thread; the others from any thread. `try_model`
// blocks.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/error.h"
#include "core/engine.h"
#include "core/model_host.h"
#include "core/registry.h"

namespace sluice::repository {

// What a version needs beside its file to be tried.
struct Trial {
  std::string engine;
  LoadOptions options;
  int warmup = 0;
  // Nobody wants it any more: the trial is broken off. Null: that does not happen.
  const std::atomic<bool>* abandoned = nullptr;
};

class Probe {
 public:
  using Engines = std::function<void(Registry<Engine>&)>;

  // Forks the keeper, in which `engines` fills the registry for all trials. Errors: the system's.
  static Result<std::unique_ptr<Probe>> start(const Engines& engines);
  ~Probe();
  Probe(const Probe&) = delete;
  Probe& operator=(const Probe&) = delete;

  // Answers how many bytes of memory the loaded model takes. Errors: those of the engine;
  // kInvalidArgument/`bad_model` when it crashed or took too long; kUnavailable when it was killed,
  // broken off, or there is no keeper any more.
  Result<std::uint64_t> try_model(const ModelFile& file, const Trial& trial) const;
  // A host of this model, which begins to load it, by its socket: it ends when that is closed.
  // Errors: kUnavailable when there is no keeper any more, or no descriptor.
  Result<Fd> start_host(const ModelFile& file, const Trial& trial, const HostFaults& faults) const;

 private:
  Probe(Fd keeper, int pid) : keeper_(std::move(keeper)), pid_(pid) {}

  Fd keeper_;  // a SOCK_SEQPACKET: whole messages, from any thread
  int pid_;
};

}  // namespace sluice::repository
