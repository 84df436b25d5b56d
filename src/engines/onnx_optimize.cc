#include "engines/onnx_optimize.h"

#include "engines/onnx_environment.h"
#include "engines/onnx_words.h"

namespace sluice::engines {

Result<void> save_optimized(const std::filesystem::path& from, const std::filesystem::path& to,
                            bool extended) {
  try {
    const auto environment = onnx_environment();
    Ort::SessionOptions options;
    options.SetIntraOpNumThreads(1);
    options.SetGraphOptimizationLevel(extended ? ORT_ENABLE_EXTENDED : ORT_ENABLE_BASIC);
    options.SetOptimizedModelFilePath(to.c_str());
    const Ort::Session session(*environment, from.c_str(), options);
    return {};
  } catch (const Ort::Exception& error) {
    return invalid("bad_model",
                   "ONNX Runtime cannot optimize the model: " + first_sentence(error.what()));
  }
}

}  // namespace sluice::engines
