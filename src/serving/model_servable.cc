#include "serving/model_servable.h"

#include <algorithm>

#include "base/text.h"
#include "base/turn.h"
#include "features/features.h"
#include "features/joiner.h"
#include "serving/answer_memory.h"
#include "serving/batcher.h"
#include "serving/debug.h"
#include "serving/execution.h"
#include "serving/explain_rows.h"
#include "serving/guard.h"
#include "telemetry/sharded.h"

namespace sluice::serving {
namespace {

using Clock = std::chrono::steady_clock;

// Answers of a turn leave together while the runs behind them are this short: a client that is
// woken up once for several is cheaper for both.
constexpr std::chrono::microseconds kAnswersTogether{100};

BatcherOptions batcher_options(const Execution& execution, const ModelName& model,
                               const ModelConfig& config, int parallel) {
  const Batching batching = config.batching.value_or(Batching());
  BatcherOptions out;
  out.rules = BatchRules::of(batching, execution.batchable());
  out.max_queue = static_cast<std::size_t>(batching.max_queue);
  out.default_priority = static_cast<std::uint64_t>(batching.default_priority);
  const int wanted = static_cast<int>(config.instances.count);
  out.instances = !execution.model().thread_safe() ? 1 : wanted > 0 ? wanted : parallel;
  out.name = model.str();
  return out;
}

class ModelServable final : public Servable {
 public:
  ModelServable(ModelName model, VersionName version, std::unique_ptr<Execution> execution,
                std::unique_ptr<const features::Joiner> joiner, std::unique_ptr<const Guard> guard,
                const ModelConfig& config, ExplainBasis basis, int parallel, bool hangs,
                std::shared_ptr<const ModelHost> apart, const HostFaults& faults)
      : model_(std::move(model)),
        version_(std::move(version)),
        execution_(std::move(execution)),
        joiner_(std::move(joiner)),
        guard_(std::move(guard)),
        logging_(config.log),
        basis_(std::move(basis)),
        host_(std::move(apart)),
        host_faults_(faults),
        apart_(hangs || execution_->model().answers_from_afar()),
        limited_(config.instances.count > 0 || !execution_->model().thread_safe()),
        waits_(config.batching.value_or(Batching()).policy == BatchPolicy::kWait),
        together_(eager(BatchRules::of(config.batching.value_or(Batching()), true))),
        alone_(eager(BatchRules::of({}, false))),
        batcher_(*execution_, batcher_options(*execution_, model_, config, parallel)) {
    if (config.cache) memory_ = std::make_unique<AnswerMemory>(*config.cache, *execution_);
  }

  const ModelName& model() const override { return model_; }
  const VersionName& version() const override { return version_; }
  const Signature& signature() const override { return execution_->signature(); }
  const Model& loaded() const override { return execution_->model(); }
  Tally& tally() const override { return execution_->tally(); }
  const LogOptions& logging() const override { return logging_; }
  Result<void> warm_up() const override { return execution_->warm_up(); }
  Result<void> admit(TimePoint deadline) const override { return batcher_.admit(deadline); }
  void sweep(TimePoint now) const override {
    batcher_.sweep(now);
    if (memory_ != nullptr) memory_->sweep(now);
  }
  void close() const override { batcher_.close(); }
  std::size_t waiting() const override { return batcher_.waiting(); }

  Result<Prediction> interpret(std::span<const TensorView> outputs, std::size_t rows,
                               Arena& arena) const override {
    return execution_->interpreted(outputs, rows, arena);
  }

  Result<void> run_aside(Request& request) const override { return execution_->run_aside(request); }
  Result<Attributions> explain_aside(std::span<const TensorView> inputs,
                                     Arena& arena) const override {
    return execution_->explain(inputs, arena);
  }
  const ExplainBasis& explain_basis() const override { return basis_; }
  bool fetch(RequestPtr& request) const override {
    return joiner_ == nullptr || joiner_->fetch(request);
  }
  Result<void> join(Request& request) const override {
    if (joiner_ == nullptr) return Servable::join(request);
    return joiner_->join(request, signature());
  }
  Guarded guard_inputs(Request& request) const override {
    return guard_ == nullptr ? Guarded::kPasses
                             : guard_->check_inputs(request, signature(), tally());
  }
  Guarded guard_outputs(Request& request) const override {
    if (guard_ == nullptr || !guard_->watches_outputs()) return Guarded::kPasses;
    if (!understand(request)) return Guarded::kPasses;
    return guard_->check_outputs(request.reply.prediction, request, tally());
  }
  const Fallback* fallback() const override {
    return guard_ == nullptr ? nullptr : guard_->fallback();
  }
  void describe(Request& request) const override {
    understand(request);
    request.reply.debug = debug_info(request, signature(), guard_.get());
  }

