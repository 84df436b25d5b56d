#include "tools/batch/predictor.h"

#include <algorithm>
#include <cmath>

#include "base/json_writer.h"
#include "core/explanation.h"
#include "core/tensor_rows.h"
#include "serving/explain_rows.h"

namespace sluice::tools::batch {
namespace {

// The rows' own fault, as far as can be told.
bool of_rows(const Error& error) {
  return error.code == Code::kInvalidArgument || error.code == Code::kOutOfRange ||
         error.reason == "engine_failed";
}

// A prediction of one row of many.
Prediction row_of(const Prediction& all, std::size_t row) {
  Prediction out = all;
  const std::size_t width = all.width();
  const std::size_t classes = all.probabilities.size() / all.rows;
  out.rows = 1;
  out.values = all.values.subspan(row * width, width);
  out.integers = nullptr;
  out.confidences = all.confidences.subspan(row, 1);
  if (!all.labels.empty()) out.labels = all.labels.subspan(row, 1);
  out.probabilities = all.probabilities.subspan(row * classes, classes);
  out.not_finite = !std::ranges::all_of(out.values, [](double x) { return std::isfinite(x); }) ||
                   !std::isfinite(out.confidences[0]);
  return out;
}

void add_notes(Request& request, std::string& out) {
  std::vector<std::string> said = std::move(request.warnings);
  if (request.reply.error) {
    for (const auto& detail : request.reply.error->details) said.push_back(detail.problem);
    if (request.reply.error->details.empty()) said.push_back(request.reply.error->message);
  }
  for (const auto& one : said) out += (out.empty() ? "" : "; ") + one;
  request.warnings.clear();
  request.reply.error.reset();
}

std::string explanation_json(const Explanation& explanation, std::size_t row) {
  const RowExplanation& one = explanation.rows[row];
  std::string out;
  JsonWriter json(out);
  json.begin_object().field("method", explanation.method).field("output", explanation.output);
  if (one.of_class) json.field("class", *one.of_class);
  json.field("base_value", one.base_value).key("attributions").begin_object();
  for (std::size_t i = 0; i < explanation.features.size() && i < one.attributions.size(); ++i) {
    json.field(explanation.features[i], one.attributions[i]);
  }
  json.end_object().end_object();
  return out;
}

}  // namespace

RequestPtr Predictor::ask(std::span<const TensorView> inputs, std::size_t first,
                          std::size_t count) const {
  auto request = make_request();
  const Signature& signature = servable_->signature();
  auto own = request->arena.array<TensorView>(inputs.size());
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    // Of a call as a whole there is one row at a time.
    own[i] = signature.inputs[i].counts_rows()
                 ? rows_of(inputs[i], first, count, static_cast<std::size_t>(inputs[i].shape[0]))
                 : inputs[i];
  }
  request->inputs = own;
  request->rows = count;
  request->bound_to = servable_->signature().fingerprint;
  request->may_split_rows = true;
  request->wants_prediction = true;
  request->servable = servable_;
  return request;
}

Result<void> Predictor::answer(std::span<const TensorView> inputs, std::size_t rows,
                               const Sink& sink) const {
  if (rows == 0) return {};
  return answer(inputs, 0, rows, sink);
}

Result<void> Predictor::answer(std::span<const TensorView> inputs, std::size_t first,
                               std::size_t count, const Sink& sink) const {
  auto request = ask(inputs, first, count);
  // Nobody's loop waits, so it is done on this thread.
  const bool here = servable_->run(request);
  if (!here) return internal("the model's answer did not come on the thread that asked");
  auto& reply = request->reply;
  const bool apart = !reply.error && reply.prediction.rows == count;
  if (apart) return tell(*request, inputs, first, sink);
  if (reply.error && !of_rows(*reply.error)) return Failure(*reply.error);
  if (count == 1) {
    return sink.bad(reply.error ? reply.error->message
                                : "the model answers it with no prediction of its own");
  }
  request.reset();
  const std::size_t half = count / 2;
  SLUICE_CHECK(answer(inputs, first, half, sink));
  return answer(inputs, first + half, count - half, sink);
}

Result<void> Predictor::tell(Request& request, std::span<const TensorView> inputs,
                             std::size_t first, const Sink& sink) const {
  std::vector<std::string> guarded;
  std::vector<std::string> explained;
  if (options_.guard) guarded = this->guarded(request, inputs, first);
  if (options_.explain) {
    SLUICE_TRY(explained, this->explained(inputs, first, request.rows));
  }
  std::vector<RowNotes> notes(guarded.empty() && explained.empty() ? 0 : request.rows);
  for (std::size_t row = 0; row < notes.size(); ++row) {
    if (!guarded.empty()) notes[row].guard = std::move(guarded[row]);
    if (!explained.empty()) notes[row].explanation = std::move(explained[row]);
  }
  return sink.good(request, notes);
}

std::vector<std::string> Predictor::guarded(Request& request, std::span<const TensorView> inputs,
                                            std::size_t first) const {
  using Guarded = Servable::Guarded;
  // Mostly nothing is wrong with any row, and that is told by one look at all of them.
  const bool passes = servable_->guard_inputs(request) == Guarded::kPasses &&
                      servable_->guard_outputs(request) == Guarded::kPasses &&
                      request.warnings.empty();
  std::string ignored;
  add_notes(request, ignored);
  std::vector<std::string> out;
  if (passes) return out;
  out.resize(request.rows);
  for (std::size_t row = 0; row < request.rows; ++row) {
    auto one = ask(inputs, first + row, 1);
    one->reply.prediction = row_of(request.reply.prediction, row);
    servable_->guard_inputs(*one);
    add_notes(*one, out[row]);
    servable_->guard_outputs(*one);
    add_notes(*one, out[row]);
  }
  return out;
}

Result<std::vector<std::string>> Predictor::explained(std::span<const TensorView> inputs,
                                                      std::size_t first, std::size_t count) const {
  std::vector<std::string> out;
  while (out.size() < count) {
    const std::size_t part = std::min(count - out.size(), serving::kMostExplained);
    auto request = ask(inputs, first + out.size(), part);
    if (!servable_->run(request)) return internal("the model's answer did not come");
    if (request->reply.error) return Failure(*request->reply.error);
    SLUICE_CHECK(serving::explain_rows(*request, nullptr));
    for (std::size_t row = 0; row < part; ++row) {
      out.push_back(explanation_json(*request->reply.explanation, row));
    }
  }
  return out;
}

}  // namespace sluice::tools::batch
