// From what a source wants to what is served.
//
// The only writer of the serving table. `load_all` asks the source for its complete list, loads
// each version with the engine that fits its file, warms it up and publishes tables that hold it. A
// version that fails is kept in the table with its reason and disturbs nothing else.
//
// Thread-safety: one control thread calls it; the table is read by anyone.
#pragma once

#include <memory>
#include <string>

#include "core/registry.h"
#include "core/serving_table.h"
#include "core/source.h"

namespace sluice::repository {

struct RepositoryOptions {
  std::string default_model;
};

class Repository {
 public:
  Repository(Source& source, const Registry<Engine>& engines, const ServableFactory& servables,
             const Registry<PolicyFactory>& policies, ServingTables& tables,
             RepositoryOptions options);

  // Errors: the source cannot be listed, or `default_model` does not exist.
  Result<void> load_all();
  // `/ready` answers no from now on.
  void announce_drain();

 private:
  std::shared_ptr<const ModelEntry> load_model(const WantedModel& wanted);
  VersionEntry load_version(const WantedModel& model, const WantedVersion& version);
  Result<std::shared_ptr<const Servable>> make_servable(const WantedModel& model,
                                                        const WantedVersion& version);
  void finish_entry(ModelEntry& entry);
  void publish(const ServingTable& table);

  Source& source_;
  const Registry<Engine>& engines_;
  const ServableFactory& servables_;
  const Registry<PolicyFactory>& policies_;
  ServingTables& tables_;
  const RepositoryOptions options_;
};

}  // namespace sluice::repository
