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

class Pipeline {
 public:
  explicit Pipeline(const ServingTables& tables) : tables_(tables) {}

  // Finds the model (the default one when `model` is empty) and a version whose signature the
  // inputs are to be read for; `request.servable` holds it. Errors: kNotFound with what there is,
  // kUnavailable/`not_ready` while it is loading or when it failed to load.
  Result<void> aim(Request& request, std::string_view model, std::string_view version) const;

  // Takes the request for good; its continuation is called exactly once.
  void submit(RequestPtr request) const;

  const ServingTables& tables() const { return tables_; }

 private:
  friend struct Stages;

  const ServingTables& tables_;
};

}  // namespace sluice::serving
