// The way of a request, from decoded to answered.
//
// A front end first aims a new request at a model, which tells its codec the signature to decode
// for; then it submits the request, which is the pipeline's from there on. The stages are one
// array, readable in ten lines, in pipeline.cc.
//
// Thread-safety: immutable; called from every I/O thread.
#pragma once

#include <string_view>

#include "core/request.h"
#include "core/serving_table.h"

namespace sluice::serving {

class Pipeline final : public Onward {
 public:
  // Both outlive the pipeline.
  Pipeline(const ServingTables& tables, const Observers& observers)
      : tables_(tables), observers_(observers) {}

  // A request that begins now.
  RequestPtr new_request() const;

  // A version that can answer: the newest where `version` is empty, of the default model where
  // `model` is. Errors: kNotFound with what there is, kUnavailable/`not_ready` while it is loading
  // or when it failed to load.
  Result<std::shared_ptr<const Servable>> find(std::string_view model,
                                               std::string_view version) const;

  // Finds the model (the default one when `model` is empty) and a version whose signature the
  // inputs are to be read for; `request.servable` holds it. Errors: those of `find`.
  Result<void> aim(Request& request, std::string_view model, std::string_view version) const;

  // Takes the request for good; its continuation is called exactly once.
  void submit(RequestPtr request) const;
  void resume(RequestPtr request) const override { submit(std::move(request)); }

  const ServingTables& tables() const { return tables_; }

 private:
  friend struct Stages;

  const ServingTables& tables_;
  const Observers& observers_;
};

}  // namespace sluice::serving
