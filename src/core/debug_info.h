// What `debug: true` tells beside an answer (docs/rest-api.md). Made by serving/debug, written
// by the codecs of protocols that have a place for it.
//
// Thread-safety: plain values.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "base/json_writer.h"
#include "core/prediction.h"

namespace sluice {

// Of all numbers that came in; NaNs are counted and otherwise left out. NaN where there are none.
struct InputStatistics {
  double mean = 0;
  double std = 0;  // of the population
  double min = 0;
  double max = 0;
  std::size_t nan_count = 0;
  std::size_t count = 0;
};

// Milliseconds.
struct StageTimes {
  double read = 0;      // from its arrival until it was decoded and routed
  double features = 0;  // of that, waiting for features
  double queue = 0;     // until a run began
  double compute = 0;   // in the engine, with those of its batch
};

struct DebugInfo {
  InputStatistics input;
  std::vector<std::string> anomalies;
  StageTimes stages;
  bool from_cache = false;
  double probability = 1;  // with which the release chose this version
};

// One row's, as a list with one number for each class: a model of two that tells the second's alone
// has two all the same.
void write_class_probabilities(std::span<const double> row, JsonWriter& json);
// Appends it as a JSON object; confidences and probabilities are the prediction's.
void write_debug(const DebugInfo& debug, const Prediction& prediction, bool many_rows,
                 JsonWriter& json);

}  // namespace sluice
