#include "observers/evidence.h"

#include <algorithm>

#include "base/hash.h"
#include "core/request.h"
#include "core/servable.h"

namespace sluice::observers {
namespace {

// Of a tensor that nobody interprets, so many elements are looked at.
constexpr std::size_t kLooked = 256;

template <class T>
bool finite(std::span<const T> values) {
  return std::ranges::all_of(values.first(std::min(kLooked, values.size())),
                             [](T value) { return std::isfinite(value); });
}

bool not_finite(const Request& request) {
  if (request.wants_prediction) return request.reply.prediction.not_finite;
  return std::ranges::any_of(request.reply.outputs, [](const TensorView& output) {
    if (output.dtype == DType::kFloat32) return !finite<float>(output.as<float>());
    if (output.dtype == DType::kFloat64) return !finite<double>(output.as<double>());
    return false;
  });
}

class Evidence final : public Observer {
 public:
  explicit Evidence(EvidenceLog& log) : log_(log) {}

  void on_finish(const Request& request) const noexcept override {
    if (request.choice.release == 0) return;
    Outcome out;
    out.choice = request.choice;
    out.ending = ending_of(request);
    // An explanation takes as long as it takes: neither says anything of the model's speed.
    out.recalled = request.from_cache || request.explain;
    out.at = std::chrono::steady_clock::now();
    out.millis = std::chrono::duration<float, std::milli>(out.at - request.arrived).count();
    out.id = request_key(request.request_id);
    if (out.ending == Ending::kAnswered) {
      out.unsound = request.unsound || not_finite(request);
      const auto& values = request.reply.prediction.values;
      if (values.size() == 1) out.prediction = values[0];
      if (request.true_label) out.label = *request.true_label;
    }
    log_.add(out);
  }

 private:
  EvidenceLog& log_;
};

}  // namespace

void EvidenceLog::add(const Outcome& outcome) noexcept {
  List& list = lists_.mine().shard;
  const std::lock_guard lock(list.mutex);
  if (list.outcomes.size() >= kMost) {
    dropped_.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  list.outcomes.push_back(outcome);
}

void EvidenceLog::fetch(std::vector<Outcome>& out) {
  lists_.each([&](const List& shared) {
    auto& list = const_cast<List&>(shared);
    const std::lock_guard lock(list.mutex);
    out.insert(out.end(), list.outcomes.begin(), list.outcomes.end());
    list.outcomes.clear();
  });
}

std::unique_ptr<const Observer> make_evidence(EvidenceLog& log) {
  return std::make_unique<Evidence>(log);
}

RequestKey request_key(std::string_view request_id) {
  if (request_id.empty()) return {};
  const auto hash = hash128(request_id);
  return {hash.high, hash.low};
}

}  // namespace sluice::observers
