// From a version that is wanted to one that answers: opens its files, which may have to be fetched
// first, finds the engine, tries it in a child process, loads it, warms it up.
//
// Thread-safety: any number of threads.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/worker.h"
#include "core/registry.h"
#include "core/servable.h"
#include "core/source.h"
#include "repository/probe.h"

namespace sluice::repository {

struct LoadedVersion {
  std::shared_ptr<const Servable> servable;
  std::uint64_t bytes = 0;  // of memory: measured in the trial, else the file's size
};

// A version on its way. Handed from thread to thread, of one at a time.
struct LoadJob {
  WantedModel model;
  WantedVersion version;
  std::string seen;              // fingerprint, configuration included
  std::shared_ptr<Tally> tally;  // goes on counting
  // Becomes true when nobody wants the version any more.
  std::shared_ptr<const std::atomic<bool>> abandoned;
  bool allow_code = false;  // files that are programs are loaded whatever their model.yaml says
  std::optional<ModelFile> fetched;
};

class VersionLoader {
 public:
  // Everything outlives it. `probe` may be null: no trial.
  VersionLoader(Source& source, const Registry<Engine>& engines, const ServableFactory& servables,
                const Probe* probe, int parallel);

  // Waits for no network. Nothing: the files have to be fetched first. Errors: kUnavailable where
  // another try may go better, else why it cannot be served; those of `fetch` as well.
  Result<std::optional<LoadedVersion>> load(LoadJob& job) const;
  // Gets the job's files from wherever they are, however long that takes; gives up soon after it
  // was abandoned.
  Result<void> fetch(LoadJob& job) const;

  // Closes all that was ever loaded and still lives: a version that was replaced may still run.
  void close_all() const;

  // Models end on a thread of their own: freeing a large one takes time that no request has.
  Worker& reaper() const { return *reaper_; }

 private:
  struct Choice {
    std::string name;
    const Engine* engine;
  };
  Result<LoadedVersion> load_file(const LoadJob& job, const ModelFile& file) const;
  Result<Choice> choose_engine(const WantedModel& model, const ModelFile& file) const;
  std::shared_ptr<const ModelHost> host_of(const ModelFile& file, const WantedVersion& version,
                                           Trial trial) const;
  std::shared_ptr<const Servable> reaped(std::shared_ptr<const Servable> servable) const;

  Source& source_;
  const Registry<Engine>& engines_;
  const ServableFactory& servables_;
  const Probe* probe_;
  const int parallel_;
  mutable std::mutex mutex_;
  mutable std::vector<std::weak_ptr<const Servable>> loaded_;  // guarded by mutex_
  const std::shared_ptr<Worker> reaper_ = std::make_shared<Worker>("reaper");
};

}  // namespace sluice::repository
