// One version's response cache: which requests it is for, their keys, and equal requests that are
// under way at the same time, of which one runs and the others wait for its answer.
//
// A request belongs here when it has a `cache_key`, or any request where model.yaml says `content:
// true`: then the key is a hash of its inputs. What is kept are the model's outputs, so one answer
// serves every protocol. It goes with its version.
//
// Thread-safety: every function from any thread.
#pragma once

#include <memory>

#include "core/model_config.h"
#include "core/request.h"
#include "core/servable.h"
#include "serving/execution.h"
#include "serving/flights.h"
#include "serving/response_cache.h"

namespace sluice::serving {

class AnswerMemory {
 public:
  // `execution` outlives it.
  AnswerMemory(const CacheOptions& options, const Execution& execution);

  // See Servable::recall.
  Servable::Recall recall(RequestPtr& request);
  // See Servable::remember.
  void remember(Request& request);
  // Answers those that have waited until their deadline.
  void sweep(TimePoint now);

 private:
  class Lead;

  void use(std::shared_ptr<const CachedAnswer> answer, Request& request) const;
  void land(const CacheKey& key, const std::shared_ptr<const CachedAnswer>& answer);

  const bool content_;
  const Execution& execution_;
  ResponseCache cache_;
  Flights flights_;
};

}  // namespace sluice::serving
