#include "serving/explain_rows.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "core/servable.h"
#include "serving/feature_layout.h"
#include "serving/late.h"
#include "statistics/shapley.h"

namespace sluice::serving {
namespace {

using Clock = std::chrono::steady_clock;

// So long a run for an explanation should take, so that it is soon over where it holds what others
// need: a worker process, or a model that only one thread may run.
constexpr std::chrono::milliseconds kSlice{10};
constexpr std::size_t kFirstSlice = 8;  // rows
constexpr std::size_t kMostRows = 256;

Failure no_time() {
  return fail(Code::kDeadlineExceeded, "no_time",
              "there was no time left to explain the prediction; allow a later deadline, or a "
              "smaller explain.budget in model.yaml");
}

Failure not_explainable(std::string message) {
  return invalid("not_explainable", std::move(message));
}

// The class or the value whose number is taken from an answer.
struct Target {
  bool probability = false;
  std::size_t of_class = 0;

  double of(const Prediction& prediction, std::size_t row) const {
    if (!probability) return prediction.values[row];
    const std::size_t classes = prediction.probabilities.size() / prediction.rows;
    const double first = prediction.probabilities[row * classes];
    if (classes > 1) return prediction.probabilities[row * classes + of_class];
    return of_class == 1 ? first : 1 - first;
  }
};

Result<Target> target_of(const Prediction& prediction, std::size_t row) {
  if (prediction.width() != 1) {
    return not_explainable("the model answers a row with " + std::to_string(prediction.width()) +
                           " numbers; explained are a class and a single value");
  }
  if (!std::isfinite(prediction.values[row])) {
    return not_explainable(
        "the model's answer is not a finite number, so there is nothing to "
        "explain");
  }
  if (prediction.probabilities.empty()) {
    if (!prediction.classified) return Target{};
    return not_explainable(
        "the model answers with a label and no probability; explained are "
        "probabilities and values");
  }
  const std::size_t classes = prediction.probabilities.size() / prediction.rows;
  const double value = prediction.values[row];
  if (value < 0 || value >= static_cast<double>(std::max<std::size_t>(classes, 2))) {
    return not_explainable("the predicted class is none of those that have probabilities");
  }
  return Target{true, static_cast<std::size_t>(value)};
}

// What rows are compared with.
struct Compared {
  std::vector<double> rows;
  std::string warning;  // where it had to be assumed
};

Result<Compared> compared_with(const Request& request, std::size_t width,
                               const Background* background) {
  const ExplainBasis& basis = request.servable->explain_basis();
  Compared out;
  if (!request.background.empty()) {
    out.rows.assign(request.background.begin(), request.background.end());
  } else if (!basis.rows.empty()) {
    out.rows = basis.rows;
  }
  if (!out.rows.empty()) {
    if (out.rows.size() % width == 0) return out;
    return not_explainable("the rows to compare with are not " + std::to_string(width) +
                           " numbers wide, as the explained one is");
  }
  // The same for the same row, as long as anything is known that does not change.
  const bool means = basis.means.size() == width;
  if (!means && background != nullptr) {
    out.rows = background->rows(*request.servable, width, ExplainOptions::kMostRows);
  }
  const std::string advice = "; give ordinary rows as explain.background in model.yaml";
  if (!out.rows.empty()) {
    out.warning = "explained against " + std::to_string(out.rows.size() / width) +
                  " rows of recent traffic, which change with it" + advice;
    return out;
  }
  out.rows = means ? basis.means : std::vector<double>(width, 0.0);
  out.warning = std::string("explained against one row of ") +
                (means ? "the training means" : "zeros") + ", since there is no other" + advice;
  return out;
}

// Asks the version about rows, some milliseconds at a time.
class Asking {
 public:
  Asking(const Request& request, const FeatureLayout& layout)
      : request_(request), layout_(layout) {}

  Result<void> ask(std::span<const double> rows, std::span<double> answers, const Target& target) {
    while (!answers.empty()) {
      const std::size_t count = std::min(slice_, answers.size());
      SLUICE_CHECK(ask_slice(rows.first(count * layout_.width()), answers.first(count), target));
      rows = rows.subspan(count * layout_.width());
      answers = answers.subspan(count);
    }
    return {};
  }

 private:
  Result<void> ask_slice(std::span<const double> rows, std::span<double> answers,
                         const Target& target) {
    const auto began = Clock::now();
    if (is_cancelled(request_) || began + last_ >= request_.deadline) return no_time();
    auto own = make_request();
    own->inputs = layout_.inputs(rows, own->arena);
    own->rows = answers.size();
    own->may_split_rows = true;
    own->wants_prediction = true;
    SLUICE_CHECK(request_.servable->run_aside(*own));
    const Prediction& prediction = own->reply.prediction;
    if (prediction.rows != answers.size()) {
      return not_explainable("the model does not answer each row by itself");
    }
    for (std::size_t i = 0; i < answers.size(); ++i) answers[i] = target.of(prediction, i);
    last_ = Clock::now() - began;
    if (last_ < kSlice / 2) slice_ = std::min(kMostRows, 2 * slice_);
    if (last_ > kSlice) slice_ = std::max<std::size_t>(1, slice_ / 2);
    return {};
  }

