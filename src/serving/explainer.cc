#include "serving/explainer.h"

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>

#include "base/bounded_queue.h"
#include "base/priority.h"
#include "core/servable.h"
#include "serving/batcher.h"
#include "serving/late.h"

namespace sluice::serving {
namespace {

using Clock = std::chrono::steady_clock;

// Its answer is there: better without an explanation than too late.
constexpr std::chrono::milliseconds kNear{300};

// More places than may wait: one that is just being emptied cannot be filled yet, and who is put
// back must find room.
constexpr std::size_t kPlaces = 4 * Explainer::kMostWaiting;

// Those that wait are looked at by `sweep` too.
constexpr std::chrono::milliseconds kIdle{1000};

void without(Request& request, std::string_view why) { request.warnings.emplace_back(why); }

constexpr std::string_view kBusy =
    "explanations are busy, so this prediction has none; ask again later, or one row at a time";
constexpr std::string_view kEnding = "the server is ending, so this prediction has no explanation";
constexpr std::string_view kNoTime =
    "there was no time left to explain this prediction; allow a later deadline";

void fill(Request& request, const Background* background) {
  auto explained = explain_rows(request, background);
  if (explained) return;
  if (is_late(request, Clock::now())) {
    request.reply.error = late_error(request);
  } else if (explained.error().code == Code::kInvalidArgument) {
    request.reply.error = std::move(explained).error();
  } else if (explained.error().reason == "no_time") {
    without(request, explained.error().message);
  } else {
    // The answer is as good as it was: what the model makes of rows that nobody sent is no fault of
    // the request's, and none that a release should count.
    without(request, "there is no explanation: " + explained.error().message);
  }
}

}  // namespace

struct Explainer::Line {
  explicit Line(const Background* rows) : background(rows), queue(kPlaces) {}

  const Background* const background;
  BoundedQueue<RequestPtr> queue;
  std::atomic<std::size_t> waiting{0};
  std::atomic<bool> closed{false};

  std::mutex mutex;
  std::condition_variable over;
  bool started = false;  // guarded by mutex
  bool done = false;     // guarded by mutex: the thread has ended
  std::thread thread;    // guarded by mutex until it is closed

  RequestPtr take() {
    RequestPtr out;
    if (queue.pop(out)) waiting.fetch_sub(1, std::memory_order_relaxed);
    return out;
  }

  // By the idle thread, which must not stop for others in the middle of it.
  RequestPtr take_soon() {
    const Hurry hurry;
    return take();
  }

  // False: there is no room, and the request is as it was.
  bool put(RequestPtr& request) {
    if (waiting.fetch_add(1, std::memory_order_relaxed) < kMostWaiting && queue.push(request)) {
      return true;
    }
    waiting.fetch_sub(1, std::memory_order_relaxed);
    return false;
  }

  void work() {
    while (!closed.load(std::memory_order_acquire)) {
      queue.wait(kIdle);
      while (!closed.load(std::memory_order_acquire)) {
        auto request = take_soon();
        if (request == nullptr) break;
        handle(std::move(request));
      }
    }
  }

  void handle(RequestPtr request) const {
    if (is_late(*request, Clock::now())) {
      request->reply.error = late_error(*request);
    } else if (request->servable->loaded().thread_safe()) {
      fill(*request, background);
    } else {
      const Hurry hurry;  // others may wait for the model while it is asked here
      fill(*request, background);
    }
    const Hurry hurry;  // the loop has a lock of its own
    hand_back({&request, 1});
  }

  // Thread or none: the system may have no more.
  bool start(const std::shared_ptr<Line>& self) {
    const std::lock_guard lock(mutex);
    if (started || closed.load(std::memory_order_relaxed)) return started;
    try {
      thread = std::thread([self] {
        become_idle("explain");
        self->work();
        const Hurry hurry;
        const std::lock_guard over_lock(self->mutex);
        self->done = true;
        self->over.notify_all();
      });
      started = true;
    } catch (const std::system_error&) {
    }
    return started;
  }

  void dismiss_all(std::string_view why) {
    while (auto request = take()) {
      without(*request, why);
      hand_back({&request, 1});
    }
  }
};

Explainer::Explainer(const Background* background) : line_(std::make_shared<Line>(background)) {}

Explainer::~Explainer() { close(std::chrono::milliseconds(500)); }

bool Explainer::explain(RequestPtr& request) {
  if (request->turn == nullptr) {  // nobody's loop waits for this thread
    fill(*request, line_->background);
    return true;
  }
  if (line_->closed.load(std::memory_order_acquire)) {
    without(*request, kEnding);
    return true;
  }
  if (line_->start(line_) && line_->put(request)) {
    // It may have been put in just behind the last look of `close`.
    if (line_->closed.load(std::memory_order_seq_cst)) line_->dismiss_all(kEnding);
    return false;
  }
  without(*request, kBusy);
  return true;
}

// Takes all out once and puts back those that still have time, in their order.
void Explainer::sweep(TimePoint now) {
  std::vector<RequestPtr> gone;
  for (auto left = waiting(); left > 0; --left) {
    auto request = line_->take();
    if (request == nullptr) break;
    const bool late = is_late(*request, now);
    const bool near = now - request->arrived > kNear && request->deadline - now < kNear;
    if (late) {
      request->reply.error = late_error(*request);
    } else if (near) {
      without(*request, kNoTime);
    } else if (line_->put(request)) {
      continue;
    } else {
      without(*request, kBusy);
    }
    gone.push_back(std::move(request));
  }
  hand_back(gone);
}

std::size_t Explainer::waiting() const { return line_->waiting.load(std::memory_order_relaxed); }

bool Explainer::close(std::chrono::milliseconds grace) {
  line_->closed.store(true, std::memory_order_seq_cst);
  line_->queue.wake();
  line_->dismiss_all(kEnding);
  std::unique_lock lock(line_->mutex);
  if (!line_->thread.joinable()) return true;
  const bool over = line_->over.wait_for(lock, grace, [&] { return line_->done; });
  auto thread = std::move(line_->thread);
  lock.unlock();
  if (over) {
    thread.join();
  } else {
    thread.detach();
  }
  return over;
}

}  // namespace sluice::serving
