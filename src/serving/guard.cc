#include "serving/guard.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/text.h"
#include "serving/anomalies.h"

namespace sluice::serving {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
// Of one request; the message says how many more there are.
constexpr std::size_t kMostDetails = 100;

std::string show(const Bounds& bounds) {
  const auto side = [](const std::optional<double>& bound) {
    return bound ? fmt::format("{}", *bound) : std::string("any");
  };
  return "[" + side(bounds.low) + ", " + side(bounds.high) + "]";
}

// The number that people write for this 32-bit float: 0.1, and not 0.10000000149.
double shortest(double value) {
  return parse_double(fmt::format("{}", static_cast<float>(value))).value_or(value);
}

std::optional<double> finite(double bound) {
  return std::isfinite(bound) ? std::optional(bound) : std::nullopt;
}

Failure bad_config(std::string message) { return invalid("bad_config", std::move(message)); }

Result<void> check_fallback(const GuardOptions& options) {
  const bool used = options.bounds == GuardAction::kFallback ||
                    options.anomalies == GuardAction::kFallback ||
                    (options.outputs && options.outputs->action == GuardAction::kFallback);
  const bool has_version = options.fallback && !options.fallback->version.empty();
  const bool has_value = options.fallback && options.fallback->prediction.has_value();
  if (used && !has_version && !has_value) {
    return bad_config(
        "guard: in model.yaml says fallback, but not to what; add fallback: {version: NAME} or "
        "fallback: {prediction: NUMBER}");
  }
  if (has_version && has_value) {
    return bad_config("guard.fallback in model.yaml is a version or a prediction, not both");
  }
  return {};
}

// The first violation in words, and how many more there are.
std::string sentence(const Error& error, std::size_t found) {
  std::string out = error.details[0].problem;
  if (found > 1) out += fmt::format("; and {} more", found - 1);
  return out;
}

}  // namespace

void Guard::Limits::add(double least, double most) {
  low.push_back(least);
  high.push_back(most);
  low32.push_back(static_cast<float>(least));
  high32.push_back(static_cast<float>(most));
  any = any || std::isfinite(least) || std::isfinite(most);
}

Result<std::unique_ptr<const Guard>> Guard::make(const Signature& signature,
                                                 const ModelConfig& config) {
  std::unique_ptr<Guard> out(new Guard);
  out->options_ = config.guard.value_or(GuardOptions());
  SLUICE_CHECK(check_fallback(out->options_));
  out->table_ = signature.inputs.size() == 1 && !signature.columns.empty();
  for (const auto& declared : config.inputs) {
    Column column;
    column.name = declared.name;
    if (!out->table_) column.input = signature.input_named(declared.name);
    if (column.input == Signature::npos) continue;
    if (signature.inputs[column.input].dtype == DType::kString && declared.bounds) {
      return bad_config("inputs: in model.yaml gives bounds to '" + declared.name +
                        "', which is text");
    }
    const Bounds bounds = declared.bounds.value_or(Bounds());
    out->bounds_.add(bounds.low.value_or(-kInfinity), bounds.high.value_or(kInfinity));
    double far = kInfinity;
    if (declared.training) {
      out->trained_ = true;
      column.mean = declared.training->mean;
      column.std = declared.training->std;
      // A column that never varied says nothing of what is unusual.
      if (column.std > 0) far = out->options_.anomaly_z * column.std;
    }
    out->usual_.add(column.mean - far, column.mean + far);
    out->columns_.push_back(std::move(column));
  }
  const bool watches = out->bounds_.any || out->usual_.any || out->options_.outputs ||
                       out->options_.anomalies != GuardAction::kOff;
  if (!watches) return std::unique_ptr<const Guard>();
  return std::unique_ptr<const Guard>(std::move(out));
}

template <class Visit>
void Guard::each_value(const Request& request, Visit visit) const {
  if (!table_) {
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      const TensorView& input = request.inputs[columns_[i].input];
      if (input.dtype == DType::kString) continue;
      for (std::size_t j = 0; j < input.elements(); ++j) {
        if (!visit(i, number_at(input, j))) return;
      }
    }
    return;
  }
  const TensorView& table = request.inputs[0];
  const std::size_t width = table.shape.rank() < 2 ? 0 : static_cast<std::size_t>(table.shape[1]);
  if (width != columns_.size() || table.dtype == DType::kString) return;
  for (std::size_t i = 0; i < table.elements(); ++i) {
    if (!visit(i % width, number_at(table, i))) return;
  }
}

// The common case, a table of 32-bit floats without a violation, in a few nanoseconds.
bool Guard::within(const Limits& limits, const Request& request) const {
  const TensorView& table = request.inputs[0];
  const std::size_t width = columns_.size();
  if (table_ && table.dtype == DType::kFloat32 && table.shape.rank() == 2 &&
      static_cast<std::size_t>(table.shape[1]) == width) {
    const auto values = table.as<float>();
    bool out = false;
    for (std::size_t row = 0; row + width <= values.size(); row += width) {
      for (std::size_t i = 0; i < width; ++i) {
        const float value = values[row + i];
        out |= (value < limits.low32[i]) | (value > limits.high32[i]);
      }
    }
    return !out;
  }
  return outside(limits, request).empty();
}

