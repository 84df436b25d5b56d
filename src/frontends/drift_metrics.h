// Drift as metrics: `sluice_drift_psi`, `sluice_drift_ks`, `sluice_drift_rows`,
// `sluice_drift_detected`, and `sluice_drift_features_left_out`.
//
// A version has at most 64 series of each kind for its features, the first of them in its own
// order: those with the greatest drift would come and go. Its prediction is the feature
// "prediction", or "prediction (answer)" where a feature is called that.
//
// Thread-safety: a function without state.
#pragma once

#include <string>
#include <string_view>

#include "core/serving_table.h"
#include "observers/drift.h"
#include "telemetry/exposition.h"

namespace sluice::frontends {

// A text that a model brought, as the value of a label: escaped, valid UTF-8, at most 64 bytes of
// it.
std::string label_value(std::string_view text);

void write_drift(Exposition& text, const ServingTable& table, const observers::DriftWatch& drift);

}  // namespace sluice::frontends
