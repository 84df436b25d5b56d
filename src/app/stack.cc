#include "app/stack.h"

#include "observers/builtin.h"
#include "routing/newest.h"
#include "serving/model_servable.h"
#include "sources/builtin.h"

namespace sluice::app {

Stack::Stack(const engines::EngineOptions& engines)
    : servables_(serving::make_servable_factory()),
      tables_(std::make_shared<const ServingTable>()),
      observers_(observers::make_builtin(trace_)) {
  engines::register_builtin(engines_, engines);
}

Result<std::unique_ptr<Stack>> Stack::open(const std::string& path,
                                           repository::RepositoryOptions options,
                                           const engines::EngineOptions& engines,
                                           const repository::Probe* probe,
                                           sources::RemoteOptions remote) {
  std::unique_ptr<Stack> stack(new Stack(engines));
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

}  // namespace sluice::app
