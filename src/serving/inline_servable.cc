#include "serving/inline_servable.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <mutex>

#include "base/text.h"
#include "base/turn.h"
#include "serving/batch.h"
#include "serving/output_plan.h"
#include "telemetry/sharded.h"

namespace sluice::serving {
namespace {

// The part of `tensor` that is row `row`, with a first dimension of one.
TensorView row_of(const TensorView& tensor, std::size_t row, std::size_t rows) {
  TensorView out = tensor;
  out.shape[0] = 1;
  if (tensor.dtype == DType::kString) {
    const std::size_t width = tensor.strings.size() / rows;
    out.strings = tensor.strings.subspan(row * width, width);
  } else {
    const std::size_t width = tensor.data.size() / rows;
    out.data = tensor.data.subspan(row * width, width);
  }
  return out;
}

// Writes `part` as row `row` of `whole`, which is made with the first.
void put_row(TensorView& whole, const TensorView& part, std::size_t row, std::size_t rows,
             Arena& arena) {
  if (row == 0) {
    whole = part;
    if (whole.shape.rank() > 0) whole.shape[0] *= static_cast<std::int64_t>(rows);
    if (part.dtype == DType::kString) {
      whole.strings = arena.array<std::string_view>(part.strings.size() * rows);
    } else {
      whole.data = arena.array<std::byte>(part.data.size() * rows);
    }
  }
  if (part.dtype == DType::kString) {
    std::ranges::copy(part.strings, const_cast<std::string_view*>(whole.strings.data()) +
                                        row * part.strings.size());
  } else if (!part.data.empty() && (row + 1) * part.data.size() <= whole.data.size()) {
    std::memcpy(const_cast<std::byte*>(whole.data.data()) + row * part.data.size(),
                part.data.data(), part.data.size());
  }
}

class InlineServable final : public Servable {
 public:
  InlineServable(ModelName model, VersionName version, std::unique_ptr<Model> loaded,
                 Signature signature, OutputPlan plan, const ModelConfig& config)
      : model_(std::move(model)),
        version_(std::move(version)),
        loaded_(std::move(loaded)),
        signature_(std::move(signature)),
        plan_(std::move(plan)),
        warmup_(static_cast<int>(config.warmup)),
        max_rows_(static_cast<std::size_t>(config.batching.value_or(Batching()).max_batch_size)),
        batchable_(signature_.batchable() && max_rows_ > 1) {}

  const ModelName& model() const override { return model_; }
  const VersionName& version() const override { return version_; }
  const Signature& signature() const override { return signature_; }
  const Model& loaded() const override { return *loaded_; }
  Tally& tally() const override { return tally_; }

  // Loop batching: what one turn of an I/O thread brings for this version runs as one batch at the
  // turn's end, without a lock, a hop or a wait.
  bool run(RequestPtr& request) const override {
    const bool joins =
        request->turn != nullptr && request->rows > 0 && batchable_.load(std::memory_order_relaxed);
    const auto mine = waiting_.mine();
    if (!joins || !mine.alone) {
      run_alone(*request);
      return true;
    }
    Waiting& waiting = mine.shard;
    if (!waiting.planned) {
      waiting.planned = true;
      request->turn->at_end(
          [self = request->servable] { static_cast<const InlineServable&>(*self).run_waiting(); });
    }
    waiting.requests.push_back(std::move(request));
    return false;
  }

  Result<void> warm_up() const override {
    for (int i = 0; i < warmup_; ++i) {
      Arena arena;
      std::vector<TensorView> inputs;
      for (const auto& spec : signature_.inputs) {
        SLUICE_TRY(inputs.emplace_back(), sample(spec, arena));
      }
      std::vector<TensorView> outputs(signature_.outputs.size());
      // Zeros need not be a valid input for every model; warming up is for speed, not a test.
      if (!loaded_->run(inputs, outputs, arena)) return {};
    }
    return {};
  }

 private:
  static Result<TensorView> sample(const TensorSpec& spec, Arena& arena) {
    TensorView out;
    out.dtype = spec.dtype;
    for (const auto dim : spec.dims) out.shape.push(dim == -1 ? 1 : dim);
    SLUICE_TRY(const auto count, element_count(out.shape.dims()));
    if (spec.dtype == DType::kString) {
      auto strings = arena.array<std::string_view>(count);
      std::ranges::fill(strings, std::string_view());
      out.strings = strings;
    } else {
      auto bytes = arena.array<std::byte>(count * size_of(spec.dtype));
      std::ranges::fill(bytes, std::byte{});
      out.data = bytes;
    }
    return out;
  }

  // What a thread has ready in this turn.
  struct Waiting {
    std::vector<RequestPtr> requests;
    bool planned = false;
  };

  void run_waiting() const {
    Waiting& waiting = waiting_.mine().shard;
    waiting.planned = false;
    // Answering a request may bring its connection's next one here already.
    std::vector<RequestPtr> requests;
    requests.swap(waiting.requests);
    std::span<RequestPtr> left(requests);
    while (!left.empty()) {
      const std::size_t count = next_batch(left, max_rows_);
      run_together(left.first(count));
      left = left.subspan(count);
    }
    requests.clear();
    if (waiting.requests.empty()) waiting.requests.swap(requests);  // its memory serves again
  }

