#include "observers/watchers.h"

#include <utility>
#include <vector>

namespace sluice::observers {
namespace {

std::vector<RecordSink*> there(std::initializer_list<RecordSink*> all) {
  std::vector<RecordSink*> out;
  for (auto* sink : all) {
    if (sink != nullptr) out.push_back(sink);
  }
  return out;
}

}  // namespace

Watchers::Watchers(const ServingTables& tables, WatchOptions options)
    : hash_key(std::move(options.hash_key)),
      recent(tables, hash_key),
      rates(tables),
      traffic_rows(tables),
      drift(tables),
      log(options.log.target
              ? std::make_unique<PredictionLog>(tables, hash_key, std::move(options.log))
              : nullptr),
      tap(there({&recent, &rates, &traffic_rows, &drift, log.get()})),
      tracer(std::move(options.tracer)) {
  if (log) log->follow(tap);
}

}  // namespace sluice::observers
