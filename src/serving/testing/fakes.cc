#include "serving/testing/fakes.h"

#include <new>

#include "base/snapshot.h"

namespace sluice::serving::testing {
namespace {

// Only threads with a low number have a place of their own for what a turn brings; this one has,
// however many others tests have had before.
[[maybe_unused]] const std::size_t kMainThread = thread_slot();

}  // namespace

Doubler::Doubler(DoublerOptions options) : options_(options) {
  signature_.inputs.push_back({"x", DType::kFloat32, {-1, -1}, Role::kUnknown});
  signature_.outputs.push_back({"y", DType::kFloat32, {-1, -1}, Role::kUnknown});
}

Result<void> Doubler::run(std::span<const TensorView> inputs, std::span<TensorView> outputs,
                          Arena& arena) const {
  const auto in = inputs[0].as<float>();
  {
    std::unique_lock lock(mutex_);
    runs_.push_back({static_cast<std::size_t>(inputs[0].shape[0]), Floats(in.begin(), in.end()),
                     std::this_thread::get_id()});
    most_ = std::max(most_, ++inside_);
    changed_.notify_all();
    changed_.wait(lock, [&] { return !held_; });
  }
  if (options_.takes > 0us) std::this_thread::sleep_for(options_.takes);
  {
    const std::lock_guard lock(mutex_);
    --inside_;
    changed_.notify_all();
  }
  const auto has = [&](float value) { return std::ranges::find(in, value) != in.end(); };
  if (has(-1)) return internal("a bad row");
  if (has(-2)) throw std::bad_alloc();
  if (has(-3)) return unavailable("away", "its process is away");
  auto out = arena.array<float>(in.size());
  std::ranges::transform(in, out.begin(), [](float x) { return 2 * x; });
  outputs[0] = inputs[0];
  outputs[0].data = std::as_bytes(out);
  if (options_.merges) outputs[0].shape[0] = 1;
  return {};
}

std::vector<Doubler::Run> Doubler::runs() const {
  const std::lock_guard lock(mutex_);
  return runs_;
}

Sizes Doubler::sizes() const {
  Sizes out;
  for (const auto& run : runs()) out.push_back(run.rows);
  return out;
}

Floats Doubler::values() const {
  Floats out;
  for (const auto& run : runs()) out.insert(out.end(), run.values.begin(), run.values.end());
  return out;
}

int Doubler::most_at_once() const {
  const std::lock_guard lock(mutex_);
  return most_;
}

void Doubler::hold() const {
  const std::lock_guard lock(mutex_);
  held_ = true;
}

void Doubler::let_go() const {
  const std::lock_guard lock(mutex_);
  held_ = false;
  changed_.notify_all();
}

bool Doubler::wait_inside(int count) const {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, kLong, [&] { return inside_ >= count; });
}

bool Doubler::wait_for(std::size_t count) const {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, kLong, [&] { return runs_.size() >= count; });
}

Doubling::Doubling(DoublerOptions options, const ModelConfig& config) {
  auto loaded = std::make_unique<Doubler>(options);
  model = loaded.get();
  Signature signature = loaded->signature();
  signature.seal();
  execution = std::make_unique<Execution>(std::move(loaded), std::move(signature), OutputPlan(),
                                          std::nullopt, config, std::make_shared<Tally>());
}

void Loop::post(std::move_only_function<void()> work) {
  const std::lock_guard lock(mutex_);
  work_.push_back(std::move(work));
  ++posted_;
  more_.notify_one();
}

void Loop::turn() {
  while (true) {
    std::move_only_function<void()> work;
    {
      const std::lock_guard lock(mutex_);
      if (work_.empty()) return;
      work = std::move(work_.front());
      work_.pop_front();
    }
    work();
  }
}

bool Loop::turn_until(const std::function<bool()>& done) {
  const auto until = Clock::now() + kLong;
  while (true) {
    turn();
    if (done()) return true;
    if (Clock::now() > until) return false;
    std::unique_lock lock(mutex_);
    // What `done` looks at may change without a post.
    more_.wait_for(lock, 1ms, [&] { return !work_.empty(); });
  }
}

std::size_t Loop::posted() const {
  const std::lock_guard lock(mutex_);
  return posted_;
}

RequestPtr Client::request(Floats values, std::size_t width, Turn* turn) {
  const std::lock_guard lock(mutex_);
  Asked& asked = asked_.emplace_back();
  asked.inputs = std::move(values);
  auto request = make_request();
  request->submitted = Clock::now();
  request->onward = &onward_;
  request->turn = turn;
  request->rows = asked.inputs.size() / width;
  request->inputs = request->arena.array<TensorView>(1);
  TensorView input;
  input.shape = {static_cast<std::int64_t>(request->rows), static_cast<std::int64_t>(width)};
  input.data = std::as_bytes(std::span<const float>(asked.inputs));
  request->inputs[0] = input;
  request->on_done = [this, &asked](Request* done) { note(asked, *done); };
  return request;
}

void Client::note(Asked& asked, const Request& done) {
  const std::lock_guard lock(mutex_);
  Answer& answer = asked.answer;
  if (++answer.times == 1) ++answered_;
  answer.thread = std::this_thread::get_id();
  answer.at = Clock::now();
  if (done.reply.error) {
    answer.code = done.reply.error->code;
    answer.reason = done.reply.error->reason;
    answer.message = done.reply.error->message;
  } else {
    const auto out = done.reply.outputs[0].as<float>();
    answer.values.assign(out.begin(), out.end());
  }
  changed_.notify_all();
}

Answer Client::answer(std::size_t number) const {
  const std::lock_guard lock(mutex_);
  return asked_.at(number).answer;
}

std::vector<Answer> Client::answers() const {
  const std::lock_guard lock(mutex_);
  std::vector<Answer> out;
  for (const auto& asked : asked_) out.push_back(asked.answer);
  return out;
}

std::size_t Client::answered() const {
  const std::lock_guard lock(mutex_);
  return answered_;
}

bool Client::wait_for(std::size_t count) const {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, kLong, [&] { return answered_ >= count; });
}

}  // namespace sluice::serving::testing
