// The last requests of each model, for "what did it answer a minute ago, and why": the latest 100,
// of which a busy model has only a moment, and one of every five seconds of the last ten minutes;
// failures have a list of their own, so that they are not washed away.
//
// Shows no more than `log:` in model.yaml allows of the prediction log, and is empty for a model
// whose `log.sample` is 0. Kept in memory alone, bounded by model.
//
// Thread-safety: every function may be called from any thread.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "core/serving_table.h"
#include "observers/tap.h"

namespace sluice::observers {

class RecentRequests final : public RecordSink {
 public:
  // `tables` and `key`, which is for hashes (record_json.h), outlive it.
  RecentRequests(const ServingTables& tables, const std::string& key)
      : tables_(tables), key_(key) {}

  Wanted wants() const override { return kForRecent; }
  void take(const Record& record) override;

  struct Query {
    std::size_t limit = 50;
    std::string_view request_id;  // empty: any
    std::string_view outcome;     // "success", "failure" …; empty: any
  };
  // JSON objects, newest first. `allowed`: what may be shown now; what was kept when more was
  // allowed is not.
  std::vector<std::string> list(std::string_view model, const LogOptions& allowed,
                                const Query& query) const;

 private:
  struct Item {
    std::int64_t at_ns = 0;
    std::string request_id;
    Ending ending = Ending::kAnswered;
    std::string json;
    Privacy features = Privacy::kFull;  // as it was rendered
    Privacy user_id = Privacy::kFull;
  };
  struct Lists {
    std::deque<Item> latest;
    std::deque<Item> spread;
    std::deque<Item> failed;
  };

  const ServingTables& tables_;
  const std::string& key_;
  mutable std::mutex mutex_;
  std::map<std::string, Lists, std::less<>> models_;  // guarded by mutex_
};

}  // namespace sluice::observers
