// Arrays in NumPy's own files (numpy.lib.format, versions 1 to 3), as rows for a model with one
// input.
//
// Thread-safety: functions without state.
#pragma once

#include "tools/compress/dataset.h"

namespace sluice::tools::compress {

// The first dimension is the rows'. Types are converted to the input's where nothing is lost but
// precision. Labels, where they are asked for (`options.label_given`), come from the .npy file that
// `options.label` names, which has one dimension. Errors: kInvalidArgument/`bad_table` where it is
// no such file, is cut off, or is of objects (which are programs); `wrong_columns` where its shape
// is not the model's; kUnavailable/`unreadable`.
Result<Dataset> read_npy(const Signature& signature, const DatasetOptions& options);

}  // namespace sluice::tools::compress
