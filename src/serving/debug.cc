#include "serving/debug.h"

#include "serving/anomalies.h"

namespace sluice::serving {
namespace {

double millis(TimePoint from, TimePoint to) {
  return to < from ? 0 : std::chrono::duration<double, std::milli>(to - from).count();
}

}  // namespace

std::shared_ptr<const DebugInfo> debug_info(const Request& request, const Signature& signature,
                                            const Guard* guard) {
  auto out = std::make_shared<DebugInfo>();
  out->input = input_statistics(request);
  out->anomalies = anomalies_within(request, signature, out->input);
  if (guard != nullptr) {
    for (auto& each : guard->anomalies(request)) out->anomalies.push_back(std::move(each));
  }
  out->stages = {
      millis(request.arrived, request.submitted), millis(request.fetch_began, request.fetch_ended),
      millis(request.submitted, request.run_began), millis(request.run_began, request.run_ended)};
  out->from_cache = request.from_cache;
  out->probability = request.choice.probability;
  return out;
}

}  // namespace sluice::serving
