// All releases of the server: the loop that learns from finished requests, decides, and changes
// routes; and what people ask of it.
//
// It runs on a thread of its own, some hundred times a second while there is a release, and is
// never on the way of a request. Taking a version back is published first and written down then;
// every other decision is on the disk before it takes effect, so that none that anybody has seen is
// lost. One that cannot be written takes effect all the same, and the log says so.
//
// Where the store is shared with other replicas (core/fleet.h) one of them does all of this for
// all: the others tell it how their requests ended, ask it what people ask of them, and follow what
// it publishes, all at the same time. Without the store they go on as they are, and nothing is
// decided.
//
// Thread-safety: every function may be called from any thread; answers come on the releases' own
// thread unless it is said otherwise.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/worker.h"
#include "core/serving_table.h"
#include "core/state_store.h"
#include "observers/evidence.h"
#include "release/evidence_archive.h"
#include "release/fleet_link.h"
#include "release/running_release.h"
#include "release/spec.h"
#include "repository/repository.h"

namespace sluice::release {

class Releases {
 public:
  using Answer = std::move_only_function<void(Result<nlohmann::ordered_json>)>;

  // All outlive it; `store` is its own.
  Releases(const Policies& policies, repository::Repository& repository,
           const ServingTables& tables, observers::EvidenceLog& evidence,
           std::unique_ptr<StateStore> store);
  ~Releases();

  // Takes up what was stored, or what the other replicas follow. Before the repository's first
  // look, so that no request is ever routed without its release. Errors: of the store.
  Result<void> restore();
  // Begins to look; model.yaml's releases are seen from now on.
  void start();
  // Writes the evidence down; nothing is decided any more.
  void close();

  // A new release in the place of whatever there was. `revision`: the one that it is to replace.
  // Answers its status. Errors: kInvalidArgument/`bad_release`, kNotFound, kAborted where the
  // revision is another or a version cannot be loaded; then nothing has changed.
  void put(std::string model, nlohmann::ordered_json body, std::optional<std::uint64_t> revision,
           Answer answer);
  // `by`: "api", or "file" where model.yaml no longer has it.
  void remove(std::string model, std::optional<std::uint64_t> revision, std::string by,
              Answer answer);
  void command(std::string model, Command command, std::string version,
               std::optional<std::uint64_t> revision, Answer answer);
  void status(std::string model, Answer answer);
  void bandit(std::string model, Answer answer);
  // `model`: empty, or of which it must be. Errors: see RunningRelease::feedback.
  void feedback(std::string model, Feedback told, Answer answer);

  // Outcomes that were not learned from, as there were too many at a time.
  std::uint64_t dropped() const { return evidence_.dropped(); }
  // How this replica stands among the others; nothing: it is alone.
  std::optional<FleetLink::View> fleet() const;
  // For metrics: the status of each, as it was some time in the last second. Any thread.
  std::shared_ptr<const std::map<std::string, nlohmann::ordered_json>> latest() const {
    return latest_.get();
  }

 private:
  using Clock = std::chrono::steady_clock;
  using ReleasePtr = std::unique_ptr<RunningRelease>;

  // What model.yaml said that could not be had.
  struct Refused {
    std::string declared;
    Clock::time_point again{};
  };
  // A release that was ended. Kept, so that revisions do not fall, and so that one in model.yaml
  // that was ended by hand stays so until it says something else.
  struct Gone {
    std::uint64_t revision = 0;
    std::string declared;
  };

  // All on the thread.
  // --- among replicas (fleet.cc)
  bool leads() const { return link_ == nullptr || leading_; }
  Result<void> join();
  void beat();
  // Where the lease is over, or another life of the store has begun.
  void end_leading(Clock::time_point now);
  Result<void> lead();
  void step_down(const Error& why);
  void stumble(const Error& why);
  Result<std::map<std::string, ReleasePtr>> rebuild_all();
  // The store had lost everything: what this replica knows is stored again.
  Result<void> store_again();
  // It had lost this one.
  Result<void> store_again(RunningRelease& release);
  void forget_ended();
  Result<void> hold_to_what_was_said(std::map<std::string, ReleasePtr>& stored);
  Result<void> hold_to(const nlohmann::ordered_json& document, ReleasePtr anew,
                       ReleasePtr& release);
  Result<void> hold_to_end(const nlohmann::ordered_json& text, const RunningRelease& release);
  void follow(const Published& published);
  void follow_later(const Published& published);
  void follow_end(const ModelName& model, const Gone& gone, WallMillis at);
  // A release is to begin with these versions: all replicas load them, then `then` is called, in
  // any case after a while.
  void await_all(const ModelName& model, const std::vector<VersionName>& versions,
                 std::move_only_function<void()> then);
  void begin_awaited();
  struct Preparing {
    std::uint64_t number;
    ModelName model;
    std::vector<VersionName> versions;
    Clock::time_point until;
  };
  void prepare(Preparing what);
  void say_heard();
  void at_time(WallMillis at, const ModelName& model, Worker::Task task);
  void route_at(WallMillis at, const ModelName& model, std::shared_ptr<const Route> route);
  void take_happenings();
  void take_up(const FleetEvent& event);
  void take_told(ToldFeedback told, const std::string& replica, std::uint64_t place, bool again);
  void answer_question(const Letter& letter);
  // The others can be reached.
  bool shared() const { return link_ != nullptr && link_->connected(); }
  // True: whoever leads is asked.
  bool forward(json question, Answer& answer);
  // Its users go where it says from now on: here, and on all replicas at the same time.
  void route(RunningRelease& release);
  // A change that not every replica has heard of in time holds later.
  void postpone(RunningRelease& release);
  void publish_end(const ModelName& model, const Gone& gone);
  WallMillis now_millis() const;

