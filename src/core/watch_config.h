// What model.yaml says about watching a model: what values may be, what they were in training, what
// is logged of them, and when they have drifted. `sluice inspect --learn-bounds` writes most of it.
//
// Thread-safety: immutable once read.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/option.h"

namespace sluice {

// `[low, high]`, either side null for open.
struct Bounds {
  std::optional<double> low;
  std::optional<double> high;
};

SLUICE_OPTION_TYPE(Bounds)

// What a column was like in the data that the model was trained on.
struct Training {
  double mean = 0;
  double std = 0;      // of the population
  double missing = 0;  // share of rows without a value
  std::vector<double>
      quantiles;  // of those that had one, evenly spaced, least and largest included
  static const Schema<Training>& schema();
};

// What predictions were like on that data: shares of the classes, or quantiles of the value.
struct PredictionTraining {
  std::vector<double> classes;  // in the model's order; add up to 1
  std::vector<double> quantiles;
  static const Schema<PredictionTraining>& schema();
};

enum class GuardAction { kOff, kWarn, kReject, kFallback };

struct OutputGuard {
  std::optional<Bounds> range;
  GuardAction action = GuardAction::kReject;
  static const Schema<OutputGuard>& schema();
};

// What `fallback` does: another version of the model answers, or this value is the answer.
struct Fallback {
  std::string version;
  std::optional<double> prediction;
  double confidence = 0;
  static const Schema<Fallback>& schema();
};

struct GuardOptions {
  GuardAction bounds = GuardAction::kReject;
  GuardAction anomalies = GuardAction::kOff;
  double anomaly_z = 3;  // standard deviations from the training mean
  std::optional<OutputGuard> outputs;
  std::optional<Fallback> fallback;
  static const Schema<GuardOptions>& schema();
};

enum class Privacy { kFull, kHashed, kOff };

// Of the prediction log, and of `/api/models/{m}/recent`, which shows no more than it.
struct LogOptions {
  double sample = 1.0;
  Privacy features = Privacy::kFull;
  Privacy user_id = Privacy::kFull;
  static const Schema<LogOptions>& schema();
};

struct DriftOptions {
  bool enabled = true;
  Millis window{3'600'000};
  std::int64_t min_rows = 200;  // of the window, before anything is said
  double psi = 0.2;             // population stability index at which something has drifted
  static const Schema<DriftOptions>& schema();
};

}  // namespace sluice
