// Features that are fetched for a request: what it may say of them, and what it said.
//
// Thread-safety: plain values.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/feature_store.h"

namespace sluice {

// Of a model whose features are fetched, for codecs.
struct FetchedFeatures {
  std::vector<EntityKey> keys;
  // Every feature that may be sent by name, fetched ones and those made on demand.
  std::vector<std::string> names;
  std::size_t most_rows = 0;

  // Whether places in one are places in the other.
  bool reads_as(const FetchedFeatures& other) const {
    return keys == other.keys && names == other.names;
  }
};

// Of one request.
struct FeatureAsk {
  struct Given {
    std::size_t row = 0;
    std::size_t feature = 0;  // place in FetchedFeatures::names
    FeatureData data;
  };

  // What it was read for: the model may have been given others since.
  std::shared_ptr<const FetchedFeatures> of;
  std::size_t rows = 0;
  // A value for each key, row after row; empty: nobody was named. Memory is the request's.
  std::vector<std::string_view> entities;
  // What was sent in place of what would be fetched, row after row.
  std::vector<Given> given;
};

}  // namespace sluice
