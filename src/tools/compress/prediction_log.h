// Real traffic as a dataset: the prediction log that a server writes (docs/prediction-log.md).
//
// Thread-safety: functions without state.
#pragma once

#include <string>

#include "tools/compress/dataset.h"

namespace sluice::tools::compress {

// Whether this file's rows are the log's: it has `features`, `model_version` and `latency_ms`.
// Errors: those of opening it.
Result<bool> is_prediction_log(const std::string& file);

// Rows whose features were written down whole, of whichever version; `true_label` is the label.
// Lines with several rows are several rows. Errors: as read_dataset;
// kInvalidArgument/`empty_table` where features were hashed or not written at all.
Result<Dataset> read_prediction_log(const Signature& signature, const DatasetOptions& options);

}  // namespace sluice::tools::compress