  // --- here
  void plan_tick();
  void tick();
  void take_outcomes();
  void decide(RunningRelease& release, std::chrono::milliseconds passed);
  void look_at_tables();
  void look_at(const ModelEntry& entry);
  void save();
  void tell();
  Result<void> save(RunningRelease& release);
  void begin_put(const std::string& model, Spec spec, std::string source, std::string declared,
                 Answer answer);
  void finish_put(const ModelName& model, Spec spec, std::uint64_t expected, std::string source,
                  std::string declared, Answer answer);
  Result<void> carry_out(RunningRelease& release, const Next& next, std::string_view by);
  Result<void> write(RunningRelease& release, const json& entry);
  json entry_of(const RunningRelease& release, const Decision& decision, std::string_view by,
                const json& weights) const;
  void install(ReleasePtr release);
  RunningRelease& keep(ReleasePtr release);
  json status_of(const RunningRelease& release) const;
  json history_of(const std::string& model) const;
  Result<json> without_release(const std::string& model) const;
  void end(const ModelName& model, Gone gone);
  void set_end(const ModelName& model, const Gone& gone);
  Result<json> take(const std::string& model, const Feedback& told,
                    std::uint64_t place = ~std::uint64_t{0});
  void look_for(std::string model, Feedback told, Answer answer, std::size_t looks);
  Result<void> check_revision(const std::string& model, std::optional<std::uint64_t> given) const;
  std::uint64_t revision_of(const std::string& model) const;
  RunningRelease* find(const std::string& model);
  Result<Spec> complete(const ModelEntry& entry, Spec spec) const;
  Result<ReleasePtr> rebuild(const StoredDocument& stored);
  Result<ReleasePtr> from_document(ModelName model, const json& document, std::uint64_t revision);

  const Policies& policies_;
  repository::Repository& repository_;
  const ServingTables& tables_;
  observers::EvidenceLog& evidence_;
  const std::unique_ptr<StateStore> store_;
  const std::unique_ptr<FleetLink> link_;  // null: there are no other replicas
  Snapshot<std::map<std::string, nlohmann::ordered_json>> latest_;
  std::atomic<bool> closing_{false};

  // Of the thread.
  std::map<std::string, ReleasePtr, std::less<>> releases_;
  std::map<std::uint64_t, RunningRelease*> by_id_;
  std::map<std::string, Gone> gone_;
  std::map<std::string, std::map<std::string, std::uint64_t>> decisions_;  // since the start
  std::map<std::string, Refused> refused_;
  EvidenceArchive archive_;
  std::vector<std::string> busy_;  // models whose next release is being loaded
  std::vector<Outcome> outcomes_;
  int waiting_ = 0;  // feedback that waits to be looked for again
  bool leading_ = false;
  Clock::time_point lead_again_{};  // not before
  Clock::time_point read_{};        // what has happened
  std::string life_;                // of the store, while this replica leads
  std::uint64_t place_ = 0;         // of the last happening that was taken into account
  std::size_t unsaved_ = 0;         // outcomes that were, since the last time that was stored
  std::map<std::string, Published> followed_;
  struct PutOff {
    Published published;
    std::uint64_t followed = 0;  // the number of what is followed meanwhile
  };
  std::map<std::string, PutOff> put_off_;  // by model: the last
  struct Awaited {
    std::uint64_t number;
    Clock::time_point until;
    std::move_only_function<void()> then;
  };
  std::vector<Awaited> awaited_;
  std::set<std::uint64_t> preparing_;  // numbers of what was published
  std::uint64_t newest_heard_ = 0;
  std::string heard_life_;
  bool retell_ = false;  // what was published in the store's last life may be there no more
  // To feedback that was taken and is not stored yet.
  struct LateReply {
    std::string replica;
    std::string letter;
    Result<json> answer;
  };
  std::vector<LateReply> late_replies_;
  // The number of what was published last, for tasks that wait for their time.
  std::map<std::string, std::shared_ptr<std::atomic<std::uint64_t>>> newest_;
  std::uint64_t plan_ = 0;  // the tick that goes on; others do not
  Clock::time_point ticked_{};
  Clock::time_point saved_{};
  Clock::time_point looked_{};

  Worker punctual_{"release-switch"};
  Worker thread_{"release"};
};

}  // namespace sluice::release
