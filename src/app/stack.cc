#include "app/stack.h"

#include <fmt/format.h>
#include <unistd.h>

#include "app/options.h"
#include "base/log.h"
#include "base/name_list.h"
#include "base/random.h"
#include "observers/builtin.h"
#include "release/releases.h"
#include "routing/newest.h"
#include "serving/model_servable.h"
#include "sources/builtin.h"
#include "sources/named.h"
#include "state/builtin.h"

namespace sluice::app {
namespace {

Result<std::unique_ptr<StateStore>> open_state(const StateOptions& options) {
  if (!options.shared.empty()) return state::open_state(options.shared);
  auto opened = state::open_state(options.where);
  if (opened || options.required) return opened;
  log::warn("there is no room for state beside the models (" + opened.error().message +
            "); releases last until the server ends, unless --state-dir says where to keep them");
  return state::open_state(":memory:");
}

// Made at the first start and kept with the state, so that hashes stay the same; replicas share it.
Result<std::string> kept_hash_key(StateStore& store) {
  constexpr std::string_view kKind = "settings";
  constexpr std::string_view kKey = "log_key";
  std::string made;
  for (int i = 0; i < 4; ++i) made += fmt::format("{:016x}", random_seed());
  if (auto* const fleet = store.fleet()) {
    auto agreed = fleet->agree(kKey, made);
    if (agreed || agreed.error().code != Code::kUnavailable) return agreed;
    return unavailable("state_unavailable",
                       agreed.error().message +
                           "; a replica does not start without the state that --state names, as it "
                           "would send every user to the newest version");
  }
  while (true) {
    SLUICE_TRY(const auto there, store.document(kKind, kKey));
    if (there) return there->body;
    const auto put = store.put(kKind, kKey, made, 0, std::nullopt);
    if (put) return made;
    if (put.error().code != Code::kAborted) return Failure(put.error());
  }
}

// How long the end waits for a run of a shadow or for an explanation; one that hangs is left
// behind.
constexpr Millis kShadowGrace{500};
// How long the end waits for a collector to take the last spans.
constexpr Millis kSpanGrace{2000};

// Commands say nothing but their answer, and what may be wrong with it: another version of
// scikit-learn wrote the file, or a store is down and the cache is taken. Of a model that is far
// they tell on a terminal how far its download is.
void tell_of(const std::string& path) {
  log::enable(log::Level::kWarn, true);
  log::enable(log::Level::kInfo, sources::is_url(path) && ::isatty(STDERR_FILENO) == 1);
}

bool is_in_web(const std::string& path) {
  return path.starts_with("http://") || path.starts_with("https://");
}

}  // namespace

Stack::Stack(Registry<Engine> engines, serving::FaultTable faults, observers::WatchOptions watch,
             std::unique_ptr<features::Features> features)
    : engines_(std::move(engines)),
      features_(std::move(features)),
      servables_(serving::make_servable_factory(std::move(faults), features_.get())),
      tables_(std::make_shared<const ServingTable>()),
      watch_(tables_, std::move(watch)),
      shadows_(tables_),
      observers_(observers::make_builtin(trace_, evidence_, watch_)),
      policies_(std::make_unique<const release::Policies>(release::Policies::builtin())) {
  observers_.push_back(serving::make_shadow_observer(shadows_));
  observers_.push_back(observers::make_finishing(watch_.finishing));  // last: all have counted
}

Stack::~Stack() = default;

Result<std::unique_ptr<Stack>> Stack::open(const std::string& path,
                                           repository::RepositoryOptions options,
                                           const engines::EngineOptions& engines,
                                           const repository::Probe* probe,
                                           sources::RemoteOptions remote, StackOptions more) {
  Registry<Engine> registry;
  engines::register_builtin(registry, engines);
  std::vector<std::string> extensions;
  for (const auto& [name, engine] : registry.items()) {
    for (const auto end : engine->extensions()) extensions.emplace_back(end);
  }
  // Before anything is written: what is asked for may not be there.
  SLUICE_TRY(auto source, sources::make_source(path, sources::Layout(std::move(extensions)), remote,
                                               !more.model_name.empty()));
  if (!more.model_name.empty()) {
    SLUICE_TRY(auto name, ModelName::parse(more.model_name));
    source = sources::make_named(std::move(source), std::move(name));
  }
  NotingSource* noting = nullptr;
  if (more.notes_files) {
    auto made = std::make_unique<NotingSource>(std::move(source));
    noting = made.get();
    source = std::move(made);
  }
  SLUICE_TRY(auto store, open_state(more.state));
  if (more.log_key.empty()) {
    SLUICE_TRY(more.log_key, kept_hash_key(*store));
  }
  SLUICE_TRY(auto log, observers::open_log(more.log));
  SLUICE_TRY(auto features, features::Features::open(more.feature_stores, more.state.where));
  std::unique_ptr<Stack> stack(new Stack(
      std::move(registry), std::move(more.faults),
      {std::move(more.log_key), std::move(log), std::move(more.tracer)}, std::move(features)));
  stack->source_ = std::move(source);
  stack->noting_ = noting;
  stack->in_web_ = is_in_web(path);
  stack->repository_ = std::make_unique<repository::Repository>(
      *stack->source_, stack->engines_, *stack->servables_, routing::make_newest(),
      [&policies = *stack->policies_](const ModelName& model, const Node& declared) {
        return release::declared_route(policies, model, declared);
      },
      probe, stack->tables_, std::move(options));
  stack->releases_ = std::make_unique<release::Releases>(
      *stack->policies_, *stack->repository_, stack->tables_, stack->evidence_, std::move(store));
  stack->pipeline_ = std::make_unique<const serving::Pipeline>(
      stack->tables_, stack->observers_, *stack->repository_, &stack->explainer_);
  return stack;
}

Result<std::unique_ptr<Stack>> Stack::open(const std::string& path, const LoadFlags& load_flags,
                                           int parallel) {
  repository::RepositoryOptions options;
  options.parallel = parallel;
  options.nothing_lazy = true;
  options.live.allow_code = load_flags.allow_pickle;
  SLUICE_TRY(auto remote, cache_options(load_flags));
  tell_of(path);
  StackOptions more;
  more.notes_files = true;
  return open(path, std::move(options), {load_flags.python}, nullptr, std::move(remote),
              std::move(more));
}

// Releases are known before the first request can come, and look when there is something to see.
Result<void> Stack::load(Teller teller) {
  SLUICE_CHECK(releases_->restore());
  const bool quiet = teller == Teller::kCommand && log::enabled(log::Level::kError);
  if (quiet) log::enable(log::Level::kError, false);
  const auto loaded = repository_->load_all();
  if (quiet) log::enable(log::Level::kError, true);
  SLUICE_CHECK(loaded);
  releases_->start();
  return {};
}

Result<std::shared_ptr<const ModelEntry>> Stack::only_model() const {
  const auto table = tables_.get();
  if (table->models.empty()) {
    return not_found("no_model",
                     "there is no model in there; check the name, and what lies below it");
  }
  if (table->models.size() > 1) {
    std::vector<std::string_view> names;
    for (const auto& [name, entry] : table->models) names.push_back(name);
    return invalid("usage", "there are several models in there, " + name_list(names) +
                                (in_web_ ? "; name the file of one, such as …/fraud/v1/model.onnx"
                                         : "; add the name of one to the path"));
  }
  const auto& entry = table->models.begin()->second;
  if (entry->can_serve()) return entry;
  return Failure(why_not(*entry));
}

// Of several versions the newest's.
Error Stack::why_not(const ModelEntry& entry) const {
  Error out{Code::kInvalidArgument, "bad_model", entry.reason, {}};
  for (const auto& version : entry.versions) {
    if (!entry.reason.empty() || version.reason.empty()) continue;
    const bool away = noting_ != nullptr && noting_->was_unavailable(version.name.str());
    out.code = away ? Code::kUnavailable : Code::kInvalidArgument;
    out.message = version.reason;
  }
  return out;
}

std::uint64_t Stack::bytes_of(std::string_view version) const {
  return noting_ == nullptr ? 0 : noting_->bytes_of(version);
}

Result<RequestPtr> Stack::request_to_only_model(std::string_view version) const {
  SLUICE_TRY(const auto entry, only_model());
  auto request = pipeline_->new_request();
  SLUICE_CHECK(pipeline_->aim(*request, entry->name.str(), version));
  return request;
}

void Stack::keep_log() {
  watch_.tap.close();
  watch_.tracer.close(kSpanGrace);
}

bool Stack::close(Millis grace) {
  releases_->close();
  features_->close();
  watch_.tap.close();
  const bool log_ended = !watch_.log || watch_.log->ended_in_time();
  const bool shadows_ended = shadows_.close(kShadowGrace);
  const bool explanations_ended = explainer_.close(kShadowGrace);
  const bool models_ended = repository_->close(grace);
  // The last: those that were dropped just now are told of as well.
  const bool spans_ended = watch_.tracer.close(kSpanGrace);
  return models_ended && shadows_ended && explanations_ended && log_ended && spans_ended;
}

}  // namespace sluice::app
