// Shadow versions: asked what users asked, after the answer has left, on capacity that nobody else
// wants, and compared with what users got.
//
// An observer copies what a request brought and what it was answered just before the answer is
// handed over, since the receive buffer goes with it (a memcpy; nothing where there is no room),
// and queues it for each shadow version once it has. Each such version has one thread of idle
// priority (SCHED_IDLE, else nice 19), which has the version's model run in a process of its own
// (core/model_host.h), of that priority too: one that is slow, fails, hangs or crashes in its
// library holds up nothing but that thread. A process that has ended is started again, less and
// less often, and given up in the end. Two kinds run in the server's process: versions whose engine
// has processes anyway (scikit-learn; they work at their own priority), and all of them in programs
// that have no keeper (repository/probe.h): there a crash ends the program.
//
// Dropped, and counted by version: what finds the queue full, what has waited for longer than
// `max_wait`, what is too large to be copied, what came while there was no process to ask. Skipped,
// and counted: what was not answered, and what was lengthened for a batch (`batching.pad`), whose
// own inputs are gone. Errors: what the shadow fails at, what does not fit it, and answers that
// cannot be compared.
//
// A shadow's runs are no requests: they are in the version's executions and their sizes (`Tally`),
// which engines did run, and in nothing else; no release takes them as evidence.
//
// Times are compared where both engines had the request alone, not in a batch and not from the
// cache. What an idle run waited for a processor (schedstat's run delay) is taken off.
//
// Thread-safety: every function may be called from any thread.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/option.h"
#include "base/snapshot.h"
#include "core/model_host.h"
#include "core/observer.h"
#include "core/request.h"
#include "core/serving_table.h"
#include "serving/shadow_comparison.h"

namespace sluice::serving {

// Of the process; each shadow version has an equal part of the first two.
struct ShadowOptions {
  std::size_t max_requests = 256;  // that wait
  std::size_t max_bytes = std::size_t{64} << 20;
  std::size_t max_request_bytes = std::size_t{1} << 20;  // of one: it is copied before the answer
  Millis max_wait{1000};
  Millis idle{5000};  // a thread without work asks so often whether it is still wanted
};

struct ShadowCounts {
  std::uint64_t predictions = 0;  // rows that were compared
  std::uint64_t disagreements = 0;
  std::uint64_t full = 0;
  std::uint64_t late = 0;
  std::uint64_t large = 0;
  std::uint64_t down = 0;
  std::uint64_t skipped = 0;
  std::uint64_t errors = 0;
  std::uint64_t waiting = 0;

  std::uint64_t dropped() const { return full + late + large + down; }
};

// A version that is a shadow at this moment.
struct ShadowStatus {
  VersionName version;
  ShadowCounts counts;
  ShadowReport report;
  HostStatus host;
};

class ShadowLine;
struct ShadowCase;

class ShadowRunner {
 public:
  // `tables` outlives it.
  explicit ShadowRunner(const ServingTables& tables, ShadowOptions options = {});
  // Waits a moment for what runs.
  ~ShadowRunner();
  ShadowRunner(const ShadowRunner&) = delete;
  ShadowRunner& operator=(const ShadowRunner&) = delete;

  // The model's shadow versions, in natural order. What was counted begins anew when a version is
  // loaded again, and when it was no shadow for a while.
  std::vector<ShadowStatus> status(const ModelEntry& entry) const;
  // The counts alone, which costs little.
  std::vector<std::pair<VersionName, ShadowCounts>> counts(const ModelEntry& entry) const;

  // Nothing runs any more when it returns true, and what waits is dropped. False: a run has not
  // ended after `grace`; it is left to itself, with all that it needs.
  bool close(Millis grace);

  // For the observer.
  std::shared_ptr<ShadowCase> copy(const Request& request) const;
  void offer(const Request& request, std::shared_ptr<ShadowCase> shared) const;

 private:
  using Lines = std::vector<std::shared_ptr<ShadowLine>>;

  std::shared_ptr<ShadowLine> find(const Servable& servable) const;
  std::shared_ptr<ShadowLine> open(const std::shared_ptr<const Servable>& servable) const;

  const ServingTables& tables_;
  const ShadowOptions options_;
  std::atomic<bool> closed_{false};
  mutable Snapshot<Lines> lines_;  // published under mutex_
  mutable std::mutex mutex_;
};

// `runner` outlives the observer.
std::unique_ptr<const Observer> make_shadow_observer(const ShadowRunner& runner);

}  // namespace sluice::serving
