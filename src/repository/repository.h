// From what a source wants to what is served.
//
// The only writer of the serving table. It looks at the source's complete list, again and again
// where that is asked for, compares it with what runs, and has loader threads load what is new:
// each version copied aside, tried in a child process, loaded, warmed up, and only then published.
// Files that have to be fetched are, before that and by threads of their own, so that nothing that
// is here waits for a network. A version that fails is kept in the table with its reason and
// disturbs nothing else; where an older file of the same version runs, it goes on. What is gone
// from the list leaves the table; it ends when its last request has been answered.
//
// Thread-safety: all state is of one control thread, which never loads a model itself; every public
// function may be called from any thread, `load_all` and `close` once. The table is read by anyone.
// Routes are published on the caller's thread, so that taking a version back waits for nothing.
#pragma once

#include <atomic>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/option.h"
#include "base/worker.h"
#include "core/on_demand.h"
#include "core/policy.h"
#include "core/registry.h"
#include "core/serving_table.h"
#include "core/source.h"
#include "repository/fetch_line.h"
#include "repository/roster.h"
#include "repository/version_loader.h"
#include "repository/waiting_room.h"

namespace sluice::repository {

// What may change while it runs.
struct LiveOptions {
  std::string default_model;
  std::optional<Millis> poll;  // how often the source is looked at after the start; nothing: never
  std::uint64_t max_memory = 0;  // of all loaded versions, in bytes; 0: no limit
  bool allow_code = false;       // pickles and the like, whatever their model.yaml says
};

struct RepositoryOptions {
  LiveOptions live;
  int parallel = 1;  // threads that run models
  int loaders = 2;   // versions that are loaded at a time, once their files are here
  // Models are loaded when `load` asks for them, at first only those named here ("*": all).
  bool on_request = false;
  // Lazy versions too are loaded at start: for commands that end after one answer.
  bool nothing_lazy = false;
  std::vector<std::string> load_first;
};

// What model.yaml's `release:` means for the traffic before anybody has acted on it. Errors: of the
// release; then the model's configuration has a mistake.
using DeclaredRoute = std::function<Result<std::shared_ptr<const Route>>(const ModelName& model,
                                                                         const Node& release)>;

class Repository final : public OnDemand {
 public:
  // Called on the repository's thread when it is done.
  using Done = std::move_only_function<void(Result<void>)>;

  // `probe` may be null: versions are loaded without a trial.
  Repository(Source& source, const Registry<Engine>& engines, const ServableFactory& servables,
             std::shared_ptr<const Route> without_release, DeclaredRoute declared,
             const Probe* probe, ServingTables& tables, RepositoryOptions options);
  ~Repository() override;

  // The first look; returns when all that is to be loaded at start has been, or has failed. Errors:
  // the source cannot be listed, or a model that the options name does not exist.
  Result<void> load_all();
  // Loads what the source has of this model now, or loads it again. Errors: kNotFound; kUnavailable
  // with the reason when a version of it cannot be served.
  void load(ModelName model, Done done);
  // Takes it out of service; requests that run are answered. Errors: kNotFound.
  void unload(ModelName model, Done done);
  void want(std::string_view model, std::string_view version, TimePoint deadline,
            Then then) override;
  // Who gets which version, from the next request on: it holds when it returns. The versions that
  // the route needs are loaded, whatever model.yaml says of versions and loading. Null: what the
  // `release:` of model.yaml says, if anything. The model need not be there yet.
  void set_route(const ModelName& model, std::shared_ptr<const Route> route);
  // Loads these versions, whatever model.yaml says, for a route that is about to be set; `done` is
  // called when all of them are ready. Errors: kNotFound; kAborted/`version_failed` with
  // the reason; then those that were loaded for it go again.
  void need(ModelName model, std::vector<VersionName> versions, Done done);
  // Takes other options over and looks at the source; they hold when it returns. What could not be
  // loaded has another chance.
  void change(LiveOptions live);
  // `/ready` answers no from now on.
  void announce_drain();
  // Nothing is loaded any more; what runs ends, and what waits is dropped. False: a version is
  // still being loaded after `grace`, which cannot be broken off; then nothing else was done.
  bool close(std::chrono::milliseconds grace);
  // Versions that are being loaded.
  int loading() const { return loading_.load(); }

 private:
  struct Asked {  // `load`, until the last of its versions is there
    std::string model;
    Done done;
  };
  struct Needed {
    std::string model;
    std::vector<VersionName> versions;
    Done done;
  };