std::vector<Guard::Place> Guard::outside(const Limits& limits, const Request& request) const {
  std::vector<Place> out;
  const bool single = table_ && request.inputs[0].dtype == DType::kFloat32;
  each_value(request, [&](std::size_t column, double value) {
    const double low = single ? double{limits.low32[column]} : limits.low[column];
    const double high = single ? double{limits.high32[column]} : limits.high[column];
    if (value < low || value > high) out.push_back({column, single ? shortest(value) : value});
    return out.size() < 10'000;
  });
  return out;
}

Error Guard::describe_bounds(const std::vector<Place>& places) const {
  Error out{Code::kInvalidArgument, "bounds", {}, {}};
  for (const auto& [column, value] : places) {
    if (out.details.size() == kMostDetails) break;
    const Bounds bounds{finite(bounds_.low[column]), finite(bounds_.high[column])};
    out.details.push_back({columns_[column].name, value, bounds.low, bounds.high,
                           fmt::format("'{}' is {}, outside its bounds {}", columns_[column].name,
                                       value, show(bounds))});
  }
  out.message = sentence(out, places.size());
  return out;
}

std::string Guard::anomaly(const Place& place) const {
  const Column& column = columns_[place.column];
  return fmt::format("'{}' is {}, {:.1f} standard deviations from its training mean {:.6g}",
                     column.name, place.value, std::abs(place.value - column.mean) / column.std,
                     column.mean);
}

Error Guard::describe_anomalies(const std::vector<Place>& places) const {
  Error out{Code::kInvalidArgument, "guard", {}, {}};
  for (const auto& place : places) {
    if (out.details.size() == kMostDetails) break;
    out.details.push_back({columns_[place.column].name, place.value,
                           finite(usual_.low[place.column]), finite(usual_.high[place.column]),
                           anomaly(place)});
  }
  out.message = sentence(out, places.size());
  return out;
}

std::vector<std::string> Guard::anomalies(const Request& request) const {
  std::vector<std::string> out;
  if (!usual_.any) return out;
  for (const auto& place : outside(usual_, request)) {
    if (out.size() == kMostDetails) break;
    out.push_back(anomaly(place));
  }
  return out;
}

Servable::Guarded Guard::act(GuardAction action, Error error, Request& request) const {
  if (action == GuardAction::kWarn) {
    request.warnings.push_back(std::move(error.message));
    return Servable::Guarded::kPasses;
  }
  request.reply.error = std::move(error);
  return action == GuardAction::kFallback ? Servable::Guarded::kFallsBack
                                          : Servable::Guarded::kRefused;
}

Servable::Guarded Guard::check_inputs(Request& request, const Signature& signature,
                                      Tally& tally) const {
  const auto look = [&](const Limits& limits, GuardAction action, auto describe) {
    if (!limits.any || action == GuardAction::kOff || within(limits, request)) {
      return Servable::Guarded::kPasses;
    }
    const auto places = outside(limits, request);
    std::vector<bool> told(columns_.size());
    for (const auto& place : places) {
      if (told[place.column]) continue;
      told[place.column] = true;
      tally.violated(columns_[place.column].name);
    }
    return act(action, (this->*describe)(places), request);
  };
  const auto by_bounds = look(bounds_, options_.bounds, &Guard::describe_bounds);
  if (by_bounds != Servable::Guarded::kPasses) return by_bounds;
  if (trained_ || options_.anomalies == GuardAction::kOff) {
    return look(usual_, options_.anomalies, &Guard::describe_anomalies);
  }
  const auto found =
      anomalies_within(request, signature, input_statistics(request), options_.anomaly_z);
  if (found.empty()) return Servable::Guarded::kPasses;
  tally.violated("input");
  Error error{Code::kInvalidArgument, "guard", join_and(found), {}};
  for (const auto& each : found) {
    error.details.push_back(
        {"input", std::numeric_limits<double>::quiet_NaN(), std::nullopt, std::nullopt, each});
  }
  return act(options_.anomalies, std::move(error), request);
}

Servable::Guarded Guard::check_outputs(const Prediction& prediction, Request& request,
                                       Tally& tally) const {
  const Bounds range = options_.outputs->range.value_or(Bounds());
  const bool shares = prediction.classified && !prediction.probabilities.empty();
  const auto values = shares ? prediction.probabilities : prediction.values;
  const auto wrong = std::ranges::find_if(values, [&](double value) {
    return !std::isfinite(value) || (range.low && value < *range.low) ||
           (range.high && value > *range.high);
  });
  if (wrong == values.end()) return Servable::Guarded::kPasses;
  request.unsound = true;
  tally.violated("prediction");
  Error error{Code::kInvalidArgument, "guard", {}, {}};
  const char* what = shares ? "a probability" : "the prediction";
  error.message = std::isfinite(*wrong)
                      ? fmt::format("{} is {}, outside the range {} of guard.outputs", what, *wrong,
                                    show(range))
                      : fmt::format("{} is not a finite number", what);
  error.details.push_back({"prediction", *wrong, range.low, range.high, error.message});
  return act(options_.outputs->action, std::move(error), request);
}

}  // namespace sluice::serving
