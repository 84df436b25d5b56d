// The composition root: which engines, sources, policies and observers exist, and how a repository,
// a table and a pipeline are put together. Used by `serve` and by every command that works without
// a server.
//
// Thread-safety: built and loaded by one thread; the pipeline is for all.
#pragma once

#include <memory>
#include <string>

#include "app/commands.h"
#include "app/noting_source.h"
#include "core/engine.h"
#include "core/observer.h"
#include "core/registry.h"
#include "core/serving_table.h"
#include "core/source.h"
#include "engines/builtin.h"
#include "features/features.h"
#include "observers/evidence.h"
#include "observers/trace_log.h"
#include "observers/watchers.h"
#include "repository/repository.h"
#include "serving/explainer.h"
#include "serving/faults.h"
#include "serving/pipeline.h"
#include "serving/shadow_runner.h"
#include "sources/remote.h"

namespace sluice::release {
class Releases;
struct Policies;
}  // namespace sluice::release

namespace sluice::app {

// Where releases are kept.
struct StateOptions {
  std::string where = ":memory:";  // or a directory
  bool required = true;            // else they are kept in memory where that cannot be used
  std::string shared{};            // a URL: with other replicas, and not there
};

struct StackOptions {
  StateOptions state;
  serving::FaultTable faults;  // what is put into versions on purpose
  observers::PredictionLogOptions log;
  std::string log_key;                // of the log's hashes; empty: one that the state keeps
  observers::TracerOptions tracer{};  // off, unless it says where spans go
  features::Stores feature_stores{};
  std::string model_name{};  // of the only model, instead of its folder's or file's; or empty
  bool notes_files = false;  // for a command that says of its model what became of its file
};

// Who says why a model cannot be served: the log, or the command as its last sentence.
enum class Teller { kLog, kCommand };

class Stack {
 public:
  // `path`: or a URL, for which `remote` is. Errors: kNotFound when there is nothing there,
  // kInvalidArgument when it is no model. `probe`: tries versions before they are loaded; may be
  // null. Errors also: of the state, where that is required, and of the prediction log.
  static Result<std::unique_ptr<Stack>> open(const std::string& path,
                                             repository::RepositoryOptions options,
                                             const engines::EngineOptions& engines,
                                             const repository::Probe* probe,
                                             sources::RemoteOptions remote, StackOptions more);
  // For commands that end after their answer: whatever is there is loaded at once. `parallel`:
  // threads that will run models; else one.
  static Result<std::unique_ptr<Stack>> open(const std::string& path,
                                             const LoadFlags& load_flags = {}, int parallel = 1);

  ~Stack();

  Result<void> load(Teller teller = Teller::kLog);
  // For commands that work with one model: the only one there is, which can be served. Errors:
  // kNotFound/`no_model`; kInvalidArgument/`usage` where there are several; `bad_model` as by
  // why_not.
  Result<std::shared_ptr<const ModelEntry>> only_model() const;
  // What is wrong with a model that cannot be served. kUnavailable where its store was.
  Error why_not(const ModelEntry& entry) const;
  // Of a version's model file; 0 where that is not known.
  std::uint64_t bytes_of(std::string_view version) const;
  // A request to it. Errors: those, and the pipeline's. `version`: empty for what has the traffic.
  Result<RequestPtr> request_to_only_model(std::string_view version = {}) const;
  void announce_drain() { repository_->announce_drain(); }
  // What releases have seen and what waits for the prediction log is kept; then see
  // Repository::close; last, spans are sent. False also where a shadow's run or an explanation does
  // not end, or the log's disk hangs.
  bool close(Millis grace);
  // The part of it that must not be left out where the process ends without the rest: what waits
  // for the prediction log and for the collector of spans.
  void keep_log();

  const serving::Pipeline& pipeline() const { return *pipeline_; }
  const ServingTables& tables() const { return tables_; }
  const Registry<Engine>& engines() const { return engines_; }
  repository::Repository& repository() { return *repository_; }
  release::Releases& releases() { return *releases_; }
  observers::TraceControl& trace() { return trace_; }
  serving::ShadowRunner& shadows() { return shadows_; }
  const observers::Watchers& watch() const { return watch_; }
  features::Features& features() { return *features_; }

 private:
  Stack(Registry<Engine> engines, serving::FaultTable faults, observers::WatchOptions watch,
        std::unique_ptr<features::Features> features);

  Registry<Engine> engines_;
  std::unique_ptr<features::Features> features_;
  std::unique_ptr<const ServableFactory> servables_;
  std::unique_ptr<Source> source_;
  NotingSource* noting_ = nullptr;  // source_, for commands
  bool in_web_ = false;             // on a web server, whose files have names and no folders
  ServingTables tables_;
  observers::TraceControl trace_;
  observers::EvidenceLog evidence_;
  observers::Watchers watch_;
  serving::ShadowRunner shadows_;
  serving::Explainer explainer_{&watch_.traffic_rows};
  Observers observers_;
  const std::unique_ptr<const release::Policies> policies_;
  std::unique_ptr<repository::Repository> repository_;
  std::unique_ptr<release::Releases> releases_;
  std::unique_ptr<const serving::Pipeline> pipeline_;
};

}  // namespace sluice::app
