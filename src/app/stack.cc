#include "app/stack.h"

#include "observers/builtin.h"
#include "routing/newest.h"
#include "serving/model_servable.h"
#include "sources/builtin.h"

namespace sluice::app {

namespace {

// How long the end waits for a shadow's run; one that hangs is left behind.
constexpr Millis kShadowGrace{500};

}  // namespace

Stack::Stack(const engines::EngineOptions& engines, serving::FaultTable faults)
    : servables_(serving::make_servable_factory(std::move(faults))),
      tables_(std::make_shared<const ServingTable>()),
      shadows_(tables_),
      observers_(observers::make_builtin(trace_)) {
  observers_.push_back(serving::make_shadow_observer(shadows_));
  engines::register_builtin(engines_, engines);
}

Result<std::unique_ptr<Stack>> Stack::open(const std::string& path,
                                           repository::RepositoryOptions options,
                                           const engines::EngineOptions& engines,
                                           const repository::Probe* probe,
                                           sources::RemoteOptions remote,
                                           serving::FaultTable faults) {
  std::unique_ptr<Stack> stack(new Stack(engines, std::move(faults)));
  std::vector<std::string> extensions;
  for (const auto& [name, engine] : stack->engines_.items()) {
    for (const auto end : engine->extensions()) extensions.emplace_back(end);
  }
  SLUICE_TRY(stack->source_,
             sources::make_source(path, sources::Layout(std::move(extensions)), remote));
  stack->repository_ = std::make_unique<repository::Repository>(
      *stack->source_, stack->engines_, *stack->servables_, routing::make_newest(),
      [](const ModelName&, const Node&) { return std::shared_ptr<const Route>(); }, probe,
      stack->tables_, std::move(options));
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
  return open(path, std::move(options), {pickles.python}, nullptr, std::move(remote));
}

bool Stack::close(Millis grace) {
  const bool shadows_ended = shadows_.close(kShadowGrace);
  return repository_->close(grace) && shadows_ended;
}

}  // namespace sluice::app
