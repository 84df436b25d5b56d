// From what a source wants to what is served.
//
// The only writer of the serving table. It asks the source for its complete list, loads each
// version with the engine that fits its file, warms it up and publishes tables that hold it. A
// version that fails is kept in the table with its reason and disturbs nothing else; a reload that
// fails leaves what ran before.
//
// Thread-safety: `load_all` and `announce_drain` are called by one thread; `load` and `unload` by
// any, they are done one after the other by a thread of the repository's own. The table is read by
// anyone.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/worker.h"
#include "core/registry.h"
#include "core/serving_table.h"
#include "core/source.h"

namespace sluice::repository {

struct RepositoryOptions {
  std::string default_model;
  int parallel = 1;  // threads that run models
  // Models are loaded when `load` asks for them, at first only those named here ("*": all).
  bool on_request = false;
  std::vector<std::string> load_first;
};

class Repository {
 public:
  // Called on the repository's thread when it is done.
  using Done = std::move_only_function<void(Result<void>)>;

  Repository(Source& source, const Registry<Engine>& engines, const ServableFactory& servables,
             const Registry<PolicyFactory>& policies, ServingTables& tables,
             RepositoryOptions options);

  // Errors: the source cannot be listed, or a model that the options name does not exist.
  Result<void> load_all();
  // Loads what the source has of this model now, or loads it again. Errors: kNotFound; kUnavailable
  // with the reason when no version of it can be served.
  void load(ModelName model, Done done);
  // Takes it out of service; requests that run are answered. Errors: kNotFound.
  void unload(ModelName model, Done done);
  // `/ready` answers no from now on.
  void announce_drain();

 private:
  Result<void> load_now(const ModelName& model);
  Result<void> unload_now(const ModelName& model);
  bool wanted_first(const std::string& model) const;
  std::shared_ptr<const ModelEntry> load_model(const WantedModel& wanted);
  VersionEntry load_version(const WantedModel& model, const WantedVersion& version);
  Result<std::shared_ptr<const Servable>> make_servable(const WantedModel& model,
                                                        const WantedVersion& version);
  void finish_entry(ModelEntry& entry);
  // Publishes what `change` makes of the newest table.
  void publish(const std::function<void(ServingTable&)>& change);

  Source& source_;
  const Registry<Engine>& engines_;
  const ServableFactory& servables_;
  const Registry<PolicyFactory>& policies_;
  ServingTables& tables_;
  const RepositoryOptions options_;
  std::mutex publishing_;
  Worker worker_{"repository"};  // last: ends before what its tasks use
};

}  // namespace sluice::repository
