// The way of a request, from decoded to answered.
//
// A front end first aims a new request at a model, which tells its codec the signature to decode
// for; then it submits the request, which is the pipeline's from there on. The stages are one
// array, readable in ten lines, in pipeline.cc.
//
// Thread-safety: immutable; called from every I/O thread.
#pragma once

#include <functional>
#include <memory>
#include <string_view>

#include "core/on_demand.h"
#include "core/request.h"
#include "core/serving_table.h"
#include "serving/explainer.h"

namespace sluice::serving {

class Pipeline final : public Onward {
 public:
  // All outlive the pipeline. `explainer`: null where nothing is explained.
  Pipeline(const ServingTables& tables, const Observers& observers, OnDemand& on_demand,
           Explainer* explainer = nullptr)
      : tables_(tables), observers_(observers), on_demand_(on_demand), explainer_(explainer) {}

  // A request that begins now.
  RequestPtr new_request() const;

  // A version that can answer: where `version` is empty the policy's usual one (a release's stable,
  // else the newest), of the default model where `model` is. Errors: kNotFound with what there is,
  // kUnavailable/`not_ready` while it is loading or when it failed to load, kUnavailable/`cold`
  // when it is loaded for whoever asks.
  Result<std::shared_ptr<const Servable>> find(std::string_view model,
                                               std::string_view version) const;

  // The same for those who can wait: a cold version is loaded first. `then` is called once, at once
  // or later on `turn`'s thread.
  void find_or_load(std::string_view model, std::string_view version, TimePoint deadline,
                    Turn* turn, OnDemand::Then then) const;

  // Finds the model (the default one when `model` is empty) and a version whose signature the
  // inputs are to be read for; `request.servable` holds it. Errors: those of `find`, and those of
  // Servable::admit, so that what has no chance costs no decoding.
  Result<void> aim(Request& request, std::string_view model, std::string_view version) const;

  // The whole way of a new request: aims it, has `decode` read its inputs, submits it. Where its
  // model must be loaded first it goes on later, on its turn's thread; what `model`, `version` and
  // `decode` view must live as long as the request's continuation.
  // Decode: Result<void>(Request&).
  template <class Decode>
  void enter(RequestPtr request, std::string_view model, std::string_view version,
             Decode decode) const {
    auto aimed = aim(*request, model, version);
    if (!aimed && aimed.error().reason == kCold) {
      return wait_for_model(std::move(request), model, version, std::move(decode));
    }
    if (aimed) aimed = decode(*request);
    if (!aimed) return finish(std::move(request), std::move(aimed).error());
    submit(std::move(request));
  }

  // Takes the request for good; its continuation is called exactly once.
  void submit(RequestPtr request) const;
  void resume(RequestPtr request) const override { submit(std::move(request)); }

  // Called a few times a second: answers those that wait for a model or for an explanation and are
  // late.
  void sweep() const;

  const ServingTables& tables() const { return tables_; }

 private:
  friend struct Stages;

  static constexpr std::string_view kCold = "cold";
  using Decode = std::move_only_function<Result<void>(Request&)>;

  void take_aim(Request& request, std::shared_ptr<const Servable> servable,
                std::string_view version) const;
  void wait_for_model(RequestPtr request, std::string_view model, std::string_view version,
                      Decode decode) const;

  const ServingTables& tables_;
  const Observers& observers_;
  OnDemand& on_demand_;
  Explainer* const explainer_;
};

}  // namespace sluice::serving
