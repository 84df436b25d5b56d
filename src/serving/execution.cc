#include "serving/execution.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <new>

#include "core/sample.h"
#include "core/tensor_rows.h"
#include "serving/batch.h"
#include "serving/late.h"

namespace sluice::serving {
namespace {

using Clock = std::chrono::steady_clock;

// Writes `part` as row `row` of `whole`, which is made with the first. Errors: rows differ in
// shape.
Result<void> put_row(TensorView& whole, const TensorView& part, std::size_t row, std::size_t rows,
                     Arena& arena) {
  if (row == 0) {
    whole = part;
    if (whole.shape.rank() > 0) whole.shape[0] *= static_cast<std::int64_t>(rows);
    SLUICE_CHECK(element_count(whole.shape.dims()));
    whole.data = {};
    whole.strings = {};
    if (part.dtype == DType::kString) {
      whole.strings = arena.array<std::string_view>(part.strings.size() * rows);
    } else {
      whole.data = arena.array<std::byte>(part.data.size() * rows);
    }
  }
  const bool fits = part.dtype == whole.dtype &&
                    part.strings.size() * rows == whole.strings.size() &&
                    part.data.size() * rows == whole.data.size();
  if (!fits) {
    return invalid("not_splittable",
                   "the model takes one row at a time and answers rows in different shapes: send "
                   "them one by one");
  }
  if (part.dtype == DType::kString) {
    std::ranges::copy(part.strings, const_cast<std::string_view*>(whole.strings.data()) +
                                        row * part.strings.size());
  } else if (!part.data.empty()) {
    std::memcpy(const_cast<std::byte*>(whole.data.data()) + row * part.data.size(),
                part.data.data(), part.data.size());
  }
  return {};
}

// What an engine throws for want of memory ends the request, not the process.
template <class Run>
auto within_memory(Run run) -> decltype(run()) {
  try {
    return run();
  } catch (const std::bad_alloc&) {
    return unavailable("out_of_memory",
                       "there is not enough memory to run the model on this input; send fewer rows "
                       "at once");
  }
}

}  // namespace

Execution::Execution(std::unique_ptr<Model> loaded, Signature signature, OutputPlan plan,
                     std::optional<PadPlan> padding, const ModelConfig& config,
                     std::shared_ptr<Tally> tally, std::shared_ptr<const Fault> fault)
    : loaded_(std::move(loaded)),
      signature_(std::move(signature)),
      plan_(std::move(plan)),
      padding_(std::move(padding)),
      warmup_(static_cast<int>(config.warmup)),
      batchable_(signature_.batchable() && config.batching.value_or(Batching()).max_batch_size > 1),
      tally_(std::move(tally)),
      fault_(std::move(fault)) {}

void Execution::run(std::span<RequestPtr> members) const {
  if (members.size() == 1) return run_alone(*members[0]);
  std::size_t rows = 0;
  for (const auto& member : members) rows += member->rows;
  const auto arena = std::make_shared<Arena>();
  const auto began = Clock::now();
  Result<void> ran;
  {
    const auto turn = take_turn();
    if (fault_ != nullptr) fault_->strike();
    ran = within_memory([&] { return run_batch(*loaded_, members, rows, *arena); });
  }
  const auto ended = Clock::now();
  if (!ran) {
    if (ran.error().reason == "not_batchable") batchable_ = false;
    arena->reset();  // for want of which it may have failed
    return run_apart(members, ran.error());
  }
  costs_.observe(rows, ended - began);
  tally_->executed(rows, ended - began);
  for (auto& member : members) {
    member->run_began = began;
    member->run_ended = ended;
    member->run_rows = rows;
    member->kept = arena;
    conclude(*member, {});
  }
}

// A row that the model cannot take spoils the batch: each for itself, only the guilty fails. Where
// no row is to blame each would only wait again, behind the others.
void Execution::run_apart(std::span<RequestPtr> members, const Error& error) const {
  const bool nobody = error.code == Code::kUnavailable && error.reason != "out_of_memory";
  for (auto& member : members) {
    if (nobody) {
      conclude(*member, Failure(error));
    } else if (is_late(*member, Clock::now())) {
      member->reply.error = late_error(*member);
    } else {
      run_alone(*member);
    }
  }
}

Result<void> Execution::warm_up() const {
  auto fastest = std::chrono::nanoseconds::max();
  for (int i = 0; i < warmup_; ++i) {
    Arena arena;
    SLUICE_TRY(const auto inputs, sample_inputs(signature_, arena));
    std::vector<TensorView> outputs(signature_.outputs.size());
    const auto began = Clock::now();
    if (!loaded_->run(inputs, outputs, arena)) return {};
    fastest = std::min(fastest, std::chrono::nanoseconds(Clock::now() - began));
  }
  if (warmup_ > 0) costs_.set(1, fastest);
  return {};
}

void Execution::run_alone(Request& request) const {
  request.run_began = Clock::now();
  Result<void> ran;
  {
    const auto turn = take_turn();
    if (fault_ != nullptr) fault_->strike();
    ran = run_model(*loaded_, request);
  }
  request.run_ended = Clock::now();
  if (ran) {
    costs_.observe(request.rows, request.run_ended - request.run_began);
    tally_->executed(request.rows, request.run_ended - request.run_began);
  }
  conclude(request, std::move(ran));
}

Result<void> Execution::run_aside(Request& request) const {
  {
    const auto turn = take_turn();
    SLUICE_CHECK(run_model(*loaded_, request));
  }
  return predict(request);
}

Result<Attributions> Execution::explain(std::span<const TensorView> inputs, Arena& arena) const {
  const auto turn = take_turn();
  return within_memory([&] { return loaded_->explain(inputs, arena); });
}

void Execution::run_on(const HostedModel& model, Request& request) const {
  request.run_began = Clock::now();
  auto ran = run_model(model, request);
  request.run_ended = Clock::now();
  if (ran) tally_->executed(request.rows, request.run_ended - request.run_began);
  conclude(request, std::move(ran));
}

void Execution::conclude(Request& request, Result<void> ran) const {
  if (ran && fault_ != nullptr) ran = fault_->spoil(request);
  if (ran && padding_) padding_->cut(request);
  if (ran) ran = predict(request);
  request.reply.answered = ran.has_value();
  if (!ran) request.reply.error = std::move(ran).error();
}

Result<void> Execution::predict(Request& request) const {
  if (!request.wants_prediction) return {};
  SLUICE_TRY(request.reply.prediction, within_memory([&] {
               return interpret(plan_, request.reply.outputs, request.rows, request.arena);
             }));
  return {};
}

std::unique_lock<std::mutex> Execution::take_turn() const {
  return loaded_->thread_safe() ? std::unique_lock<std::mutex>() : std::unique_lock(running_);
}

Result<void> Execution::run_model(const Model& model, Request& request) const {
  request.reply.outputs = request.arena.array<TensorView>(signature_.outputs.size());
  std::ranges::fill(request.reply.outputs, TensorView{});
  const bool row_by_row = request.rows > 1 && takes_single_rows();
  return within_memory([&] {
    return row_by_row ? run_rows(model, request)
                      : model.run(request.inputs, request.reply.outputs, request.arena);
  });
}

bool Execution::takes_single_rows() const {
  return std::ranges::any_of(signature_.inputs, [](const TensorSpec& spec) {
    return !spec.dims.empty() && spec.dims[0] == 1;
  });
}

// A model that was exported for one row answers many, one after the other.
Result<void> Execution::run_rows(const Model& model, Request& request) const {
  std::vector<TensorView> inputs(request.inputs.size());
  std::vector<TensorView> outputs(signature_.outputs.size());
  for (std::size_t row = 0; row < request.rows; ++row) {
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      inputs[i] = rows_of(request.inputs[i], row, 1, request.rows);
    }
    SLUICE_CHECK(model.run(inputs, outputs, request.arena));
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      SLUICE_CHECK(put_row(request.reply.outputs[i], outputs[i], row, request.rows, request.arena));
    }
  }
  return {};
}

}  // namespace sluice::serving