  Recall recall(RequestPtr& request) const override {
    return memory_ == nullptr ? Recall::kMiss : memory_->recall(request);
  }
  void remember(Request& request) const override {
    if (memory_ != nullptr) memory_->remember(request);
  }

  std::shared_ptr<const HostedModel> hosted() const override {
    if (host_ == nullptr) return nullptr;
    HostOptions options;
    options.faults = host_faults_;
    return host_->host(execution_->model().signature(), options);
  }
  void run_on(const HostedModel& model, Request& request) const override {
    execution_->pad(request);
    execution_->run_on(model, request);
  }

  bool run(RequestPtr& request) const override {
    execution_->pad(*request);
    if (request->turn == nullptr) {  // nobody's loop waits for this thread
      execution_->run({&request, 1});
      return true;
    }
    const auto mine = turns_.mine();
    if (!mine.alone) {
      batcher_.push({&request, 1});
      return false;
    }
    ThisTurn& turn = mine.shard;
    if (!turn.planned) {
      turn.planned = true;
      request->turn->at_end(
          [self = request->servable] { static_cast<const ModelServable&>(*self).end_turn(); });
    }
    turn.requests.push_back(std::move(request));
    return false;
  }

 private:
  // Tensor protocols do not ask what their outputs mean. False: that cannot be said.
  bool understand(Request& request) const {
    Prediction& prediction = request.reply.prediction;
    if (prediction.rows > 0) return true;
    auto told = interpret(request.reply.outputs, request.rows, request.arena);
    if (told) prediction = *told;
    return told.has_value();
  }

  // What one turn of a thread's loop has brought.
  struct ThisTurn {
    std::vector<RequestPtr> requests;
    bool planned = false;
  };

  void end_turn() const {
    ThisTurn& turn = turns_.mine().shard;
    turn.planned = false;
    // Answering a request may bring its connection's next one here already.
    std::vector<RequestPtr> requests;
    requests.swap(turn.requests);
    if (waits_ || apart_) {
      batcher_.push(requests);
    } else {
      run_here(requests);
    }
    requests.clear();
    if (turn.requests.empty()) turn.requests.swap(requests);  // its memory serves again
  }

  // Runs batch after batch as long as that is short; what is left goes to the workers.
  void run_here(std::vector<RequestPtr>& requests) const {
    const BatchRules& rules = execution_->batchable() ? together_ : alone_;
    const auto began = Clock::now();
    auto answered = began;
    std::span<RequestPtr> done;
    std::span<RequestPtr> left(requests);
    while (!left.empty()) {
      const std::size_t count = next_batch(rules, left, began, execution_->costs()).count;
      const auto batch = left.first(count);
      if (!run_one(batch, began)) break;
      left = left.subspan(count);
      done = std::span(requests).first(requests.size() - left.size());
      const auto now = batch.front()->run_ended;
      if (now - answered < kAnswersTogether && !left.empty()) continue;
      answered = now;
      resume(done);
    }
    if (!left.empty()) batcher_.push(left);
    resume(done);
  }

  // False: not here.
  bool run_one(std::span<RequestPtr> batch, TimePoint began) const {
    std::size_t rows = 0;
    for (const auto& member : batch) rows += member->rows;
    const auto expected = execution_->costs().median(rows);
    if (expected > kInlineBelow || Clock::now() - began > kInlineTurn) return false;
    if (limited_ && !batcher_.enter()) return false;
    execution_->run(batch);
    if (limited_) batcher_.leave();
    return true;
  }

  static BatchRules eager(BatchRules rules) {
    rules.policy = BatchPolicy::kEager;
    return rules;
  }

  static void resume(std::span<RequestPtr> requests) {
    for (auto& request : requests) {
      if (!request) continue;
      const Onward* onward = request->onward;
      onward->resume(std::move(request));
    }
  }

