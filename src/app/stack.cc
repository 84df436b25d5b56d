#include "app/stack.h"

#include "base/log.h"
#include "base/random.h"
#include "observers/builtin.h"
#include "release/releases.h"
#include "routing/newest.h"
#include "serving/model_servable.h"
#include "sources/builtin.h"
#include "state/builtin.h"

namespace sluice::app {
namespace {

Result<std::unique_ptr<StateStore>> open_state(const StateOptions& options) {
  auto opened = state::open_state(options.where);
  if (opened || options.required) return opened;
  log::warn("there is no room for state beside the models (" + opened.error().message +
            "); releases last until the server ends, unless --state-dir says where to keep them");
  return state::open_state(":memory:");
}

// How long the end waits for a shadow's run; one that hangs is left behind.
constexpr Millis kShadowGrace{500};
// How long the end waits for a collector to take the last spans.
constexpr Millis kSpanGrace{2000};

}  // namespace

Stack::Stack(const engines::EngineOptions& engines, serving::FaultTable faults,
             observers::TracerOptions tracer)
    : servables_(serving::make_servable_factory(std::move(faults))),
      tables_(std::make_shared<const ServingTable>()),
      recent_(tables_, std::to_string(random_seed())),
      rates_(tables_),
      tap_({&recent_, &rates_}),
      tracer_(std::move(tracer)),
      shadows_(tables_),
      observers_(observers::make_builtin(trace_, evidence_, tap_, tracer_)),
      policies_(std::make_unique<const release::Policies>(release::Policies::builtin())) {
  observers_.push_back(serving::make_shadow_observer(shadows_));
  engines::register_builtin(engines_, engines);
}

Stack::~Stack() = default;

Result<std::unique_ptr<Stack>> Stack::open(const std::string& path,
                                           repository::RepositoryOptions options,
                                           const engines::EngineOptions& engines,
                                           const repository::Probe* probe,
                                           sources::RemoteOptions remote, StackOptions more) {
  std::unique_ptr<Stack> stack(new Stack(engines, std::move(more.faults), std::move(more.tracer)));
  std::vector<std::string> extensions;
  for (const auto& [name, engine] : stack->engines_.items()) {
    for (const auto end : engine->extensions()) extensions.emplace_back(end);
  }
  SLUICE_TRY(stack->source_,
             sources::make_source(path, sources::Layout(std::move(extensions)), remote));
  stack->repository_ = std::make_unique<repository::Repository>(
      *stack->source_, stack->engines_, *stack->servables_, routing::make_newest(),
      [&policies = *stack->policies_](const ModelName& model, const Node& declared) {
        return release::declared_route(policies, model, declared);
      },
      probe, stack->tables_, std::move(options));
  SLUICE_TRY(auto store, open_state(more.state));
  stack->releases_ = std::make_unique<release::Releases>(
      *stack->policies_, *stack->repository_, stack->tables_, stack->evidence_, std::move(store));
  stack->pipeline_ = std::make_unique<const serving::Pipeline>(stack->tables_, stack->observers_,
                                                               *stack->repository_);
  return stack;
}

Result<std::unique_ptr<Stack>> Stack::open(const std::string& path, const Pickles& pickles) {
  repository::RepositoryOptions options;
  options.nothing_lazy = true;
  options.live.allow_code = pickles.allowed;
  sources::RemoteOptions remote;
  remote.cache_directory = sources::default_cache_directory("");
  return open(path, std::move(options), {pickles.python}, nullptr, std::move(remote), {});
}

// Releases are known before the first request can come, and look when there is something to see.
Result<void> Stack::load() {
  SLUICE_CHECK(releases_->restore());
  SLUICE_CHECK(repository_->load_all());
  releases_->start();
  return {};
}

bool Stack::close(Millis grace) {
  releases_->close();
  tap_.close();
  const bool shadows_ended = shadows_.close(kShadowGrace);
  const bool models_ended = repository_->close(grace);
  // The last: those that were dropped just now are told of as well.
  const bool spans_ended = tracer_.close(kSpanGrace);
  return models_ended && shadows_ended && spans_ended;
}

}  // namespace sluice::app
