// Stand-ins for the tests of this room: a model that doubles, a loop, and requests that remember
// how they were answered.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "base/turn.h"
#include "core/engine.h"
#include "core/request.h"
#include "serving/execution.h"

namespace sluice::serving::testing {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using Floats = std::vector<float>;
using Sizes = std::vector<std::size_t>;

// Longer than anything here takes, on any machine.
inline constexpr std::chrono::seconds kLong{20};

struct DoublerOptions {
  // Answers one row whatever goes in, as a model does that only claims to keep rows apart.
  bool merges = false;
  bool thread_safe = true;
  std::chrono::microseconds takes{0};  // sleeps so long in each run
};

// x[N,L] → y[N,L] = 2x. Refuses a run that has -1 in it, has no memory for one with -2, and is away
// for one with -3.
class Doubler final : public Model {
 public:
  struct Run {
    Sizes::value_type rows = 0;
    Floats values;
    std::thread::id thread;
  };

  explicit Doubler(DoublerOptions options = {});
  const Signature& signature() const override { return signature_; }
  Result<void> run(std::span<const TensorView> inputs, std::span<TensorView> outputs,
                   Arena& arena) const override;
  std::string_view platform() const override { return "test"; }
  std::vector<Fact> facts() const override { return {{"kind", "test"}}; }
  std::uint64_t parameters() const override { return 0; }
  bool thread_safe() const override { return options_.thread_safe; }

  // So far, in the order in which they began.
  std::vector<Run> runs() const;
  Sizes sizes() const;    // rows of each
  Floats values() const;  // of all of them, one behind the other
  int most_at_once() const;

  // Runs that begin from now on last until `let_go`.
  void hold() const;
  void let_go() const;
  // Until `count` runs are in progress, or have begun so far; false when that takes too long.
  bool wait_inside(int count = 1) const;
  bool wait_for(std::size_t count) const;

 private:
  const DoublerOptions options_;
  Signature signature_;
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  mutable std::vector<Run> runs_;
  mutable int inside_ = 0;
  mutable int most_ = 0;
  mutable bool held_ = false;
};

// An execution of a Doubler, and the Doubler.
struct Doubling {
  explicit Doubling(DoublerOptions options = {}, const ModelConfig& config = {});
  const Doubler* model = nullptr;
  std::unique_ptr<Execution> execution;
};

// A loop of the thread that turns it.
class Loop final : public Turn {
 public:
  void at_end(std::move_only_function<void()> work) override { post(std::move(work)); }
  void post(std::move_only_function<void()> work) override;
  // Works until there is nothing more to do now.
  void turn();
  // Works until `done`; false when that takes too long.
  bool turn_until(const std::function<bool()>& done);
  std::size_t posted() const;  // so far

 private:
  mutable std::mutex mutex_;
  std::condition_variable more_;
  std::deque<std::move_only_function<void()>> work_;
  std::size_t posted_ = 0;
};

struct Answer {
  int times = 0;
  Floats values;
  std::string reason;  // empty: it went well
  std::string message;
  Code code = Code::kOk;
  std::thread::id thread;
  TimePoint at{};
};

// Makes requests of rows of floats and keeps what they were answered.
// Thread-safety: every function from any thread.
class Client {
 public:
  // Its answer gets the next number, in the order of these calls.
  RequestPtr request(Floats values, std::size_t width = 1, Turn* turn = nullptr);
  Answer answer(std::size_t number) const;
  std::vector<Answer> answers() const;
  std::size_t answered() const;  // requests, so far
  // Until so many are answered; false when that takes too long.
  bool wait_for(std::size_t count) const;

 private:
  struct Asked {
    Floats inputs;
    Answer answer;
  };

  // Goes on by finishing.
  class Finish final : public Onward {
   public:
    void resume(RequestPtr request) const override { finish(std::move(request)); }
  };

  void note(Asked& asked, const Request& done);

  Finish onward_;
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::deque<Asked> asked_;
  std::size_t answered_ = 0;
};

}  // namespace sluice::serving::testing
