// Models on a local disk: one file, one model's directory, a flat directory of files, or a
// repository in the layout of Sluice, Triton or TensorFlow Serving.
//
//   fraud.onnx                        model fraud, version 1
//   models/fraud/v1/model.onnx        model fraud, version v1 (also when the file itself is named)
//   models/fraud.onnx                 model fraud, version 1
//   models/fraud/model.onnx           model fraud, version 1
//   models/fraud/model.yaml           options of fraud
//   models/fraud/config.pbtxt         Triton's
//
// Names that begin with a dot are ignored. A version's file is `model.*`, or else the only file
// with an ending that some engine knows. Everything is opened beneath the directory that was given.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "core/source.h"

namespace sluice::sources {

// `extensions` are the endings that engines know, with the dot. Errors: kNotFound when there is no
// such path.
Result<std::unique_ptr<Source>> make_local_dir(const std::filesystem::path& path,
                                               std::vector<std::string> extensions);

}  // namespace sluice::sources