  const Request& request_;
  const FeatureLayout& layout_;
  std::size_t slice_ = kFirstSlice;
  Clock::duration last_{};
};

class Explaining {
 public:
  Explaining(Request& request, const FeatureLayout& layout)
      : request_(request), layout_(layout), rows_(arena().array<RowExplanation>(request.rows)) {
    for (std::size_t row = 0; row < rows_.size(); ++row) {
      rows_[row] = RowExplanation{};
      auto values = arena().array<double>(layout_.width());
      layout_.read(row, values);
      rows_[row].values = values;
    }
  }

  // By the model's own method, of its margins.
  Result<void> by_model() {
    SLUICE_TRY(const auto found, request_.servable->explain_aside(request_.inputs, arena()));
    if (found.rows != rows_.size() || found.features != layout_.width()) {
      return internal("the model's own explanation has another shape than the request");
    }
    const Prediction& prediction = request_.reply.prediction;
    for (std::size_t row = 0; row < rows_.size(); ++row) {
      std::size_t group = 0;
      if (found.groups > 1) {
        const double predicted = prediction.values[row];
        if (!(predicted >= 0) || predicted >= static_cast<double>(found.groups)) {
          return not_explainable("the predicted class is none of those that the model explains");
        }
        group = static_cast<std::size_t>(predicted);
        rows_[row].of_class = group;
      } else if (!prediction.probabilities.empty()) {
        rows_[row].of_class = 1;  // of two: the one whose margin the model has
      }
      rows_[row].base_value = found.base[group];
      rows_[row].attributions =
          found.values.subspan((row * found.groups + group) * found.features, found.features);
    }
    conclude(found.method, "margin");
    return {};
  }

  Result<void> by_answers(std::span<const double> background) {
    Asking asking(request_, layout_);
    bool probability = false;
    for (std::size_t row = 0; row < rows_.size(); ++row) {
      SLUICE_TRY(const auto target, target_of(request_.reply.prediction, row));
      const auto evaluate = [&](std::span<const double> rows, std::span<double> answers) {
        return asking.ask(rows, answers, target);
      };
      statistics::ShapleyOptions options;
      options.budget = request_.servable->explain_basis().budget;
      options.at_once = kMostRows;
      SLUICE_TRY(const auto found,
                 statistics::shapley_values(background, rows_[row].values, evaluate, options));
      put(rows_[row], found);
      probability = target.probability;
      if (probability) rows_[row].of_class = target.of_class;
    }
    conclude("permutation_shap", probability ? "probability" : "value");
    return {};
  }

 private:
  Arena& arena() const { return request_.arena; }

  void put(RowExplanation& row, const statistics::ShapleyValues& found) {
    row.base_value = found.base_value;
    auto attributions = arena().array<double>(found.attributions.size());
    std::ranges::copy(found.attributions, attributions.begin());
    row.attributions = attributions;
    row.error = *std::ranges::max_element(found.errors);
    row.evaluations = found.evaluations;
    row.background_rows = found.background_rows;
  }

  void conclude(std::string_view method, std::string_view output) {
    auto out = arena().array<Explanation>(1);
    out[0] = {method, output, layout_.names(request_.servable->signature(), arena()), rows_};
    request_.reply.explanation = out.data();
  }

  Request& request_;
  const FeatureLayout& layout_;
  std::span<RowExplanation> rows_;
};

}  // namespace

Result<ExplainBasis> make_explain_basis(const Signature& signature, const ModelConfig& config) {
  ExplainBasis out;
  for (const auto& column : config.inputs) {
    if (column.training) out.means.push_back(column.training->mean);
  }
  // Of some columns alone they are no row.
  if (signature.columns.size() != out.means.size()) out.means.clear();
  if (!config.explain) return out;
  out.budget = static_cast<std::size_t>(config.explain->budget);
  const std::size_t width = FeatureLayout::width_of(signature);
  for (const auto& row : config.explain->background) {
    if (width != 0 && row.size() != width) {
      return invalid("bad_config", "explain.background in model.yaml has rows of " +
                                       std::to_string(row.size()) +
                                       " numbers, but the model takes " + std::to_string(width));
    }
    out.rows.insert(out.rows.end(), row.begin(), row.end());
  }
  return out;
}

Result<void> explainable(const Request& request) {
  if (request.rows > kMostExplained) {
    return not_explainable(
        "a request of " + std::to_string(request.rows) + " rows asks for explanations; at most " +
        std::to_string(kMostExplained) + " rows are explained at a time, so send them in parts");
  }
  SLUICE_TRY([[maybe_unused]] const auto layout, FeatureLayout::of(request));
  return {};
}

Result<void> explain_rows(Request& request, const Background* background) {
  if (request.padded != 0) {
    return not_explainable(
        "the model's inputs are lengthened (batching.pad), so that they are no "
        "rows of given features");
  }
  Prediction& prediction = request.reply.prediction;
  if (prediction.rows == 0) {  // of protocols that take outputs as they are
    SLUICE_TRY(prediction,
               request.servable->interpret(request.reply.outputs, request.rows, request.arena));
  }
  if (prediction.rows != request.rows) {
    return not_explainable("the model does not answer each row by itself");
  }
  SLUICE_TRY(const auto layout, FeatureLayout::of(request));
  Explaining explaining(request, layout);
  if (request.servable->loaded().explains()) return explaining.by_model();
  SLUICE_TRY(auto compared, compared_with(request, layout.width(), background));
  SLUICE_CHECK(explaining.by_answers(compared.rows));
  if (!compared.warning.empty()) request.warnings.push_back(std::move(compared.warning));
  return {};
}

}  // namespace sluice::serving