  // All on the control thread.
  // Of all models, or of one.
  Result<void> look(std::chrono::milliseconds settle, const std::string& only = {});
  void look_again();
  void look_twice();
  void plan_look();
  void follow(std::uint64_t plan);
  void retry_all();
  Millis settle_time() const;
  void hint();
  void choose_default(const std::vector<WantedModel>& wanted);
  void note_model(const WantedModel& seen, bool twice, TimePoint now,
                  std::chrono::milliseconds settle);
  bool note_versions(const std::string& name, ModelSlot& model, bool tell, TimePoint now,
                     std::chrono::milliseconds settle);
  void start_loads(const std::string& only = {});
  void start_load(ModelSlot& model, VersionSlot& version);
  void post_load(std::shared_ptr<LoadJob> job);
  void start_fetches();
  void post_fetch(std::shared_ptr<LoadJob> job);
  bool still_wanted(const LoadJob& job) const { return !closing_ && !*job.abandoned; }
  void end_load(const LoadJob& job, Result<LoadedVersion> loaded);
  void finish_load(const std::string& name, VersionSlot& slot, const std::string& seen,
                   Result<LoadedVersion> loaded);
  void accept(const std::string& name, ModelSlot& model, VersionSlot& version,
              const std::string& seen, LoadedVersion loaded);
  void refuse(const std::string& name, VersionSlot& version, const std::string& seen,
              const Error& error);
  VersionSlot* find_slot(const std::string& name, const VersionName& version);
  void settle(const std::string& name, ModelSlot& model, VersionSlot& slot, const std::string& seen,
              Result<LoadedVersion> loaded);
  // True where any of them went.
  bool retire(const std::string& name, ModelSlot& model);
  bool make_room_for(VersionSlot& version, std::uint64_t bytes);
  void let_go(const std::string& name, VersionSlot& slot);
  void admit_guest(const std::string& model, const std::string& version, WaitingRoom::Guest guest);
  void seat(const std::string& name, ModelSlot& model, VersionSlot& slot, WaitingRoom::Guest guest);
  void tell_guests(const std::string& name, ModelSlot& model, VersionSlot& slot);
  static VersionSlot* running(ModelSlot& model);
  static VersionSlot* usable_before(ModelSlot& model, const VersionName* newer);
  static Failure cannot_serve(const std::string& name, const VersionSlot& slot);
  void expire_guests();
  void begin_load(const ModelName& model, Done done);
  void answer_asked();
  void begin_need(const ModelName& model, std::vector<VersionName> versions, Done done);
  void answer_needed();
  // Nothing: it is still on its way.
  std::optional<Result<void>> outcome(const Needed& needed) const;
  std::vector<VersionName> needed_versions(const std::string& model) const;
  Result<void> outcome(const ModelSlot& model) const;
  void finish_first();
  bool wanted_first(const std::string& model) const;

  std::shared_ptr<ModelEntry> entry_of(const ModelSlot& slot) const;
  // Who of the ready versions gets what, by the model's route; under `publishing_`.
  void route_entry(ModelEntry& entry) const;
  void publish_model(const std::string& name);
  // Publishes what `change` makes of the newest table.
  void publish(const std::function<void(ServingTable&)>& change);

  Source& source_;
  const std::shared_ptr<const Route> without_release_;
  const DeclaredRoute declared_;
  ServingTables& tables_;
  const RepositoryOptions options_;  // without what is live
  const VersionLoader loader_;
  mutable std::mutex publishing_;
  std::map<std::string, std::shared_ptr<const Route>> routes_;  // guarded by publishing_
  std::atomic<int> loading_{0};
  std::atomic<bool> closing_{false};

  // Of the control thread.
  LiveOptions live_;
  std::uint64_t plan_ = 0;  // the chain of looks that goes on; older ones end
  std::map<std::string, ModelSlot> models_;
  WaitingRoom guests_;
  FetchLine fetches_;
  bool fetches_planned_ = false;
  std::vector<Asked> asked_;
  std::vector<Needed> needed_;
  bool first_done_ = false;
  bool hinted_ = false;
  std::string last_trouble_;  // with the source, so that it is told once
  std::promise<Result<void>> first_;

  Worker control_{"repository"};
  // Of the control thread as well. They end first: their tasks tell it.
  std::optional<Worker> loaders_;
  std::optional<Worker> fetchers_;  // once there is something to fetch
};

}  // namespace sluice::repository
