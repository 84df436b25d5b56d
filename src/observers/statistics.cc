#include "observers/statistics.h"

#include "core/outcome.h"
#include "core/request.h"
#include "core/servable.h"

namespace sluice::observers {
namespace {

class Statistics final : public Observer {
 public:
  void on_finish(const Request& request) const noexcept override {
    if (!request.servable) return;
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
    tally.succeeded(request.rows, {.total = now - request.arrived,
                                   .queue = request.run_began - request.submitted,
                                   .input = request.submitted - request.arrived,
                                   .infer = request.run_ended - request.run_began,
                                   .output = now - request.run_ended});
  }
};

}  // namespace

std::unique_ptr<const Observer> make_statistics() { return std::make_unique<Statistics>(); }

}  // namespace sluice::observers
