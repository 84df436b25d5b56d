#include "observers/statistics.h"

#include "core/request.h"
#include "core/servable.h"

namespace sluice::observers {
namespace {

bool client_mistake(Code code) {
  switch (code) {
    case Code::kInternal:
    case Code::kUnknown:
    case Code::kDataLoss:
    case Code::kUnavailable:
    case Code::kDeadlineExceeded:
    case Code::kResourceExhausted: return false;
    default: return true;
  }
}

class Statistics final : public Observer {
 public:
  void on_finish(const Request& request) const noexcept override {
    if (!request.servable) return;
    Tally& tally = request.servable->tally();
    const auto now = std::chrono::steady_clock::now();
    if (request.reply.error) {
      if (!client_mistake(request.reply.error->code)) tally.failed(now - request.arrived);
      return;
    }
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
