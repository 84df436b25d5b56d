#include "serving/shadow_line.h"

#include <algorithm>
#include <system_error>

#include "base/log.h"
#include "base/priority.h"
#include "base/text.h"

namespace sluice::serving {
namespace {

using Clock = std::chrono::steady_clock;

double millis(Clock::duration time) {
  return std::chrono::duration<double, std::milli>(time).count();
}

Failure misfit(const std::string& why) { return invalid("misfit", why); }

// Where each input of `to` is among those of `from`: by name, or the only one.
Result<std::vector<std::size_t>> places(const Signature& from, const Signature& to) {
  if (from.inputs.size() != to.inputs.size()) {
    return misfit("it takes " + std::to_string(to.inputs.size()) +
                  " inputs; the version that users get takes " +
                  std::to_string(from.inputs.size()));
  }
  if (!from.columns.empty() && !to.columns.empty() && from.columns != to.columns) {
    return misfit("its columns have other names, or another order");
  }
  if (to.inputs.size() == 1) return std::vector<std::size_t>{0};
  std::vector<std::size_t> out;
  for (const auto& spec : to.inputs) {
    out.push_back(from.input_named(spec.name));
    if (out.back() == Signature::npos) {
      return misfit("the version that users get has no input '" + printable(spec.name) + "'");
    }
  }
  return out;
}

}  // namespace

ShadowLine::ShadowLine(std::shared_ptr<const Servable> servable, const ShadowOptions& options)
    : model_(servable->model().str()),
      version_(servable->version().str()),
      servable_(servable),
      raw_(servable.get()),
      options_(options),
      host_(servable->hosted()),
      queue_(options.max_requests) {}

Result<void> ShadowLine::start(Wanted wanted) {
  try {
    thread_ = std::thread([self = shared_from_this(), wanted = std::move(wanted)] {
      become_idle("shadow");
      self->work(wanted);
      if (self->host_ != nullptr) self->host_->stop();
      self->ended_.store(true, std::memory_order_release);
      const std::lock_guard over(self->mutex_);
      self->done_ = true;
      self->over_.notify_all();
    });
  } catch (const std::system_error&) {
    return unavailable("no_thread", "there is no thread to be had for shadow version " + version_ +
                                        " of model " + model_);
  }
  return {};
}

bool ShadowLine::has_room(std::size_t lines, std::size_t bytes) const {
  const std::size_t parts = std::max<std::size_t>(lines, 1);
  return waiting_.load(std::memory_order_relaxed) <
             std::max<std::size_t>(options_.max_requests / parts, 1) &&
         bytes_.load(std::memory_order_relaxed) + bytes <= options_.max_bytes / parts;
}

void ShadowLine::push(std::shared_ptr<const ShadowCase> shared, std::size_t lines) {
  const std::size_t bytes = shared->bytes;
  if (closed_.load(std::memory_order_relaxed) || !has_room(lines, bytes)) return count_full();
  // Before it can be taken out again.
  waiting_.fetch_add(1, std::memory_order_relaxed);
  bytes_.fetch_add(bytes, std::memory_order_relaxed);
  if (queue_.push(shared)) return;
  waiting_.fetch_sub(1, std::memory_order_relaxed);
  bytes_.fetch_sub(bytes, std::memory_order_relaxed);
  count_full();
}

std::shared_ptr<const ShadowCase> ShadowLine::take() {
  std::shared_ptr<const ShadowCase> out;
  if (!queue_.pop(out)) return nullptr;
  waiting_.fetch_sub(1, std::memory_order_relaxed);
  bytes_.fetch_sub(out->bytes, std::memory_order_relaxed);
  return out;
}

ShadowCounts ShadowLine::counts() const {
  const auto read = [](const auto& counter) { return counter.load(std::memory_order_relaxed); };
  return {.predictions = read(predictions_),
          .disagreements = read(disagreements_),
          .full = read(full_),
          .late = read(late_),
          .large = read(large_),
          .down = read(down_),
          .skipped = read(skipped_),
          .errors = read(errors_),
          .waiting = read(waiting_)};
}

void ShadowLine::work(const Wanted& wanted) {
  while (!closed_.load(std::memory_order_acquire)) {
    const bool woken = queue_.wait(options_.idle);
    while (auto shared = take()) {
      if (closed_.load(std::memory_order_acquire)) return;
      handle(*shared);
    }
    if (!woken && !wanted()) return;
  }
}

void ShadowLine::handle(const ShadowCase& shared) {
  const auto servable = servable_.lock();
  if (servable == nullptr || Clock::now() - shared.queued > options_.max_wait) {
    late_.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  auto asked = ask(*servable, shared);
  if (asked) return;
  if (asked.error().reason == "host_down") {
    down_.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  errors_.fetch_add(1, std::memory_order_relaxed);
  if (std::exchange(told_, true)) return;
  log::warn("shadow version " + version_ + " of model " + model_ +
            " fails, which no user sees; further failures are only counted: " +
            printable(asked.error().message, 300));
}

// Inputs are copied for the primary's signature; another's are found by their names and checked.
Result<void> ShadowLine::fit(const Servable& servable, const ShadowCase& shared,
                             Request& request) const {
  request.inputs = request.arena.array<TensorView>(shared.inputs.size());
  request.rows = shared.rows;
  std::ranges::copy(shared.inputs, request.inputs.begin());
  const Signature& signature = servable.signature();
  if (shared.bound_to != 0 && shared.bound_to == signature.fingerprint) return {};
  const auto primary = shared.servable.lock();
  if (primary == nullptr) return misfit("the version that users got is gone");
  SLUICE_TRY(const auto from, places(primary->signature(), signature));
  for (std::size_t i = 0; i < from.size(); ++i) request.inputs[i] = shared.inputs[from[i]];
  SLUICE_TRY(request.rows, check_inputs(signature, request.inputs, shared.may_split_rows));
  return {};
}

Result<void> ShadowLine::ask(const Servable& servable, const ShadowCase& shared) {
  auto request = make_request();
  SLUICE_CHECK(fit(servable, shared, *request));
  request->model = model_;
  request->version = version_;
  request->wants_prediction = true;
  request->may_split_rows = shared.may_split_rows;
  request->arrived = request->submitted = Clock::now();
  SLUICE_TRY(const auto took, run(servable, request));
  const auto primary = shared.servable.lock();
  ShadowPair pair{
      shared.prediction, request->reply.prediction,
      shared.inputs,     primary != nullptr ? primary->signature() : servable.signature(),
      shared.request_id, shared.tolerance,
      shared.at,         shared.primary_ms,
      millis(took)};
  SLUICE_TRY(const auto added, comparison_.add(pair));
  predictions_.fetch_add(added.rows, std::memory_order_relaxed);
  disagreements_.fetch_add(added.disagreed, std::memory_order_relaxed);
  return {};
}

// Answers how long the engine took, without what it waited for a processor.
Result<std::chrono::nanoseconds> ShadowLine::run(const Servable& servable,
                                                 RequestPtr& request) const {
  if (host_ != nullptr) {
    SLUICE_CHECK(host_->ready());
    servable.run_on(*host_, *request);
    if (request->reply.error) return Failure(*request->reply.error);
    return host_->take_time();
  }
  thread_local const RunDelay delay;
  const auto delayed = delay.so_far();
  // Without a turn it runs here and now.
  if (!servable.run(request)) return internal("the version took the request away");
  const auto waited = delay.so_far() - delayed;
  if (request->reply.error) return Failure(*request->reply.error);
  const std::chrono::nanoseconds took = request->run_ended - request->run_began;
  return std::max(took - waited, std::chrono::nanoseconds(0));
}

// A run in another process ends with it.
void ShadowLine::close() {
  closed_.store(true, std::memory_order_release);
  queue_.wake();
  while (take() != nullptr) count_full();
  if (host_ != nullptr) host_->stop();
}

bool ShadowLine::join_until(TimePoint until) {
  bool over = false;
  {
    std::unique_lock lock(mutex_);
    over = over_.wait_until(lock, until, [&] { return done_; });
  }
  if (over) {
    thread_.join();
  } else {
    thread_.detach();
  }
  return over;
}

}  // namespace sluice::serving
