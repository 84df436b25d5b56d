// Reads what a simple request says of features that are fetched: whose they are, and what is sent
// in place of them. Internal to codecs.
//
//   "entity_id": "u42"                        one entity; 42 is the same as "42"
//   "entity_id": {"user_id": "u42", "shop": 7}            of several keys
//   "entity_id": ["u42", "u43"]               a row for each
//   "features": {"amount": 12.5}              goes before what is fetched, in every row
//   "features": [{"amount": 12.5}, {}]        the same row by row
//
// Thread-safety: one owner.
#pragma once

#include <memory>
#include <string_view>

#include "codecs/json_input.h"
#include "core/feature_ask.h"
#include "core/request.h"

namespace sluice::codecs {

class EntityReader {
 public:
  EntityReader(std::shared_ptr<const FetchedFeatures> fetched, Arena& arena)
      : fetched_(*fetched), arena_(arena) {
    ask_->of = std::move(fetched);
  }

  Result<void> read_entities(od::value value);
  // True: they were read. False: they are a list of values, for all columns, and are read by
  // others.
  Result<bool> read_features(od::value value);

  bool named() const { return !ask_->entities.empty(); }
  bool sent() const { return sent_rows_ > 0; }
  // What a log calls the one entity; empty where there are many.
  std::string_view name() const;

  // All of it, into `out`. Errors: as many entities as rows of features are wanted.
  Result<void> finish(Request& out);

 private:
  Result<void> read_entity(od::value value);
  Result<void> read_keys(od::object object);
  Result<void> read_row(od::object object);
  Result<std::size_t> feature_named(std::string_view name) const;
  Result<void> count_row(std::size_t& rows) const;

  const FetchedFeatures& fetched_;  // kept by ask_
  Arena& arena_;
  std::unique_ptr<FeatureAsk> ask_ = std::make_unique<FeatureAsk>();
  bool many_entities_ = false;
  bool many_sent_ = false;
  std::size_t sent_rows_ = 0;
};

}  // namespace sluice::codecs
