#include "core/watch_config.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <string_view>
#include <utility>

#include "base/names.h"

namespace sluice {

template <>
struct OptionType<GuardAction> : WordOption<GuardAction, OptionType<GuardAction>> {
  static constexpr std::array<std::pair<std::string_view, GuardAction>, 4> kWords = {
      {{"reject", GuardAction::kReject},
       {"warn", GuardAction::kWarn},
       {"fallback", GuardAction::kFallback},
       {"off", GuardAction::kOff}}};
};
template <>
struct OptionType<Privacy> : WordOption<Privacy, OptionType<Privacy>> {
  static constexpr std::array<std::pair<std::string_view, Privacy>, 3> kWords = {
      {{"full", Privacy::kFull}, {"hashed", Privacy::kHashed}, {"off", Privacy::kOff}}};
};

std::string OptionType<Bounds>::name() { return "[low, high], null for open"; }
std::string OptionType<Bounds>::show(const Bounds&) { return "given"; }
void OptionType<Bounds>::read(const Node& node, Bounds& value, Problems& problems) {
  if (!expect_kind(node, Node::Kind::kList, name(), problems)) return;
  if (node.items.size() != 2) return report(problems, node.place, "bounds must be " + name());
  OptionType<std::optional<double>>::read(node.items[0], value.low, problems);
  OptionType<std::optional<double>>::read(node.items[1], value.high, problems);
  if (value.low && value.high && *value.low > *value.high) {
    report(problems, node.place, "the lower bound is above the upper one");
  }
}

namespace {

constexpr std::size_t kMostQuantiles = 1001;

std::optional<std::string> rising(const std::vector<double>& quantiles) {
  if (quantiles.size() < 2 || quantiles.size() > kMostQuantiles) {
    return "write 2 to 1001 numbers: evenly spaced quantiles, least and largest value included";
  }
  if (std::ranges::is_sorted(quantiles)) return std::nullopt;
  return "quantiles must not fall";
}

std::optional<std::string> shares(const std::vector<double>& classes) {
  const bool fine = std::ranges::all_of(classes, [](double share) { return share >= 0; });
  const double sum = std::accumulate(classes.begin(), classes.end(), 0.0);
  if (fine && std::abs(sum - 1) < 1e-3) return std::nullopt;
  return "shares of the classes must be at least 0 and add up to 1; they add up to " +
         OptionType<double>::show(sum);
}

std::optional<std::string> version_name(const std::string& version) {
  if (version.empty() || is_token(version)) return std::nullopt;
  return "that is no version name";
}

}  // namespace

const Schema<Training>& Training::schema() {
  static const auto kSchema =
      Schema<Training>()
          .option("mean", &Training::mean, "mean of the column")
          .option("std", &Training::std, "its standard deviation", {between(0.0, 1e300)})
          .option("missing", &Training::missing, "share of rows without a value",
                  {between(0.0, 1.0)})
          .option("quantiles", &Training::quantiles,
                  "evenly spaced quantiles, least and largest included", {rising});
  return kSchema;
}

const Schema<PredictionTraining>& PredictionTraining::schema() {
  static const auto kSchema =
      Schema<PredictionTraining>()
          .option("classes", &PredictionTraining::classes, "shares of the classes", {shares})
          .option("quantiles", &PredictionTraining::quantiles,
                  "evenly spaced quantiles of the value, least and largest included", {rising});
  return kSchema;
}

const Schema<OutputGuard>& OutputGuard::schema() {
  static const auto kSchema =
      Schema<OutputGuard>()
          .option("range", &OutputGuard::range, "values that an output may have")
          .option("action", &OutputGuard::action, "what happens outside the range");
  return kSchema;
}

const Schema<Fallback>& Fallback::schema() {
  static const auto kSchema =
      Schema<Fallback>()
          .option("version", &Fallback::version, "version of the model that answers instead",
                  {version_name})
          .option("prediction", &Fallback::prediction, "or the answer itself")
          .option("confidence", &Fallback::confidence, "of that answer", {between(0.0, 1.0)});
  return kSchema;
}

const Schema<GuardOptions>& GuardOptions::schema() {
  static const auto kSchema =
      Schema<GuardOptions>()
          .option("bounds", &GuardOptions::bounds, "what happens outside a column's bounds")
          .option("anomalies", &GuardOptions::anomalies,
                  "what happens with values far from the training mean")
          .option("anomaly_z", &GuardOptions::anomaly_z, "how many standard deviations are far",
                  {between(0.1, 1000.0)})
          .option("outputs", &GuardOptions::outputs, "the same for outputs")
          .option("fallback", &GuardOptions::fallback, "what the action fallback answers");
  return kSchema;
}

const Schema<LogOptions>& LogOptions::schema() {
  static const auto kSchema =
      Schema<LogOptions>()
          .option("sample", &LogOptions::sample, "share of predictions that are logged",
                  {between(0.0, 1.0)})
          .option("features", &LogOptions::features, "how feature values are written")
          .option("user_id", &LogOptions::user_id, "how the user is written");
  return kSchema;
}

const Schema<DriftOptions>& DriftOptions::schema() {
  static const auto kSchema =
      Schema<DriftOptions>()
          .option("enabled", &DriftOptions::enabled, "whether drift is looked for")
          .option("window", &DriftOptions::window, "how far back the traffic is looked at",
                  {between(Millis(1000), Millis(30LL * 86'400'000))})
          .option("min_rows", &DriftOptions::min_rows, "rows before anything is said",
                  {between<std::int64_t>(10, 1'000'000'000)})
          .option("psi", &DriftOptions::psi,
                  "population stability index from which on something has drifted",
                  {between(0.001, 100.0)});
  return kSchema;
}

}  // namespace sluice
