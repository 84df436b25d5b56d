#include "observers/finishing.h"

#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <thread>

#include "core/request.h"

namespace sluice::observers {
namespace {

using Clock = std::chrono::steady_clock;

// Takes its time over counting.
class SlowCount final : public Observer {
 public:
  SlowCount(std::latch& answered, std::atomic<int>& count) : answered_(answered), count_(count) {}
  void on_finish(const Request&) const noexcept override {
    answered_.count_down();
    std::this_thread::sleep_for(std::chrono::milliseconds(3));
    ++count_;
  }

 private:
  std::latch& answered_;
  std::atomic<int>& count_;
};

TEST(Finishing, WhoeverHasTheAnswerFindsItCounted) {
  Finishing finishing;
  std::atomic<int> count{0};
  for (int i = 1; i <= 20; ++i) {
    std::latch answered(1);
    Observers observers;
    observers.push_back(std::make_unique<SlowCount>(answered, count));
    observers.push_back(make_finishing(finishing));
    std::thread server([&] {
      auto request = make_request();
      request->observers = &observers;
      request->on_done = [](Request*) {};
      finish(std::move(request));
    });
    answered.wait();
    const auto before = Clock::now();
    finishing.settle();
    // A machine that did not run the other thread for so long has answered for it.
    if (Clock::now() - before < Finishing::kLongest) {
      EXPECT_EQ(count, i);
    }
    server.join();
  }
  EXPECT_EQ(count, 20);
}

TEST(Finishing, NobodyWaitsForEver) {
  Finishing finishing;
  finishing.settle();
  finishing.begin();
  const auto before = Clock::now();
  finishing.settle();
  EXPECT_GE(Clock::now() - before, Finishing::kLongest);
  finishing.end();
}

}  // namespace
}  // namespace sluice::observers
