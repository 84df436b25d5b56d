// The features of one model: which of them a request needs, what happens when they do not come, and
// how fetched, sent and made ones become the model's inputs.
//
// Thread-safety: immutable; every function may be called from any thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/request.h"
#include "features/fetcher.h"
#include "features/gathering.h"
#include "features/plan.h"

namespace sluice::features {

class Joiner {
 public:
  // `fetcher` outlives it. Errors: those of Plan::make and FeatureStore::reader.
  static Result<std::unique_ptr<const Joiner>> make(const FeatureOptions& options,
                                                    Signature& signature, bool columns_declared,
                                                    Fetcher& fetcher);

  // What codecs need to know.
  std::shared_ptr<const FetchedFeatures> fetched() const { return told_; }

  // See Servable::fetch and Servable::join.
  bool fetch(RequestPtr& request) const;
  Result<void> join(Request& request, const Signature& signature) const;

  // A gathering that has all it will get: the request goes on with it, or with the error of what
  // is missing, by what the model says of that.
  void settle(Gathering& gathering) const;

 private:
  Joiner(Plan plan, Fetcher& fetcher, std::vector<std::shared_ptr<const ReadLookup>> lookups);

  Result<void> check_entities(const FeatureAsk& ask) const;
  std::vector<std::uint64_t> lookup_ids() const;
  // Puts into `rows` what the cache has; what it does not have is left, with what it had once where
  // that is to be used.
  struct Missing {
    std::vector<Fetcher::Want> wants;
    std::vector<std::shared_ptr<const KeptRow>> old;  // as Gathering::old
  };
  Missing recall(const FeatureAsk& ask, TimePoint now, FetchedRows& fetched) const;
  // The look-ups that are needed where these features are sent.
  std::vector<bool> needed_lookups(std::vector<bool> sent) const;
  void mark_needed(std::size_t feature, std::vector<bool>& done, std::vector<bool>& lookups) const;

  const Plan plan_;
  Fetcher& fetcher_;
  const std::vector<std::shared_ptr<const ReadLookup>> lookups_;
  const std::vector<std::uint64_t> lookup_ids_;
  const std::vector<bool> usual_;  // look-ups that are needed where nothing is sent
  const bool keys_are_texts_;
  std::shared_ptr<const FetchedFeatures> told_;
};

// What a request is answered whose features cannot be had.
Error trouble_error(Trouble trouble, const std::string& store, std::chrono::milliseconds timeout);

}  // namespace sluice::features
