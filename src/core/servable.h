// One version of one model, loaded and able to answer.
//
// A request that was routed to it holds a shared pointer (its lease), so a version that was taken
// out of the table lives until its last request has been answered.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/names.h"
#include "core/engine.h"
#include "core/explanation.h"
#include "core/model_config.h"
#include "core/model_host.h"
#include "core/request.h"
#include "core/tally.h"

namespace sluice {

// Thread-safety: every function may be called from any thread.
class Servable {
 public:
  virtual ~Servable() = default;

  virtual const ModelName& model() const = 0;
  virtual const VersionName& version() const = 0;
  // The model's signature with what model.yaml adds to it.
  virtual const Signature& signature() const = 0;

  // Whether a request with this deadline has a chance here: asked before its body is decoded, so
  // that refusing costs little. Errors: kUnavailable/`queue_full`, kUnavailable/`overloaded` when
  // it would be late by all that is known of those that wait.
  virtual Result<void> admit(TimePoint deadline) const {
    (void)deadline;
    return {};
  }

  // For a request with an `ask`: gets the features that it needs. True: they are in `fetched`, or
  // the reply's error says why not. False: the request was taken and goes on through its `onward`.
  virtual bool fetch(RequestPtr& request) const {
    (void)request;
    return true;
  }
  // Makes the inputs of what was fetched and sent. Errors: kInvalidArgument, kNotFound for an
  // entity that nobody knows.
  virtual Result<void> join(Request& request) const {
    (void)request;
    return fail(Code::kUnimplemented, "no_features", "no features are fetched here");
  }

  // What a guard says: go on; refused, with the reply's error; or answered by the fallback, because
  // of the reply's error.
  enum class Guarded : std::uint8_t { kPasses, kRefused, kFallsBack };
  // Of inputs that fit, and of an answer. Warnings go into the request.
  virtual Guarded guard_inputs(Request& request) const {
    (void)request;
    return Guarded::kPasses;
  }
  virtual Guarded guard_outputs(Request& request) const {
    (void)request;
    return Guarded::kPasses;
  }
  // Null: none.
  virtual const Fallback* fallback() const { return nullptr; }
  // Fills the reply's `debug`.
  virtual void describe(Request& request) const { (void)request; }

  enum class Recall : std::uint8_t { kMiss, kAnswered, kWaits };
  // Looks for the answer among those that were given before. kAnswered: the reply is filled.
  // kWaits: the request was taken and goes on through its `onward` when an equal one, which is
  // under way, is answered; with its answer, or without to run itself.
  virtual Recall recall(RequestPtr& request) const {
    (void)request;
    return Recall::kMiss;
  }
  // Keeps the reply for others where that is wanted, and gives it to those that wait for it.
  virtual void remember(Request& request) const { (void)request; }

  // Runs the request's inputs and fills its reply: outputs, and the prediction where it is wanted.
  // True: done on this thread. False: the request was taken and goes on through its `onward`.
  virtual bool run(RequestPtr& request) const = 0;

  // Runs what is not traffic here and now, when nobody else runs the model if only one may, and
  // fills its reply: nothing is counted or learned from it. Errors: the model's.
  virtual Result<void> run_aside(Request& request) const {
    (void)request;
    return fail(Code::kUnimplemented, "not_explainable", "this version runs nothing but traffic");
  }
  // Where `loaded().explains()`: the model's own explanation, while nobody else runs it if only one
  // may.
  virtual Result<Attributions> explain_aside(std::span<const TensorView> inputs,
                                             Arena& arena) const {
    return loaded().explain(inputs, arena);
  }
  virtual const ExplainBasis& explain_basis() const {
    static const ExplainBasis kNone;
    return kNone;
  }
  // Its model in a process of its own, which nothing has started yet. Null: there is none to be
  // had, or its engine's models live in processes anyway.
  virtual std::shared_ptr<const HostedModel> hosted() const { return nullptr; }
  // As `run`, here and now, on such a model. What that takes is no measure for other runs.
  virtual void run_on(const HostedModel& model, Request& request) const {
    (void)model, (void)request;
  }

  // What the simple protocols would say of these outputs, whichever protocol asked. Memory comes
  // from `arena`; texts view the model's own or the outputs'.
  virtual Result<Prediction> interpret(std::span<const TensorView> outputs, std::size_t rows,
                                       Arena& arena) const {
    (void)outputs, (void)rows, (void)arena;
    return fail(Code::kUnimplemented, "not_interpreted", "outputs are not interpreted here");
  }

  // Runs `warmup` times on inputs made from the signature, and learns how long that takes.
  virtual Result<void> warm_up() const = 0;

  // What waits is answered "dropped", and nothing runs any more when it returns.
  virtual void close() const {}
  // Called a few times a second: answers those that wait and are late.
  virtual void sweep(TimePoint now) const { (void)now; }
  // Requests that wait for the model.
  virtual std::size_t waiting() const { return 0; }

  // What may be written down of its requests.
  virtual const LogOptions& logging() const {
    static const LogOptions kDefault;
    return kDefault;
  }

  virtual const Model& loaded() const = 0;
  // What happened here so far.
  virtual Tally& tally() const = 0;
};

// Makes Servables of loaded models; implemented by serving/, handed to repository/ by app/.
class ServableFactory {
 public:
  virtual ~ServableFactory() = default;
  // Errors: kInvalidArgument/`bad_config` when model.yaml does not fit the model.
  // `parallel`: how many threads there are to run models on. `tally`: of this version, whatever
  // was loaded for it before. `apart`: runs its model in another process; may be null.
  virtual Result<std::shared_ptr<const Servable>> make(
      const ModelName& model, const VersionName& version, std::unique_ptr<Model> loaded,
      const ModelConfig& config, int parallel, std::shared_ptr<Tally> tally,
      std::shared_ptr<const ModelHost> apart) const = 0;
};

}  // namespace sluice