  const ModelName model_;
  const VersionName version_;
  const std::unique_ptr<const Execution> execution_;
  const std::unique_ptr<const features::Joiner> joiner_;  // null: requests send everything
  const std::unique_ptr<const Guard> guard_;              // null: nothing is watched
  const LogOptions logging_;
  const ExplainBasis basis_;
  const std::shared_ptr<const ModelHost> host_;  // null: none
  const HostFaults host_faults_;
  const bool apart_;    // never runs on a loop's thread
  const bool limited_;  // in how many runs there may be at a time
  const bool waits_;
  const BatchRules together_;
  const BatchRules alone_;
  std::unique_ptr<AnswerMemory> memory_;  // null: nothing is cached
  mutable Batcher batcher_;
  mutable Sharded<ThisTurn> turns_;
};

// Column names of model.yaml, checked against the model's input.
Result<void> name_columns(Signature& signature, const ModelConfig& config) {
  if (config.inputs.empty()) return {};
  const bool table = signature.inputs.size() == 1 && signature.inputs[0].dims.size() == 2;
  if (!table) {
    // Several inputs are named by the model itself; naming them again must agree with it.
    for (const auto& column : config.inputs) {
      if (signature.input_named(column.name) == Signature::npos) {
        return invalid("bad_config", "inputs: in model.yaml names '" + printable(column.name) +
                                         "', which is no input of the model");
      }
    }
    return {};
  }
  const auto width = signature.inputs[0].dims[1];
  if (width != -1 && static_cast<std::size_t>(width) != config.inputs.size()) {
    return invalid("bad_config", "inputs: in model.yaml names " +
                                     std::to_string(config.inputs.size()) +
                                     " columns, but the model takes " + std::to_string(width));
  }
  // Where the model leaves it open, the names say how many: one column more is a mistake of the
  // client's, and no way past the bounds of the others. What is padded is no list of columns.
  if (!config.batching || !config.batching->pad) {
    signature.inputs[0].dims[1] = static_cast<std::int64_t>(config.inputs.size());
  }
  signature.columns.clear();
  for (const auto& column : config.inputs) signature.columns.push_back(column.name);
  return {};
}

// Null where model.yaml names no features.
Result<std::unique_ptr<const features::Joiner>> make_joiner(Signature& signature,
                                                            const ModelConfig& config,
                                                            const features::Features* features) {
  if (!config.features) return nullptr;
  if (features == nullptr)
    return invalid("bad_config", "features: there are no feature stores here");
  const auto fetcher = features->find(config.features->store);
  if (!fetcher) {
    return invalid("bad_config", "features: " + fetcher.error().message +
                                     "; declare it under feature_stores in the configuration");
  }
  SLUICE_TRY(auto out, features::Joiner::make(*config.features, signature, !config.inputs.empty(),
                                              **fetcher));
  signature.fetched = out->fetched();
  return out;
}

class ModelServables final : public ServableFactory {
 public:
  ModelServables(FaultTable faults, const features::Features* features)
      : faults_(std::move(faults)), features_(features) {}

  Result<std::shared_ptr<const Servable>> make(
      const ModelName& model, const VersionName& version, std::unique_ptr<Model> loaded,
      const ModelConfig& config, int parallel, std::shared_ptr<Tally> tally,
      std::shared_ptr<const ModelHost> apart) const override {
    Signature signature = loaded->signature();
    SLUICE_CHECK(name_columns(signature, config));
    SLUICE_TRY(auto joiner, make_joiner(signature, config, features_));
    SLUICE_TRY(auto plan, make_output_plan(signature, config));
    SLUICE_TRY(auto basis, make_explain_basis(signature, config));
    SLUICE_TRY(auto padding, PadPlan::make(signature, config));
    signature.class_names = plan.names;
    signature.seal();
    SLUICE_TRY(auto guard, Guard::make(signature, config));
    const auto fault = faults_.of(model, version);
    auto execution =
        std::make_unique<Execution>(std::move(loaded), std::move(signature), std::move(plan),
                                    std::move(padding), config, std::move(tally), fault);
    return std::make_shared<ModelServable>(model, version, std::move(execution), std::move(joiner),
                                           std::move(guard), config, std::move(basis), parallel,
                                           fault != nullptr && fault->delays(), std::move(apart),
                                           fault == nullptr ? HostFaults() : fault->of_run());
  }

 private:
  const FaultTable faults_;
  const features::Features* const features_;
};

}  // namespace

std::unique_ptr<const ServableFactory> make_servable_factory(FaultTable faults,
                                                             const features::Features* features) {
  return std::make_unique<ModelServables>(std::move(faults), features);
}

}  // namespace sluice::serving
