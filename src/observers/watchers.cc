#include "observers/watchers.h"

#include <utility>

namespace sluice::observers {

Watchers::Watchers(const ServingTables& tables, std::string key)
    : hash_key(std::move(key)),
      recent(tables, hash_key),
      rates(tables),
      traffic_rows(tables),
      drift(tables),
      tap({&recent, &rates, &traffic_rows, &drift}) {}

}  // namespace sluice::observers
