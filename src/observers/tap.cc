#include "observers/tap.h"

#include <pthread.h>

#include <chrono>

#include "base/priority.h"
#include "base/random.h"
#include "core/servable.h"

namespace sluice::observers {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kPause{5};
constexpr std::chrono::milliseconds kTick{250};
// A ring of a thread whose every answer is logged: a third of a second of 20,000 a second with 30
// features were too few on a machine that had other things to do.
constexpr std::size_t kLogRing = 16 * Tap::kRing;
// Of one ring, until it is another's turn: a thread that answers without a pause must not keep
// others, ticks and the end waiting. At the end, all that a ring may hold.
constexpr std::size_t kTurn = 256;
constexpr std::size_t kLastTurn = kLogRing;

double millis(TimePoint from, TimePoint to) {
  if (from == TimePoint{} || to < from) return 0;
  return std::chrono::duration<double, std::milli>(to - from).count();
}

std::size_t bytes_of_inputs(const Request& request) {
  std::size_t out = 0;
  for (const auto& input : request.inputs) {
    out += input.data.size();
    for (const auto text : input.strings) out += text.size() + 16;
    if (out > kMostInputBytes) break;
  }
  if (request.ask == nullptr) return out;
  for (const auto entity : request.ask->entities) out += entity.size() + 16;
  return out + request.feature_times.size_bytes();
}

class TapObserver final : public Observer {
 public:
  explicit TapObserver(Tap& tap) : tap_(tap) {}

  void before_answer(Request& request) const noexcept override {
    if (!request.servable || request.protocol == Protocol::kInside) return;
    const Servable& servable = *request.servable;
    const Ending ending = ending_of(request);
    const auto now = Clock::now();
    const std::uint8_t wanted = wanted_of(servable, ending, now) & tap_.wanted();
    if (wanted == 0) return;
    // Tensor protocols do not need to know what their outputs mean; whoever looks at them does.
    Prediction& prediction = request.reply.prediction;
    if (ending == Ending::kAnswered && prediction.rows == 0) {
      if (auto told = servable.interpret(request.reply.outputs, request.rows, request.arena)) {
        prediction = *told;
      }
    }
    auto head = head_of(request, ending, now);
    head.wanted = wanted;
    tap_.add(request, head);
  }
  void on_finish(const Request&) const noexcept override {}

 private:
  static std::uint8_t wanted_of(const Servable& servable, Ending ending, TimePoint now) {
    const auto due = servable.tally().due(now, ending);
    std::uint8_t out = 0;
    if (due.drift) out |= kForDrift;
    if (due.recent) out |= kForRecent;
    const double sample = servable.logging().sample;
    const bool picked = sample >= 1 || (sample > 0 && thread_random().uniform() < sample);
    if (picked && ending == Ending::kAnswered) out |= kForLog;
    return out;
  }

  static Record::Head head_of(const Request& request, Ending ending, TimePoint now) {
    Record::Head head;
    head.at_ns =
        std::chrono::nanoseconds(std::chrono::system_clock::now().time_since_epoch()).count();
    head.total_ms = millis(request.arrived, now);
    head.queue_ms = millis(request.submitted, request.run_began);
    head.compute_ms = millis(request.run_began, request.run_ended);
    if (request.true_label) head.label = *request.true_label;
    head.release = request.choice.release;
    head.probability = request.choice.probability;
    // As the prediction has them: a model may answer fewer than it was asked.
    const Prediction& prediction = request.reply.prediction;
    head.rows = prediction.rows > 0 ? prediction.rows : request.rows;
    head.protocol = request.protocol;
    head.ending = ending;
    head.from_cache = request.from_cache;
    head.many_rows = request.many_rows;
    head.classified = prediction.classified;
    head.single_precision = prediction.single_precision;
    head.unsound = request.unsound;
    // Where reading them failed they are half written.
    const bool read = request.bound_to != 0 && !request.misfit;
    head.inputs_left_out = !read || bytes_of_inputs(request) > kMostInputBytes;
    head.fetched = request.ask != nullptr && !head.inputs_left_out;
    return head;
  }

  Tap& tap_;
};

}  // namespace

Tap::Tap(std::vector<RecordSink*> sinks) : sinks_(std::move(sinks)) {
  for (const auto* sink : sinks_) wanted_ |= sink->wants();
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "observers");
    lower_priority();
    work();
  });
}

Tap::~Tap() { close(); }

void Tap::close() {
  {
    const std::lock_guard lock(mutex_);
    if (closing_) return;
    closing_ = true;
  }
  wake_.notify_one();
  thread_.join();
  for (auto* sink : sinks_) sink->close();
}

void Tap::add(const Request& request, Record::Head& head) {
  auto mine = rings_.mine();
  std::unique_lock<std::mutex> lock;
  if (!mine.alone) lock = std::unique_lock(mine.shard.shared);
  ByteRing* ring = mine.shard.bytes.load(std::memory_order_acquire);
  if (ring == nullptr) {
    ring = new ByteRing((wanted_ & kForLog) != 0 ? kLogRing : kRing);
    mine.shard.bytes.store(ring, std::memory_order_release);
  }
  const auto room = ring->reserve(packed_size(request, head));
  if (room.data() == nullptr) {
    dropped_.fetch_add(1, std::memory_order_relaxed);
    if ((head.wanted & kForLog) != 0) log_dropped_.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  pack(request, head, room);
  ring->commit();
}

// At most so many records of each ring. True: there may be more.
bool Tap::drain(std::size_t most) {
  bool more = false;
  rings_.each([&](const Ring& shared) {
    ByteRing* ring = shared.bytes.load(std::memory_order_acquire);
    if (ring == nullptr) return;
    std::size_t taken = 0;
    for (auto piece = ring->front(); piece.data() != nullptr; piece = ring->front()) {
      if (taken++ == most) {
        more = true;
        return;
      }
      unpack(piece, record_);
      for (auto* sink : sinks_) {
        if ((record_.head.wanted & sink->wants()) != 0) sink->take(record_);
      }
      ring->pop();
    }
  });
  return more;
}

void Tap::work() {
  auto next_tick = Clock::now() + kTick;
  std::unique_lock lock(mutex_);
  while (true) {
    const bool last = closing_;
    lock.unlock();
    const bool more = drain(last ? kLastTurn : kTurn);
    if (Clock::now() >= next_tick || last) {
      next_tick = Clock::now() + kTick;
      for (auto* sink : sinks_) sink->tick();
    }
    if (last) return;
    lock.lock();
    if (!more) wake_.wait_for(lock, kPause, [this] { return closing_; });
  }
}

std::unique_ptr<const Observer> make_tap_observer(Tap& tap) {
  return std::make_unique<TapObserver>(tap);
}

}  // namespace sluice::observers
