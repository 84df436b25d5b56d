#include "observers/statistics.h"

#include <algorithm>

#include "core/outcome.h"
#include "core/request.h"
#include "core/servable.h"

namespace sluice::observers {
namespace {

class Statistics final : public Observer {
 public:
  explicit Statistics(EndCounts& unserved) : unserved_(unserved) {}

  void on_finish(const Request& request) const noexcept override {
    if (!request.servable) return unserved_.add(request.protocol, ending_of(request));
    Tally& tally = request.servable->tally();
    const auto now = std::chrono::steady_clock::now();
    const Ending ending = ending_of(request);
    tally.ended(request.protocol, ending);
    if (request.reply.error) {
      const bool theirs = ending == Ending::kMistake || ending == Ending::kGuarded;
      if (!theirs) tally.failed(now - request.arrived);
      return;
    }
    if (request.reply.prediction.rows > 0) tally.answers().add(request.reply.prediction);
    if (request.from_cache) return tally.recalled(now - request.arrived);
    const bool fetched = request.fetch_ended != TimePoint{};
    const Tally::Nanos fetch =
        fetched ? request.fetch_ended - request.fetch_began : Tally::Nanos(-1);
    tally.succeeded(request.rows, {.total = now - request.arrived,
                                   .queue = request.run_began - request.submitted,
                                   .fetch = fetch,
                                   .input = request.submitted - request.arrived -
                                            std::max(fetch, Tally::Nanos(0)),
                                   .infer = request.run_ended - request.run_began,
                                   .output = now - request.run_ended});
  }

 private:
  EndCounts& unserved_;
};

}  // namespace

Tally::Ends EndCounts::sums() const {
  Tally::Ends out{};
  shards_.each([&](const Shard& shard) {
    for (std::size_t i = 0; i < kProtocols; ++i) {
      for (std::size_t j = 0; j < kEndings; ++j) out[i][j] += shard[i][j].value();
    }
  });
  return out;
}

std::unique_ptr<const Observer> make_statistics(EndCounts& unserved) {
  return std::make_unique<Statistics>(unserved);
}

}  // namespace sluice::observers
