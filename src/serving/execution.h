// Runs requests on one loaded model and fills their replies: alone, row by row where the model
// takes one at a time, or several as one batch whose outputs are split again. If a batch fails, its
// members run one by one, so that a bad row fails alone.
//
// Thread-safety: any number of threads; a model that only one thread may run is held by one at a
// time.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <span>

#include "core/engine.h"
#include "core/model_config.h"
#include "core/model_host.h"
#include "core/request.h"
#include "core/tally.h"
#include "serving/cost_model.h"
#include "serving/faults.h"
#include "serving/output_plan.h"
#include "serving/padding.h"

namespace sluice::serving {

class Execution {
 public:
  Execution(std::unique_ptr<Model> loaded, Signature signature, OutputPlan plan,
            std::optional<PadPlan> padding, const ModelConfig& config, std::shared_ptr<Tally> tally,
            std::shared_ptr<const Fault> fault = nullptr);

  // All of `members` as one run, or a single one alone. Every reply is filled.
  void run(std::span<RequestPtr> members) const;
  // What is not traffic: one request, whose reply is filled; costs are not learned from it.
  Result<void> run_aside(Request& request) const;
  Result<Attributions> explain(std::span<const TensorView> inputs, Arena& arena) const;
  // One alone, on this version's model in another process. Counted, but no measure of the costs.
  void run_on(const HostedModel& model, Request& request) const;
  // Errors: none of the model's own. Zeros need not be valid for it; warming up is for speed.
  Result<void> warm_up() const;

  // Requests may share a run. Off for good once a run shows that the model does not keep rows
  // apart.
  bool batchable() const { return batchable_.load(std::memory_order_relaxed); }
  const Model& model() const { return *loaded_; }
  const Signature& signature() const { return signature_; }
  const CostModel& costs() const { return costs_; }
  Tally& tally() const { return *tally_; }
  // Lengthens the request's inputs where model.yaml says so.
  void pad(Request& request) const {
    if (padding_) padding_->pad(request);
  }
  // Fills the prediction from outputs that are there, where it is wanted.
  Result<void> predict(Request& request) const;
  Result<Prediction> interpreted(std::span<const TensorView> outputs, std::size_t rows,
                                 Arena& arena) const {
    return interpret(plan_, outputs, rows, arena);
  }

 private:
  void run_alone(Request& request) const;
  // After a batch that failed.
  void run_apart(std::span<RequestPtr> members, const Error& error) const;
  Result<void> run_model(const Model& model, Request& request) const;
  Result<void> run_rows(const Model& model, Request& request) const;
  void conclude(Request& request, Result<void> ran) const;
  bool takes_single_rows() const;
  std::unique_lock<std::mutex> take_turn() const;

  const std::unique_ptr<Model> loaded_;
  const Signature signature_;
  const OutputPlan plan_;
  const std::optional<PadPlan> padding_;
  const int warmup_;
  mutable std::atomic<bool> batchable_;
  mutable CostModel costs_;
  const std::shared_ptr<Tally> tally_;
  const std::shared_ptr<const Fault> fault_;  // null: none is put into it
  mutable std::mutex running_;                // taken by models that only one thread may run
};

}  // namespace sluice::serving
