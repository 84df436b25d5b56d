// What counting a request costs the thread that answers it, and what keeping a copy of it does:
// the time of requests that end, with observers and without, one after the other and in turns.
// Prints nanoseconds a request: the least and the median of 25 rounds.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <vector>

#include "observers/prediction_log.h"
#include "observers/statistics.h"
#include "observers/tap.h"
#include "observers/testing/spoken.h"

namespace {

using namespace sluice;
using Clock = std::chrono::steady_clock;

constexpr int kRequests = 20'000;
constexpr int kRounds = 25;

// Takes records and does nothing with them.
class Nobody final : public observers::RecordSink {
 public:
  explicit Nobody(std::uint8_t wants) : wants_(static_cast<observers::Wanted>(wants)) {}
  observers::Wanted wants() const override { return wants_; }
  void take(const observers::Record&) override {}

 private:
  const observers::Wanted wants_;
};

double nanos_each(const Observers* observers, const std::shared_ptr<const Servable>& servable) {
  static const std::vector<float> features(30, 1.5F);
  static const double value = 1, confidence = 0.75;
  const auto began = Clock::now();
  for (int i = 0; i < kRequests; ++i) {
    auto request = make_request();
    request->observers = observers;
    request->protocol = Protocol::kSimpleRest;
    request->servable = servable;
    request->request_id = "0123456789abcdef";
    request->bound_to = request->rows = 1;
    request->arrived = request->submitted = request->run_began = request->run_ended = began;
    request->inputs = request->arena.array<TensorView>(1);
    request->inputs[0] = {DType::kFloat32, {1, 30}, std::as_bytes(std::span(features)), {}};
    request->reply.prediction.rows = 1;
    request->reply.prediction.classified = true;
    request->reply.prediction.values = {&value, 1};
    request->reply.prediction.confidences = {&confidence, 1};
    request->reply.answered = true;
    request->on_done = [](Request*) {};
    finish(std::move(request));
  }
  const std::chrono::duration<double, std::nano> took = Clock::now() - began;
  return took.count() / kRequests;
}

}  // namespace

int main() {
  const auto unlogged = std::make_shared<const observers::testing::Spoken>(0.0);
  const auto logged = std::make_shared<const observers::testing::Spoken>(1.0);
  observers::EndCounts unserved;
  Nobody watching(observers::kForDrift | observers::kForRecent), log(observers::kForLog);
  observers::Tap tap({&watching}), log_tap({&watching, &log});
  Observers none, counted, watched, written;
  for (auto* list : {&counted, &watched, &written}) {
    list->push_back(observers::make_statistics(unserved));
  }
  watched.push_back(observers::make_tap_observer(tap));
  written.push_back(observers::make_tap_observer(log_tap));
  struct Case {
    const char* name;
    const Observers* observers;
    std::shared_ptr<const Servable> servable;
    std::vector<double> rounds = {};
  };
  std::vector<Case> cases = {{"nobody looks", &none, unlogged},
                             {"counted (metrics)", &counted, unlogged},
                             {"counted, drift and recent", &watched, unlogged},
                             {"counted, drift, recent, log", &written, logged}};
  for (int round = 0; round < kRounds; ++round) {
    for (auto& each : cases) each.rounds.push_back(nanos_each(each.observers, each.servable));
  }
  std::printf("%-32s%12s%12s%24s\n", "ns a request", "least", "median", "more than nobody");
  double base = 0;
  for (auto& each : cases) {
    std::ranges::sort(each.rounds);
    const double median = each.rounds[each.rounds.size() / 2];
    if (base == 0) base = median;
    std::printf("%-32s%12.0f%12.0f%24.0f\n", each.name, each.rounds.front(), median, median - base);
  }
  std::printf("records that found no room: %llu\n",
              static_cast<unsigned long long>(log_tap.dropped()));
}
