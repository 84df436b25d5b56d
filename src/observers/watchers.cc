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

Watchers::Watchers(const ServingTables& tables, std::string key, OpenLog open)
    : hash_key(std::move(key)),
      recent(tables, hash_key),
      rates(tables),
      traffic_rows(tables),
      drift(tables),
      log(open.target ? std::make_unique<PredictionLog>(tables, hash_key, std::move(open))
                      : nullptr),
      tap(there({&recent, &rates, &traffic_rows, &drift, log.get()})) {
  if (log) log->follow(tap);
}

}  // namespace sluice::observers
