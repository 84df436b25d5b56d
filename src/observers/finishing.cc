#include "observers/finishing.h"

#include <thread>

namespace sluice::observers {
namespace {

using Clock = std::chrono::steady_clock;

class FinishingObserver final : public Observer {
 public:
  explicit FinishingObserver(Finishing& finishing) : finishing_(finishing) {}
  void before_answer(Request&) const noexcept override { finishing_.begin(); }
  void on_finish(const Request&) const noexcept override { finishing_.end(); }

 private:
  Finishing& finishing_;
};

}  // namespace

void Finishing::begin() noexcept {
  auto mine = requests_.mine();
  mine.bump(mine.shard.begun, 1);
}

void Finishing::end() noexcept {
  auto mine = requests_.mine();
  auto& ended = mine.shard.ended;
  if (mine.alone) {
    ended.store(ended.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  } else {
    ended.fetch_add(1, std::memory_order_release);
  }
}

void Finishing::settle() const {
  const auto until = Clock::now() + kLongest;
  requests_.each([&](const Requests& of) {
    const auto begun = of.begun.value();
    while (of.ended.load(std::memory_order_acquire) < begun && Clock::now() < until) {
      std::this_thread::yield();
    }
  });
}

std::unique_ptr<const Observer> make_finishing(Finishing& finishing) {
  return std::make_unique<FinishingObserver>(finishing);
}

}  // namespace sluice::observers
