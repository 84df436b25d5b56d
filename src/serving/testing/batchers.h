// A batcher in front of a model that doubles, and somebody who asks.
#pragma once

#include <gtest/gtest.h>

#include "serving/batcher.h"
#include "serving/testing/fakes.h"

namespace sluice::serving::testing {

inline ModelConfig rows_at_most(std::int64_t rows) {
  ModelConfig out;
  out.batching.emplace().max_batch_size = rows;
  return out;
}

inline BatcherOptions eager(std::size_t max_rows, int instances = 1) {
  BatcherOptions out;
  out.rules.max_rows = max_rows;
  out.instances = instances;
  out.name = "test";
  return out;
}

inline BatcherOptions wait(std::size_t max_rows, std::chrono::nanoseconds max_wait) {
  auto out = eager(max_rows);
  out.rules.policy = BatchPolicy::kWait;
  out.rules.max_wait = max_wait;
  return out;
}

// A batcher in front of a Doubler, and somebody who asks.
struct BatcherFixture {
  explicit BatcherFixture(BatcherOptions options, DoublerOptions doubler = {})
      : doubling(doubler, rows_at_most(static_cast<std::int64_t>(options.rules.max_rows))),
        model(*doubling.model),
        batcher(*doubling.execution, std::move(options)) {}
  ~BatcherFixture() { model.let_go(); }

  void push(RequestPtr request) { batcher.push({&request, 1}); }
  void push(float value) { push(client.request({value})); }
  void push(float value, std::uint64_t priority) {
    auto request = client.request({value});
    request->priority = priority;
    push(std::move(request));
  }
  // One run that lasts until it is let go, so that what follows waits.
  void occupy() {
    model.hold();
    push(0);
    ASSERT_TRUE(model.wait_inside());
  }

  Client client;
  Doubling doubling;
  const Doubler& model;
  Batcher batcher;
};

}  // namespace sluice::serving::testing