  void run_together(std::span<RequestPtr> members) const {
    if (members.size() == 1) {
      run_alone(*members[0]);
      return go_on(members[0]);
    }
    std::size_t rows = 0;
    for (const auto& member : members) rows += member->rows;
    Arena arena;
    const auto began = std::chrono::steady_clock::now();
    const auto ran = run_batch(members, rows, arena);
    const auto ended = std::chrono::steady_clock::now();
    if (!ran) {
      // A row that the model cannot take spoils the batch: each for itself, only the guilty fails.
      if (ran.error().reason == "not_batchable") batchable_ = false;
      for (auto& member : members) {
        run_alone(*member);
        go_on(member);
      }
      return;
    }
    tally_.executed(rows, ended - began);
    for (auto& member : members) {
      member->run_began = began;
      member->run_ended = ended;
      conclude(*member, {});
      go_on(member);
    }
  }

  Result<void> run_batch(std::span<RequestPtr> members, std::size_t rows, Arena& arena) const {
    const auto turn = take_turn();
    return serving::run_batch(*loaded_, members, rows, arena);
  }

  static void go_on(RequestPtr& request) {
    const Onward* onward = request->onward;
    onward->resume(std::move(request));
  }

  void run_alone(Request& request) const {
    request.run_began = std::chrono::steady_clock::now();
    auto ran = run_model(request);
    request.run_ended = std::chrono::steady_clock::now();
    if (ran) tally_.executed(request.rows, request.run_ended - request.run_began);
    conclude(request, std::move(ran));
  }

  void conclude(Request& request, Result<void> ran) const {
    if (ran && request.wants_prediction) ran = predict(request);
    request.reply.answered = ran.has_value();
    if (!ran) request.reply.error = std::move(ran).error();
  }

  // Held while a model runs that only one thread at a time may run.
  std::unique_lock<std::mutex> take_turn() const {
    return loaded_->thread_safe() ? std::unique_lock<std::mutex>() : std::unique_lock(running_);
  }

  Result<void> run_model(Request& request) const {
    request.reply.outputs = request.arena.array<TensorView>(signature_.outputs.size());
    std::ranges::fill(request.reply.outputs, TensorView{});
    const auto turn = take_turn();
    const bool row_by_row = request.rows > 1 && has_single_row_inputs();
    return row_by_row ? run_rows(request)
                      : loaded_->run(request.inputs, request.reply.outputs, request.arena);
  }

  Result<void> predict(Request& request) const {
    SLUICE_TRY(request.reply.prediction,
               interpret(plan_, request.reply.outputs, request.rows, request.arena));
    return {};
  }

  bool has_single_row_inputs() const {
    return std::ranges::any_of(signature_.inputs, [](const TensorSpec& spec) {
      return !spec.dims.empty() && spec.dims[0] == 1;
    });
  }

  // A model that was exported for one row answers many, one after the other.
  Result<void> run_rows(Request& request) const {
    std::vector<TensorView> inputs(request.inputs.size());
    std::vector<TensorView> outputs(signature_.outputs.size());
    for (std::size_t row = 0; row < request.rows; ++row) {
      for (std::size_t i = 0; i < inputs.size(); ++i) {
        inputs[i] = row_of(request.inputs[i], row, request.rows);
      }
      SLUICE_CHECK(loaded_->run(inputs, outputs, request.arena));
      for (std::size_t i = 0; i < outputs.size(); ++i) {
        put_row(request.reply.outputs[i], outputs[i], row, request.rows, request.arena);
      }
    }
    return {};
  }

  const ModelName model_;
  const VersionName version_;
  const std::unique_ptr<Model> loaded_;
  const Signature signature_;
  const OutputPlan plan_;
  const int warmup_;
  const std::size_t max_rows_;  // of a batch
  // Off for good once a run shows that the model does not keep rows apart.
  mutable std::atomic<bool> batchable_;
  mutable Sharded<Waiting> waiting_;
  mutable Tally tally_;
  mutable std::mutex running_;  // taken by models that only one thread may run
};

// Column names of model.yaml, checked against the model's input.
Result<void> name_columns(Signature& signature, const ModelConfig& config) {
  if (config.inputs.empty()) return {};
  const bool table = signature.inputs.size() == 1 && signature.inputs[0].dims.size() == 2;
  if (!table) {
    // Several inputs are named by the model itself; naming them again must agree with it.
    for (const auto& column : config.inputs) {
      if (signature.input_named(column.name) == Signature::npos) {
        return invalid("bad_config", "inputs: in model.yaml names '" + printable(column.name) +
                                         "', which is no input of the model");
      }
    }
    return {};
  }
  const auto width = signature.inputs[0].dims[1];
  if (width != -1 && static_cast<std::size_t>(width) != config.inputs.size()) {
    return invalid("bad_config", "inputs: in model.yaml names " +
                                     std::to_string(config.inputs.size()) +
                                     " columns, but the model takes " + std::to_string(width));
  }
  signature.columns.clear();
  for (const auto& column : config.inputs) signature.columns.push_back(column.name);
  return {};
}

class InlineFactory final : public ServableFactory {
 public:
  Result<std::shared_ptr<const Servable>> make(const ModelName& model, const VersionName& version,
                                               std::unique_ptr<Model> loaded,
                                               const ModelConfig& config) const override {
    Signature signature = loaded->signature();
    SLUICE_CHECK(name_columns(signature, config));
    SLUICE_TRY(auto plan, make_output_plan(signature, config));
    signature.class_names = plan.names;
    signature.seal();
    return std::make_shared<InlineServable>(model, version, std::move(loaded), std::move(signature),
                                            std::move(plan), config);
  }
};

}  // namespace

std::unique_ptr<const ServableFactory> make_servable_factory() {
  return std::make_unique<InlineFactory>();
}

}  // namespace sluice::serving
